// The attributes that say how answers are generated. One that is absent leaves the matter to the model.

import { property } from 'lit/decorators.js';
import type { GenerationOptions } from '../runtime/index.ts';
import { numberAttribute, textAttribute } from './internal/attributes.ts';
import { ModelSourceElement } from './model-source-element.ts';

export abstract class GenerationElement extends ModelSourceElement {
  /** 0 always takes the likeliest token. */
  @property({ converter: numberAttribute }) temperature: number | undefined;

  /** The most tokens of an answer. */
  @property({ attribute: 'max-tokens', converter: numberAttribute }) maxTokens: number | undefined;

  /** Keep the k likeliest tokens. */
  @property({ attribute: 'top-k', converter: numberAttribute }) topK: number | undefined;

  /** Keep the likeliest tokens whose probabilities sum to p. */
  @property({ attribute: 'top-p', converter: numberAttribute }) topP: number | undefined;

  /** Drop tokens less likely than this share of the likeliest. */
  @property({ attribute: 'min-p', converter: numberAttribute }) minP: number | undefined;

  /** Above 1, words that appeared become less likely. */
  @property({ attribute: 'repetition-penalty', converter: numberAttribute }) repetitionPenalty: number | undefined;

  /** The same seed gives the same answers. */
  @property({ converter: numberAttribute }) seed: number | undefined;

  /** A text before which an answer ends; as a property, several. */
  @property({ attribute: 'stop-at', converter: textAttribute }) stopAt: string | readonly string[] | undefined;

  /** Only what was given. */
  protected generationOptions(): GenerationOptions {
    const { temperature, maxTokens, topK, topP, minP, repetitionPenalty, seed, stopAt } = this;
    const options = { temperature, maxTokens, topK, topP, minP, repetitionPenalty, seed, stop: stopAt };
    return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
  }
}
