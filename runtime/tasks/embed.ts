// Texts to vectors.

import { WpError } from '../errors.ts';
import type { Embeddings, EmbedOptions } from '../model.ts';
import type { EncoderInfo } from '../types.ts';
import type { RunOptions } from './encoder-session.ts';
import { checkTexts, prepareText, requireTask, type EncoderTextModel } from './text-model.ts';

export type EmbedWish = Omit<EmbedOptions, 'signal' | 'onProgress'>;

/** Throws `invalid-argument` for texts and options that are out of range, `unsupported-operation` for a model of no vectors. */
export async function embed(
  model: EncoderTextModel,
  texts: readonly string[],
  wish: EmbedWish,
  run: RunOptions,
): Promise<Embeddings> {
  const { info, session } = model;
  requireTask(info, 'embed');
  checkTexts(texts, 'texts');
  const dimensions = chooseDimensions(info, wish.dimensions);
  const prompt = choosePrompt(info, wish);
  const prepared = texts.map((text, i) => prepareText(model, prompt + text, i));
  const whole = await session.run(prepared, 'embedding', run);
  return {
    ...vectorsOf(whole, info, dimensions, wish.normalize),
    tokens: prepared.reduce((sum, { ids }) => sum + ids.length, 0),
    truncated: prepared.flatMap(({ isTruncated }, i) => (isTruncated ? [i] : [])),
  };
}

/** Rows of the model's width as vectors of so many numbers, of length 1 where that is wished or the model's way. */
export function vectorsOf(
  whole: Float32Array<ArrayBuffer>,
  info: EncoderInfo,
  dimensions: number,
  normalize = info.normalize,
): Pick<Embeddings, 'data' | 'dimensions' | 'vectors'> {
  const data = dimensions === info.dimensions ? whole : firstColumns(whole, info.dimensions, dimensions);
  if (normalize) normalizeRows(data, dimensions);
  const count = data.length / dimensions;
  const vectors = Array.from({ length: count }, (_, i) => data.subarray(i * dimensions, (i + 1) * dimensions));
  return { data, dimensions, vectors };
}

export function chooseDimensions({ dimensions: all }: EncoderInfo, wish: number | undefined): number {
  if (wish === undefined) return all;
  if (Number.isInteger(wish) && wish >= 1 && wish <= all) return wish;
  throw new WpError(
    'invalid-argument',
    `dimensions is ${wish}; this model’s vectors have ${all}.`,
    `Allowed are 1 to ${all}; models trained for it (Matryoshka) lose little by fewer.`,
    { actual: wish, allowed: [1, all] },
  );
}

function choosePrompt({ prompts, defaultPrompt }: EncoderInfo, { prompt, promptName }: EmbedWish): string {
  if (prompt !== undefined && promptName !== undefined) {
    throw new WpError('invalid-argument', 'Both prompt and promptName were given.', 'Pass one of them.', {
      actual: { prompt, promptName },
    });
  }
  if (prompt !== undefined) {
    if (typeof prompt === 'string') return prompt;
    throw new WpError('invalid-argument', `prompt is ${typeof prompt}; it must be a text.`, '', { actual: prompt });
  }
  const name = promptName ?? defaultPrompt;
  if (name === undefined) return '';
  if (Object.hasOwn(prompts, name)) return prompts[name]!;
  const allowed = Object.keys(prompts);
  throw new WpError(
    'invalid-argument',
    `The model has no prompt ${JSON.stringify(name)}; ${allowed.length > 0 ? `it has: ${allowed.join(', ')}` : 'it has none'}.`,
    'Pass the text itself as prompt.',
    { actual: name, allowed },
  );
}

function firstColumns(rows: Float32Array, width: number, columns: number): Float32Array<ArrayBuffer> {
  const count = rows.length / width;
  const first = new Float32Array(count * columns);
  for (let i = 0; i < count; i++) first.set(rows.subarray(i * width, i * width + columns), i * columns);
  return first;
}

/** To length 1; a row of zeros stays one. */
function normalizeRows(rows: Float32Array, width: number): void {
  for (let at = 0; at < rows.length; at += width) {
    let square = 0;
    for (let i = at; i < at + width; i++) square += rows[i]! ** 2;
    // The least length is torch's.
    const scale = 1 / Math.max(Math.sqrt(square), 1e-12);
    for (let i = at; i < at + width; i++) rows[i]! *= scale;
  }
}
