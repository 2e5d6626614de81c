// What the files of a model of two towers (texts and images in one space) leave unsaid, by its type.
// Sources: the configuration, processing and pipeline files of transformers.

import type { Config } from './companion-files.ts';

export interface TowerTraits {
  /** Positions of the text tower where config.json is silent. */
  maxTokens: number;
  /** Texts are filled with padding, which is attended to, and the vector is the pooler's. */
  padsToEnd: boolean;
  /** What makes labels' scores of their logits. */
  probabilities: 'softmax' | 'sigmoid';
}

const TRAITS: Readonly<Record<string, TowerTraits>> = {
  clip: { maxTokens: 77, padsToEnd: false, probabilities: 'softmax' },
  siglip: { maxTokens: 64, padsToEnd: true, probabilities: 'sigmoid' },
};

/** Undefined for another model, the config.json of one tower of these included. */
export function towersOf({ model_type: type }: Config): TowerTraits | undefined {
  return typeof type === 'string' && Object.hasOwn(TRAITS, type) ? TRAITS[type] : undefined;
}
