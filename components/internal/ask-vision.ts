// What <wp-vision> asks its model: each task as one call that answers with scores, best first.

import { similarity, type Classification, type ImageSource, type Model } from '../../runtime/index.ts';

export type VisionTask = 'classify' | 'zero-shot' | 'similarity';

export interface VisionQuestion {
  task: VisionTask;
  labels: readonly string[];
  template: string | undefined;
  /** For `similarity`: the other image, instead of the labels. */
  reference: ImageSource | undefined;
}

/** An empty list where there is nothing to compare with. Throws what the model throws. */
export async function askVision(
  model: Model,
  image: ImageSource,
  { task, labels, template, reference }: VisionQuestion,
  signal: AbortSignal,
): Promise<readonly Classification[]> {
  if (task === 'classify') return (await model.classify([image], { signal }))[0]!;
  if (task === 'similarity' && reference !== undefined) {
    return [{ label: 'Likeness', score: await model.similarity(image, reference, { signal }) }];
  }
  if (labels.length === 0) return [];
  if (task === 'zero-shot') return (await model.zeroShot([image], labels, { template, signal }))[0]!;
  const [vector] = (await model.embed([image], { signal })).vectors;
  const { vectors } = await model.embed(labels, { signal });
  return labels
    .map((label, i) => ({ label, score: similarity(vector!, vectors[i]!) }))
    .sort((a, b) => b.score - a.score);
}

/** A cosine is no share of a hundred. */
export const formatScore = (task: VisionTask, score: number): string =>
  task === 'similarity' ? score.toFixed(2) : `${(100 * score).toFixed(1)} %`;
