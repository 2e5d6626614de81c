// The end of a decode step that chooses its token on the device: two dispatches over the logits, and four bytes to the host. The
// token stays in `tokenBuffer`, which the next step reads as its input.

import { WpError } from '../../errors.ts';
import type { SamplingChoice } from '../backend.ts';
import { type BufferLedger } from './buffers.ts';
import { instantiate, type KernelInstance } from './kernels/kernel.ts';
import {
  CHOICE_BYTES,
  MAX_TOP_K,
  SAMPLE_CAPACITY,
  sampleGroups,
  sampleGroupsKernel,
  samplePickKernel,
} from './kernels/sample.ts';
import { type PipelineCache } from './pipelines.ts';
import type { CompiledPipelines, PreparedCall } from './schedule-runner.ts';

/** Greedy as a choice: of the largest logits the first. */
const GREEDY = { temperature: 1, topK: 1, topP: 0.5, minP: 0 };

export class TokenSampler {
  readonly kernels: readonly [KernelInstance, KernelInstance];
  readonly #device: GPUDevice;
  readonly #ledger: BufferLedger;
  readonly #vocabulary: number;
  #buffers: readonly GPUBuffer[] = [];
  #calls: readonly Omit<PreparedCall, 'kernel'>[] = [];
  #isGreedy = true;

  constructor(device: GPUDevice, ledger: BufferLedger, vocabulary: number) {
    this.#device = device;
    this.#ledger = ledger;
    this.#vocabulary = vocabulary;
    const shape = { vocabulary, groups: sampleGroups(vocabulary), capacity: SAMPLE_CAPACITY };
    this.kernels = [
      instantiate(sampleGroupsKernel, { kernel: 'sampleGroups', ...shape }, undefined),
      instantiate(samplePickKernel, { kernel: 'samplePick', ...shape }, undefined),
    ];
  }

  /** The last token, an i32; as large as the smallest binding of a value. */
  get tokenBuffer(): GPUBuffer {
    return this.#buffers[3]!;
  }

  async allocate(): Promise<void> {
    const { STORAGE, UNIFORM, COPY_DST, COPY_SRC } = GPUBufferUsage;
    const create = (label: string, words: number, usage: number): Promise<GPUBuffer> =>
      this.#ledger.create('other', label, 4 * words, usage | COPY_DST);
    this.#buffers = [
      await create('choice', CHOICE_BYTES / 4, UNIFORM),
      await create('seen tokens', Math.ceil(this.#vocabulary / 32), STORAGE),
      await create('largest logits', sampleGroups(this.#vocabulary), STORAGE),
      await create('token', 4, STORAGE | COPY_SRC),
    ];
  }

  /** `logits` [vocabulary]: what the decode step writes. */
  prepare(pipelines: PipelineCache, compiled: CompiledPipelines, logits: GPUBufferBinding): void {
    const [choice, seen, maxima, token] = this.#buffers.map((buffer) => ({ buffer }));
    const resources = [choice!, logits, seen!, maxima!, token!];
    this.#calls = this.kernels.map(({ key, bindings }) => ({
      pipeline: compiled.get(key)!,
      bindGroup: this.#device.createBindGroup({
        label: key,
        layout: pipelines.layout(bindings),
        entries: bindings.map((_, binding) => ({ binding, resource: resources[binding]! })),
      }),
    }));
  }

  /** The kernels weigh at most so many tokens against each other; more is left to the host. */
  supports({ temperature, topK }: SamplingChoice): boolean {
    return temperature === 0 || (topK >= 1 && topK <= MAX_TOP_K);
  }

  begin(choice: SamplingChoice, seen: Iterable<number>): void {
    const { queue } = this.#device;
    const { temperature, topK, topP, minP } = choice.temperature === 0 ? GREEDY : choice;
    this.#isGreedy = choice.temperature === 0;
    const words = new Float32Array(CHOICE_BYTES / 4);
    words.set([0, temperature, topP, minP, choice.repetitionPenalty]);
    new Uint32Array(words.buffer)[5] = topK;
    queue.writeBuffer(this.#buffers[0]!, 0, words);
    if (choice.repetitionPenalty === 1) return;
    const bits = new Uint32Array(Math.ceil(this.#vocabulary / 32));
    for (const token of seen) bits[token >> 5]! |= 1 << (token & 31);
    queue.writeBuffer(this.#buffers[1]!, 0, bits);
  }

  /** Before the step's commands are submitted: what the choice draws with. */
  write(uniform: number): void {
    this.#device.queue.writeBuffer(this.#buffers[0]!, 0, new Float32Array([this.#isGreedy ? 0 : uniform]));
  }

  encode(pass: GPUComputePassEncoder): void {
    this.#calls.forEach(({ pipeline, bindGroup }, i) => {
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, bindGroup);
      // They depend on no size of the step.
      pass.dispatchWorkgroups(...this.kernels[i]!.workgroups({ tokens: 1, past: 0, outputs: 1 }));
    });
  }

  /** The token that was read back from `tokenBuffer`, unless there was none to choose. */
  checked({ buffer }: Float32Array<ArrayBuffer>): number {
    const token = new Int32Array(buffer)[0]!;
    if (token >= 0) return token;
    throw new WpError(
      'internal',
      'The model computed logits that cannot be sampled: some are not numbers or infinite, or none is above −∞.',
      'Try another backend or precision.',
    );
  }
}
