// Texts through an ONNX encoder, in padded batches: texts of like length together. Rows come back in the order of the texts.

import { throwIfAborted, WpError } from '../../errors.ts';
import { nextTask } from '../../generation/event-loop.ts';
import { f16BitsToF32 } from '../../half.ts';
import type { TextSequence } from '../../models/encoders/index.ts';
import type { OnnxSession } from '../../onnx/session.ts';
import { planSteps, type RunOptions } from '../../tasks/encoder-session.ts';
import type { Tensor, TensorInfo } from '../../tensors.ts';

export interface OnnxTextSessionParts {
  session: OnnxSession;
  inputs: readonly TensorInfo[];
  /** [texts, width], or [texts, tokens, width], which is pooled here; undefined for a model of logits only. */
  embeddingOutput: string | undefined;
  pooling: 'mean' | 'first' | 'last';
  padId: number;
  /** Tokens that every text is filled to; undefined: as the longest of its step. */
  length: number | undefined;
  /** What the graph takes beside texts. */
  others?: Readonly<Record<string, Tensor>> | undefined;
}

/** Tokens of a batch, padding among them, unless the longest text needs more. An abort waits for a batch at most. */
const BATCH_TOKENS = { webgpu: 4096, webnn: 2048, wasm: 1024 };
const BATCH_TEXTS = 64;

export class OnnxTextSession {
  constructor(private readonly parts: OnnxTextSessionParts) {}

  /** `embedding` or `logits`, [texts × width]. Rejects with an AbortError, and as `OnnxSession.run`. */
  async run(texts: readonly TextSequence[], output: string, run: RunOptions = {}): Promise<Float32Array<ArrayBuffer>> {
    let rows = new Float32Array(0);
    await this.#steps(texts, output, run, ({ numbers, dims, step, shape }) => {
      const pooled = this.#pool(
        numbers,
        dims,
        step.map((i) => texts[i]!),
        shape.tokens,
      );
      const width = pooled.length / shape.batch;
      if (rows.length === 0) rows = new Float32Array(texts.length * width);
      step.forEach((text, row) => rows.set(pooled.subarray(row * width, (row + 1) * width), text * width));
    });
    return rows;
  }

  /** An output of one row a token, [texts, tokens, width]: each text's rows. Rejects as `run` does. */
  async runTokens(texts: readonly TextSequence[], output: string, run: RunOptions = {}): Promise<Float32Array[]> {
    const rows: Float32Array[] = texts.map(() => new Float32Array(0));
    await this.#steps(texts, output, run, ({ numbers, step, shape }) => {
      const width = numbers.length / (shape.batch * shape.tokens);
      step.forEach((text, row) => {
        const start = row * shape.tokens * width;
        rows[text] = numbers.slice(start, start + texts[text]!.ids.length * width);
      });
    });
    return rows;
  }

  /** Texts of a step at most. */
  get mostTexts(): number {
    return this.#fixedBatch ?? BATCH_TEXTS;
  }

  /** Inputs of a step of all these texts, `mostTexts` of them or fewer. */
  feeds(texts: readonly TextSequence[]): { inputs: Record<string, Tensor>; shape: StepShape } {
    const batch = this.#fixedBatch ?? texts.length;
    const tokens = this.parts.length ?? Math.max(...texts.map(({ ids }) => ids.length));
    return { inputs: this.#inputs(texts, { batch, tokens }), shape: { batch, tokens } };
  }

  get #fixedBatch(): number | undefined {
    const batch = this.parts.inputs.find(({ name }) => name === 'input_ids')?.dims?.[0];
    return typeof batch === 'number' ? batch : undefined;
  }

  async #steps(
    texts: readonly TextSequence[],
    output: string,
    { signal, onProgress }: RunOptions,
    take: (result: StepResult) => void,
  ): Promise<void> {
    throwIfAborted(signal);
    const { session, embeddingOutput, length, others } = this.parts;
    const name = output === 'embedding' ? embeddingOutput : output;
    if (name === undefined) throw new WpError('internal', `The model has no output for ${output}.`);
    const batch = this.#fixedBatch;
    let done = 0;
    for (const step of planSteps(
      texts.map(({ ids }) => length ?? ids.length),
      { maxTokens: batch === undefined ? BATCH_TOKENS[session.provider] : Infinity, maxOutputs: this.mostTexts },
    )) {
      const { inputs, shape } = this.feeds(step.map((i) => texts[i]!));
      const result = (await session.run({ inputs: { ...inputs, ...others }, outputs: [name] }, signal))[name] as Tensor;
      take({ numbers: floats(result), dims: result.dims, step, shape });
      done += step.length;
      onProgress?.(done, texts.length);
      // Where an abort arrives.
      await nextTask();
      throwIfAborted(signal);
    }
  }

  #inputs(texts: readonly TextSequence[], { batch, tokens }: StepShape): Record<string, Tensor> {
    const { padId } = this.parts;
    const fill = (number: (text: TextSequence, at: number) => number, pad: number) => {
      const numbers = new Int32Array(batch * tokens).fill(pad);
      texts.forEach((text, row) => {
        for (let at = 0; at < text.ids.length; at++) numbers[row * tokens + at] = number(text, at);
      });
      return numbers;
    };
    const all: Record<string, () => Int32Array> = {
      input_ids: () => fill(({ ids }, at) => ids[at]!, padId),
      attention_mask: () => fill(() => 1, 0),
      token_type_ids: () => fill(({ typeIds }, at) => typeIds?.[at] ?? 0, 0),
      position_ids: () => Int32Array.from({ length: batch * tokens }, (_, i) => i % tokens),
    };
    return Object.fromEntries(
      this.parts.inputs.flatMap(({ name, type }) => {
        const numbers = all[name]?.();
        if (!numbers) return [];
        const dims = [batch, tokens];
        const tensor: Tensor =
          type === 'int64'
            ? { type, dims, data: BigInt64Array.from(numbers, BigInt) }
            : { type: 'int32', dims, data: numbers };
        return [[name, tensor] as const];
      }),
    );
  }

  /** One row a text, of an output that has one a token. */
  #pool(numbers: Float32Array, dims: readonly number[], texts: readonly TextSequence[], tokens: number): Float32Array {
    if (dims.length !== 3) return numbers;
    const width = dims[2]!;
    const rows = new Float32Array(dims[0]! * width);
    texts.forEach(({ ids }, text) => {
      const { pooling } = this.parts;
      const first = pooling === 'last' ? ids.length - 1 : 0;
      const end = pooling === 'first' ? 1 : ids.length;
      for (let token = first; token < end; token++) {
        const from = (text * tokens + token) * width;
        for (let i = 0; i < width; i++) rows[text * width + i]! += numbers[from + i]! / (end - first);
      }
    });
    return rows;
  }
}

interface StepShape {
  batch: number;
  tokens: number;
}

interface StepResult {
  numbers: Float32Array;
  dims: readonly number[];
  /** Indices of the texts that it has rows of, in their order. */
  step: readonly number[];
  shape: StepShape;
}

/** Throws `unsupported-operation` for whole numbers. */
export function floats({ type, data }: Tensor): Float32Array {
  if (type === 'float32') return data;
  if (type === 'float16') return Float32Array.from(data, (bits) => f16BitsToF32(bits));
  throw new WpError(
    'unsupported-operation',
    `The output is ${type}; vectors are float32 or float16.`,
    'Call model.run().',
    { actual: type },
  );
}
