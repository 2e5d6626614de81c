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
}

/** Tokens of a batch, padding among them, unless the longest text needs more. An abort waits for a batch at most. */
const BATCH_TOKENS = { webgpu: 4096, webnn: 2048, wasm: 1024 };
const BATCH_TEXTS = 64;

export class OnnxTextSession {
  constructor(private readonly parts: OnnxTextSessionParts) {}

  /** `embedding` or `logits`, [texts × width]. Rejects with an AbortError, and as `OnnxSession.run`. */
  async run(
    texts: readonly TextSequence[],
    output: string,
    { signal, onProgress }: RunOptions = {},
  ): Promise<Float32Array<ArrayBuffer>> {
    throwIfAborted(signal);
    const { session, embeddingOutput } = this.parts;
    const name = output === 'embedding' ? embeddingOutput : output;
    if (name === undefined) throw new WpError('internal', `The model has no output for ${output}.`);
    const [batch, tokens] = this.parts.inputs.find((input) => input.name === 'input_ids')?.dims ?? [];
    const maxOutputs = typeof batch === 'number' ? batch : BATCH_TEXTS;
    let rows = new Float32Array(0);
    let done = 0;
    for (const step of planSteps(
      texts.map(({ ids }) => (typeof tokens === 'number' ? tokens : ids.length)),
      { maxTokens: typeof batch === 'number' ? Infinity : BATCH_TOKENS[session.provider], maxOutputs },
    )) {
      const chosen = step.map((i) => texts[i]!);
      const shape = {
        batch: typeof batch === 'number' ? batch : step.length,
        tokens: typeof tokens === 'number' ? tokens : Math.max(...chosen.map(({ ids }) => ids.length)),
      };
      const inputs = this.#inputs(chosen, shape);
      const result = (await session.run({ inputs, outputs: [name] }, signal))[name] as Tensor;
      const numbers = this.#pool(floats(result), result.dims, chosen, shape.tokens);
      const width = numbers.length / shape.batch;
      if (done === 0) rows = new Float32Array(texts.length * width);
      step.forEach((text, row) => rows.set(numbers.subarray(row * width, (row + 1) * width), text * width));
      done += step.length;
      onProgress?.(done, texts.length);
      // Where an abort arrives.
      await nextTask();
      throwIfAborted(signal);
    }
    return rows;
  }

  #inputs(
    texts: readonly TextSequence[],
    { batch, tokens }: { batch: number; tokens: number },
  ): Record<string, Tensor> {
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
      this.parts.inputs.map(({ name, type }) => {
        const numbers = all[name]!();
        const dims = [batch, tokens];
        return [
          name,
          type === 'int64'
            ? { type, dims, data: BigInt64Array.from(numbers, BigInt) }
            : { type: 'int32', dims, data: numbers },
        ];
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

function floats({ type, data }: Tensor): Float32Array {
  if (type === 'float32') return data;
  if (type === 'float16') return Float32Array.from(data, (bits) => f16BitsToF32(bits));
  throw new WpError(
    'unsupported-operation',
    `The output is ${type}; vectors are float32 or float16.`,
    'Call model.run().',
    { actual: type },
  );
}
