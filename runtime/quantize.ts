// The page's side of quantising a model into files. The work is the worker's (host/quantize/); its pieces come here one by one.

import * as Comlink from 'comlink';
import { connection } from './client.ts';
import { onDeath } from './connection.ts';
import { embeddedBase } from './environment.ts';
import { abortError, throwIfAborted, WpError } from './errors.ts';
import type { QuantizeEvent, QuantizeRequest } from './protocol/messages.ts';
import type { ModelSource, QuantizedModel, QuantizeOptions, QuantizePlan } from './types.ts';

/**
 * Quantises a model tensor by tensor, into one GGUF file or a folder of safetensors: what `loadModel` and others load.
 *
 * @param source As for `loadModel`: a Hugging Face id, a folder, a GGUF file, or the Files of these.
 * @throws WpError `invalid-argument` for options that are not allowed, `unsupported-format` for what the output cannot hold,
 *   and all that a load throws; AbortError when `options.signal` aborts. What `write` took stays: `onPlan` lets a run go on.
 */
export async function quantize(source: ModelSource, options: QuantizeOptions): Promise<QuantizedModel> {
  throwIfAborted(options.signal);
  const link = await connection();
  const { port1: port, port2 } = new MessageChannel();
  const gathered = new Map<string, Uint8Array[]>();
  const take = async (file: string, start: number, bytes: Uint8Array): Promise<void> => {
    if (options.write) return options.write(file, start, bytes);
    const pieces = gathered.get(file) ?? [];
    gathered.set(file, pieces);
    const length = pieces.reduce((sum, piece) => sum + piece.length, 0);
    if (start > length) pieces.push(new Uint8Array(start - length));
    pieces.push(bytes);
  };
  let plan: QuantizePlan | undefined;
  const release = link.hold();
  let forget = (): void => undefined;
  const abort = (): void => port.postMessage({ type: 'abort' });
  try {
    options.signal?.addEventListener('abort', abort);
    await new Promise<void>((resolve, reject) => {
      forget = onDeath(link, reject);
      const answer = (bytes: number): void => port.postMessage({ type: 'taken', bytes });
      const fail = (thrown: unknown): void => {
        abort();
        reject(thrown as Error);
      };
      port.onmessage = ({ data }: MessageEvent<QuantizeEvent>) => {
        switch (data.type) {
          case 'progress':
            options.onProgress?.(data.progress);
            return;
          case 'plan':
            plan = data.plan;
            Promise.resolve(options.onPlan?.(data.plan) ?? 0).then(answer, fail);
            return;
          case 'data':
            take(data.file, data.start, data.bytes).then(() => answer(data.bytes.length), fail);
            return;
          case 'state':
            Promise.resolve(options.onState?.(data.state)).then(() => answer(0), fail);
            return;
          case 'done':
            resolve();
            return;
          case 'aborted':
            reject(abortError(options.signal?.reason));
            return;
          case 'failed':
            reject(WpError.fromData(data.error));
        }
      };
      link.service.quantize(toRequest(source, options), Comlink.transfer(port2, [port2])).catch(reject);
    });
    const { header: _, ...rest } = plan!;
    const files = [...gathered].map(([name, pieces]) => ({ name, bytes: joined(pieces) }));
    return { ...rest, files };
  } finally {
    options.signal?.removeEventListener('abort', abort);
    port.close();
    forget();
    release();
  }
}

function toRequest(source: ModelSource, options: QuantizeOptions): QuantizeRequest {
  const { bits, scheme, groupSize, mixedPrecision, perLayer, calibration } = options;
  const text = source instanceof URL ? source.href : source;
  return {
    source: text,
    embeddedBase: embeddedBase(),
    headers: options.headers,
    options: { bits, scheme, groupSize, mixedPrecision, perLayer },
    output: options.output ?? 'gguf',
    name: options.name ?? nameOf(text),
    method: options.method ?? (calibration === undefined ? 'search' : 'gptq'),
    calibration,
    budgetBytes: options.budgetBytes,
    state: options.state,
    keepsState: options.onState !== undefined,
    threads: (globalThis as { navigator?: { hardwareConcurrency?: number } }).navigator?.hardwareConcurrency ?? 1,
  };
}

function nameOf(source: string | readonly File[]): string {
  if (typeof source !== 'string') return 'model';
  const last = source.replace(/\/+$/, '').split(/[/:]/).at(-1) ?? 'model';
  return last.replace(/\.(?:gguf|safetensors)$/i, '').replace(/[^\w.-]+/g, '-') || 'model';
}

function joined(pieces: readonly Uint8Array[]): Uint8Array {
  const result = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    result.set(piece, at);
    at += piece.length;
  }
  return result;
}
