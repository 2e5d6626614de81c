// A model of an ONNX file that is ready, on the worker's side: tensors in and out, and for an encoder the tasks on top.

import { WpError } from '../../errors.ts';
import type { OnnxSession } from '../../onnx/session.ts';
import type { EncodeRequest, EncodeResult, TensorCall, TensorResult } from '../../protocol/messages.ts';
import type { RunOptions } from '../../tasks/encoder-session.ts';
import type { MemoryReport, ModelInfo } from '../../types.ts';
import type { HostedModel } from '../loaded-model.ts';
import type { OnnxTasks } from './found-tasks.ts';

export class LoadedOnnx implements HostedModel {
  readonly #disposal = new AbortController();
  readonly tuningSignal = this.#disposal.signal;

  constructor(
    readonly info: ModelInfo,
    private readonly session: OnnxSession,
    /** Undefined: nothing but tensors. */
    private readonly tasks: OnnxTasks | undefined,
  ) {}

  async run(call: TensorCall): Promise<TensorResult> {
    if (call.do === 'run') return this.session.run(call, this.#disposal.signal);
    if (call.do === 'read') return { tensor: await this.session.read(call.device) };
    this.session.release(call.device);
    return {};
  }

  /** Rejects with an AbortError when `run.signal` aborts or the model is disposed. */
  encode({ call }: EncodeRequest, run: RunOptions): Promise<EncodeResult> {
    const signal = run.signal ? AbortSignal.any([run.signal, this.#disposal.signal]) : this.#disposal.signal;
    if (!this.tasks) throw this.#cannot(call.task);
    return this.tasks.encode(call, { ...run, signal });
  }

  generate(): never {
    throw this.#cannot('write');
  }

  tokenize(text: string): number[] {
    if (!this.tasks?.tokenize) throw this.#cannot('tokenize');
    return this.tasks.tokenize(text);
  }

  logits(): never {
    throw this.#cannot('predict tokens by logits()');
  }

  memory(): MemoryReport {
    const { weights } = this.info.plan.memory;
    const activations = this.session.keptBytes;
    return {
      planned: this.info.plan.memory,
      // What the runtime takes for a run it does not tell.
      actual: { weights, keyValueCache: 0, activations, other: 0, total: weights + activations },
      contextUsed: 0,
      contextLength: this.info.plan.contextLength,
    };
  }

  benchmark(): never {
    throw this.#cannot('write, which is what benchmark() measures');
  }

  tune(): never {
    throw this.#cannot('be tuned');
  }

  stopTuning(): void {
    // Nothing is ever tuned.
  }

  async dispose(): Promise<void> {
    this.#disposal.abort();
    await this.session.dispose();
  }

  #cannot(what: string): WpError {
    const allowed = ['run', ...(this.info.encoder?.tasks ?? [])];
    return new WpError(
      'unsupported-operation',
      `${this.info.onnx?.file ?? 'This ONNX file'} cannot ${what}. It can ${allowed.join(', ')}.`,
      `Call ${allowed.map((task) => `model.${task}()`).join(' or ')}.`,
      { actual: what, allowed },
    );
  }
}
