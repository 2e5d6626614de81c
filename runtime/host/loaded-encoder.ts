// A text encoder that is ready, on the worker's side. What only a model that writes can do is refused, by naming what this one can.

import { WpError } from '../errors.ts';
import type { EncodeRequest, EncodeResult } from '../protocol/messages.ts';
import { classify, rerank } from '../tasks/classify.ts';
import { classifyTokens } from '../tasks/classify-tokens.ts';
import { embed } from '../tasks/embed.ts';
import type { EncoderSession, RunOptions } from '../tasks/encoder-session.ts';
import type { EncoderTextModel } from '../tasks/text-model.ts';
import { zeroShotTexts } from '../tasks/zero-shot-text.ts';
import type { MemoryReport, ModelInfo } from '../types.ts';
import type { HostedModel } from './loaded-model.ts';

export class LoadedEncoder implements HostedModel {
  readonly #disposal = new AbortController();
  readonly tuningSignal = this.#disposal.signal;
  readonly #model: EncoderTextModel & { session: EncoderSession };

  constructor(
    readonly info: ModelInfo,
    model: EncoderTextModel & { session: EncoderSession },
  ) {
    this.#model = model;
  }

  /** Rejects with an AbortError when `run.signal` aborts or the model is disposed. */
  async encode({ call }: EncodeRequest, run: RunOptions): Promise<EncodeResult> {
    const signal = run.signal ? AbortSignal.any([run.signal, this.#disposal.signal]) : this.#disposal.signal;
    const options = { ...run, signal };
    switch (call.task) {
      case 'embed':
        return embed(this.#model, call.texts, call.options, options);
      case 'classify':
        if (this.#model.info.labelsTokens) return classifyTokens(this.#model, call.texts, call.aggregation, options);
        if (call.aggregation === undefined) return classify(this.#model, call.texts, options);
        throw new WpError('invalid-argument', 'aggregation is for models that label tokens.', 'Leave it out.', {
          actual: call.aggregation,
        });
      case 'zeroShotTexts':
        return zeroShotTexts(this.#model, call.texts, call.labels, call.options, options);
      case 'rerank':
        return rerank(this.#model, call.query, call.documents, options);
      default:
        throw this.#cannot('read images');
    }
  }

  generate(): never {
    throw this.#cannot('chat');
  }

  tokenize(text: string): number[] {
    return this.#model.tokenizer.encode(text, { addSpecialTokens: false });
  }

  logits(): never {
    throw this.#cannot('predict tokens');
  }

  memory(): MemoryReport {
    const use = this.#model.session.program.memory();
    const { weights, keyValueCache, activations, other } = use;
    return {
      planned: this.info.plan.memory,
      actual: { ...use, total: weights + keyValueCache + activations + other },
      contextUsed: 0,
      contextLength: this.#model.info.maxTokens,
    };
  }

  benchmark(): never {
    throw this.#cannot('write, which is what benchmark() measures');
  }

  tune(): never {
    throw this.#cannot('be tuned yet');
  }

  stopTuning(): void {
    // Nothing is ever tuned.
  }

  async dispose(): Promise<void> {
    this.#disposal.abort();
    await this.#model.session.dispose();
  }

  #cannot(what: string): WpError {
    const { tasks } = this.#model.info;
    return new WpError(
      'unsupported-operation',
      `A ${this.info.modelType} cannot ${what}: it encodes texts. It can ${tasks.join(' and ')}.`,
      `Call ${tasks.map((task) => `model.${task}()`).join(' or ')}, or load a model that writes.`,
      { modelType: this.info.modelType, allowed: tasks },
    );
  }
}
