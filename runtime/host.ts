// The worker's side of the protocol: it answers the page's calls, and is the only place, with host/, that knows backends and
// models both. What a load does is told in host/load.ts; what a loaded model can do in host/loaded-model.ts.

import * as Comlink from 'comlink';
import { detectCapabilities } from './capabilities/detect.ts';
import { isAbortError, WpError } from './errors.ts';
import { BackendPool } from './host/backend-pool.ts';
import { load } from './host/load.ts';
import type { HostedModel } from './host/loaded-model.ts';
import type {
  AbortMessage,
  EncodeRequest,
  GenerateEvent,
  GenerateRequest,
  LoadEvent,
  LoadRequest,
  ModelId,
  QuantizeRequest,
  Reply,
  RuntimeService,
  TensorCall,
  TensorResult,
} from './protocol/messages.ts';
import type { TuningWish } from './host/tuning.ts';
import type { BenchmarkResult, BenchmarkSizes, Capabilities, MemoryReport, TuningReport } from './types.ts';

export class RuntimeHost implements RuntimeService {
  readonly #backends = new BackendPool();
  readonly #models = new Map<ModelId, HostedModel>();
  #nextId: ModelId = 1;

  capabilities(): Promise<Reply<Capabilities>> {
    return reply(() => detectCapabilities());
  }

  async load(request: LoadRequest, port: MessagePort): Promise<void> {
    const { send, signal, close } = operation<LoadEvent>(port);
    try {
      const model = await load(request, {
        backends: this.#backends,
        signal,
        onProgress: (progress) => send({ type: 'progress', progress }),
      });
      if (signal.aborted) {
        await model.dispose();
        send({ type: 'aborted' });
        return;
      }
      const id = this.#nextId++;
      this.#models.set(id, model);
      send({ type: 'loaded', model: id, info: model.info });
    } catch (thrown) {
      send(isAbortError(thrown) ? { type: 'aborted' } : { type: 'failed', error: WpError.from(thrown).toData() });
    } finally {
      close();
    }
  }

  async generate(request: GenerateRequest, port: MessagePort): Promise<void> {
    const { send, signal, close } = operation<GenerateEvent>(port);
    try {
      for await (const part of this.#model(request.model).generate(request.prompt, request.options, signal)) {
        if (part.done && part.finishReason === 'abort') send({ type: 'aborted', part });
        else send({ type: 'part', part });
      }
    } catch (thrown) {
      send({ type: 'failed', error: WpError.from(thrown).toData() });
    } finally {
      close();
    }
  }

  /** The code comes with the first call: few pages quantise. */
  async quantize(request: QuantizeRequest, port: MessagePort): Promise<void> {
    const { answerQuantize } = await import('./host/quantize/answer.ts');
    await answerQuantize(request, port, this.#backends);
  }

  async encode(request: EncodeRequest, port: MessagePort): Promise<void> {
    const { answerEncode } = await import('./host/encoder-answer.ts');
    await answerEncode(request, port, () => this.#model(request.model));
  }

  async run(model: ModelId, call: TensorCall): Promise<Reply<TensorResult>> {
    const { answerRun } = await import('./host/onnx/answer-run.ts');
    return answerRun(call, () => this.#model(model));
  }

  tokenize(model: ModelId, text: string): Promise<Reply<number[]>> {
    return reply(() => this.#model(model).tokenize(text));
  }

  async logits(model: ModelId, tokens: readonly number[]): Promise<Reply<Float32Array>> {
    const answer = await reply(() => this.#model(model).logits(tokens));
    return answer.ok ? Comlink.transfer(answer, [answer.value.buffer as ArrayBuffer]) : answer;
  }

  memory(model: ModelId): Promise<Reply<MemoryReport>> {
    return reply(() => this.#model(model).memory());
  }

  benchmark(model: ModelId, sizes: BenchmarkSizes): Promise<Reply<BenchmarkResult>> {
    return reply(() => this.#model(model).benchmark(sizes));
  }

  tune(model: ModelId, options: TuningWish): Promise<Reply<TuningReport>> {
    return reply(() => this.#model(model).tune(options));
  }

  stopTuning(model: ModelId): Promise<Reply<null>> {
    return reply(() => {
      this.#model(model).stopTuning();
      return null;
    });
  }

  dispose(model: ModelId): Promise<Reply<null>> {
    return reply(async () => {
      const disposed = this.#models.get(model);
      this.#models.delete(model);
      await disposed?.dispose();
      return null;
    });
  }

  #model(id: ModelId): HostedModel {
    const model = this.#models.get(id);
    if (!model) throw new WpError('disposed', 'This model has been disposed.', 'Load it again with loadModel().');
    return model;
  }
}

async function reply<T>(work: () => T | Promise<T>): Promise<Reply<T>> {
  try {
    return { ok: true, value: await work() };
  } catch (thrown) {
    return { ok: false, error: WpError.from(thrown).toData() };
  }
}

/** The worker's end of one long operation: events go out, an abort comes in. */
function operation<Event>(port: MessagePort): { send: (event: Event) => void; signal: AbortSignal; close: () => void } {
  const controller = new AbortController();
  port.onmessage = ({ data }: MessageEvent<AbortMessage>) => {
    if (data.type === 'abort') controller.abort();
  };
  return {
    send: (event) => port.postMessage(event),
    signal: controller.signal,
    // The page closes the port when it has heard the last event: closing here could drop what is still on its way.
    close: () => (port.onmessage = null),
  };
}
