// A FakeProgram that also samples "on its device": steps queue up and run one after another, each taking a while, and what the
// host submits in between waits its turn, as on a GPU's queue. The choice is the host's own Sampler over the fake's logits.

import type { DeviceSampling, SampledStep, SamplingChoice, StepInputs } from '../../runtime/backends/backend.ts';
import { Sampler } from '../../runtime/generation/sampler.ts';
import { FakeProgram } from './fake-program.ts';

export class FakeDeviceProgram extends FakeProgram {
  /** Steps that were submitted to the device, and how many were under way at most. */
  readonly sampled: SampledStep[] = [];
  mostInFlight = 0;
  /** Turns of the event loop that a sampled step takes. */
  delay = 2;
  readonly begins: number[][] = [];
  deviceSampling: DeviceSampling | undefined = {
    supports: ({ topK, temperature }) => temperature === 0 || topK > 0,
    begin: (choice, seen) => {
      this.begins.push([...seen].sort((a, b) => a - b));
      // In the order of the queue, as writes to a buffer are.
      void this.#enqueue(async () => this.#begin(choice, [...seen]));
    },
    step: (step) => this.#step(step),
  };
  #sampler: Sampler | undefined;
  #uniform = 0;
  #lastToken = -1;
  #inFlight = 0;
  #queue: Promise<unknown> = Promise.resolve();

  override run(inputs: StepInputs): Promise<Float32Array> {
    return this.#enqueue(() => super.run(inputs));
  }

  #begin(choice: SamplingChoice, seen: readonly number[]): void {
    this.#sampler = new Sampler(choice, { next: () => this.#uniform });
    this.#sampler.observe(seen);
  }

  async #step(step: SampledStep): Promise<number> {
    this.sampled.push(step);
    this.mostInFlight = Math.max(this.mostInFlight, ++this.#inFlight);
    try {
      return await this.#enqueue(async () => {
        for (let turn = 0; turn < this.delay; turn++) await new Promise((resolve) => setImmediate(resolve));
        const { tokenId = this.#lastToken, rotary, past, uniform } = step;
        const inputs = { tokenIds: Int32Array.of(tokenId), rotary, outputRows: Int32Array.of(0), past };
        const logits = await super.run(inputs);
        this.#uniform = uniform;
        this.#lastToken = this.#sampler!.sample(logits);
        return this.#lastToken;
      });
    } finally {
      this.#inFlight--;
    }
  }

  #enqueue<T>(job: () => Promise<T>): Promise<T> {
    const result = this.#queue.then(job);
    this.#queue = result.catch(() => undefined);
    return result;
  }
}
