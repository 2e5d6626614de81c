// What people ask of models that read images: vectors, classes, and how well labels fit.

import { WpError } from '../errors.ts';
import type { Classification, Embeddings, EmbedOptions, ImagePayload } from '../model.ts';
import type { Similarity } from '../models/encoders/index.ts';
import type { EncoderInfo } from '../types.ts';
import { chooseDimensions, embed, vectorsOf } from './embed.ts';
import type { EncoderSession, RunOptions } from './encoder-session.ts';
import type { ImageSession } from './image-session.ts';
import { sigmoid, softmax } from './probabilities.ts';
import { checkTexts, requireTask, type EncoderTextModel } from './text-model.ts';

export interface ImageReader {
  info: EncoderInfo;
  session: Pick<ImageSession, 'run'>;
}

export interface EncoderImageModel extends ImageReader {
  session: ImageSession;
  /** Of a model of two towers. */
  towers: Towers | undefined;
}

export interface Towers {
  text: EncoderTextModel & { session: EncoderSession };
  probabilities: Similarity['probabilities'];
  /** A label's logit is scale · cosine + bias. */
  scale: number;
  bias: number;
}

export async function embedImages(
  { info, session }: ImageReader,
  images: readonly ImagePayload[],
  wish: Omit<EmbedOptions, 'signal' | 'onProgress'>,
  run: RunOptions,
): Promise<Embeddings> {
  const dimensions = chooseDimensions(info, wish.dimensions);
  const whole = await session.run(images, 'embedding', run);
  return { ...vectorsOf(whole, info, dimensions, wish.normalize), tokens: 0, truncated: [] };
}

/** For each image its classes, likeliest first. */
export async function classifyImages(
  { info, session }: ImageReader,
  images: readonly ImagePayload[],
  run: RunOptions,
): Promise<Classification[][]> {
  requireTask(info, 'classify');
  const { labels, isMultiLabel } = info;
  const logits = await session.run(images, 'logits', run);
  return images.map((_, i) => {
    const row = logits.subarray(i * labels.length, (i + 1) * labels.length);
    return ranked(labels, isMultiLabel ? Array.from(row, sigmoid) : softmax(row));
  });
}

/** As transformers' pipeline puts it. */
export const DEFAULT_TEMPLATE = 'This is a photo of {}.';

/** For each image the labels, best first. */
export async function zeroShot(
  { info, session, towers }: EncoderImageModel,
  images: readonly ImagePayload[],
  labels: readonly string[],
  template: string | undefined,
  run: RunOptions,
): Promise<Classification[][]> {
  requireTask(info, 'zeroShot');
  if (!towers) throw new WpError('internal', 'A model without a text tower was asked for labels.');
  const sentences = fillTemplate(labels, template ?? DEFAULT_TEMPLATE);
  const { data: texts, dimensions } = await embed(towers.text, sentences, { normalize: true }, { signal: run.signal });
  const rows = await embedImages({ info, session }, images, { normalize: true }, run);
  return rows.vectors.map((image) => {
    const logits = labels.map((_, j) => {
      let cosine = 0;
      for (let k = 0; k < dimensions; k++) cosine += image[k]! * texts[j * dimensions + k]!;
      return towers.scale * cosine + towers.bias;
    });
    return ranked(labels, towers.probabilities === 'softmax' ? softmax(logits) : logits.map(sigmoid));
  });
}

export function fillTemplate(labels: readonly string[], template: string): string[] {
  checkTexts(labels, 'labels');
  if (labels.length === 0) {
    throw new WpError('invalid-argument', 'There are no labels.', 'Pass at least one, better two: they are compared.', {
      actual: 0,
      allowed: '1 or more',
    });
  }
  if (typeof template === 'string' && template.includes('{}')) {
    return labels.map((label) => template.split('{}').join(label));
  }
  throw new WpError(
    'invalid-argument',
    `template is ${JSON.stringify(template)}; it must have {} where the label goes.`,
    `The default is ${JSON.stringify(DEFAULT_TEMPLATE)}.`,
    { actual: template },
  );
}

export function ranked(labels: readonly string[], scores: readonly number[]): Classification[] {
  return labels.map((label, i) => ({ label, score: scores[i]! })).sort((a, b) => b.score - a.score);
}
