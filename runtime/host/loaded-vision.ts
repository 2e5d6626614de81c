// A model that reads images, and perhaps texts, on the worker's side.

import { WpError } from '../errors.ts';
import type { EncodeRequest, EncodeResult } from '../protocol/messages.ts';
import { embed } from '../tasks/embed.ts';
import type { RunOptions } from '../tasks/encoder-session.ts';
import { classifyImages, embedImages, zeroShot, type EncoderImageModel } from '../tasks/image-tasks.ts';
import { requireTask } from '../tasks/text-model.ts';
import type { MemoryReport, ModelInfo } from '../types.ts';
import type { HostedModel } from './loaded-model.ts';

export class LoadedVision implements HostedModel {
  readonly #disposal = new AbortController();
  readonly tuningSignal = this.#disposal.signal;
  readonly #model: EncoderImageModel;

  constructor(
    readonly info: ModelInfo,
    model: EncoderImageModel,
  ) {
    this.#model = model;
  }

  /** Rejects with an AbortError when `run.signal` aborts or the model is disposed. */
  async encode({ call }: EncodeRequest, run: RunOptions): Promise<EncodeResult> {
    const signal = run.signal ? AbortSignal.any([run.signal, this.#disposal.signal]) : this.#disposal.signal;
    const options = { ...run, signal };
    const model = this.#model;
    switch (call.task) {
      case 'embedImages':
        return embedImages(model, call.images, call.options, options);
      case 'classifyImages':
        return classifyImages(model, call.images, options);
      case 'zeroShot':
        return zeroShot(model, call.images, call.labels, call.template, options);
      case 'embed':
        if (model.towers) return embed(model.towers.text, call.texts, call.options, options);
        throw this.#cannot('embed texts');
      default:
        requireTask(model.info, call.task === 'zeroShotTexts' ? 'zeroShot' : call.task);
        throw this.#cannot(`${call.task === 'zeroShotTexts' ? 'label' : call.task} texts`);
    }
  }

  generate(): never {
    throw this.#cannot('chat');
  }

  tokenize(text: string): number[] {
    const { towers } = this.#model;
    if (!towers) throw this.#cannot('read texts');
    return towers.text.tokenizer.encode(text, { addSpecialTokens: false });
  }

  logits(): never {
    throw this.#cannot('predict tokens');
  }

  memory(): MemoryReport {
    const { session, towers } = this.#model;
    const uses = [session.program.memory(), ...(towers ? [towers.text.session.program.memory()] : [])];
    const sum = (part: keyof (typeof uses)[number]) => uses.reduce((total, use) => total + use[part], 0);
    const actual = {
      weights: sum('weights'),
      keyValueCache: sum('keyValueCache'),
      activations: sum('activations'),
      other: sum('other'),
    };
    return {
      planned: this.info.plan.memory,
      actual: { ...actual, total: actual.weights + actual.keyValueCache + actual.activations + actual.other },
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
    await this.#model.towers?.text.session.dispose();
  }

  #cannot(what: string): WpError {
    const { tasks } = this.#model.info;
    return new WpError(
      'unsupported-operation',
      `A ${this.info.modelType} cannot ${what}: it encodes images. It can ${tasks.join(' and ')}.`,
      `Call ${tasks.map((task) => `model.${task}()`).join(' or ')} with images, or load another model.`,
      { modelType: this.info.modelType, allowed: tasks },
    );
  }
}
