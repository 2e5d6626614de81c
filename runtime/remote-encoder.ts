// The page's side of an encoder's calls: a chunk of its own, fetched with the first one.

import * as Comlink from 'comlink';
import type { Connection } from './connection.ts';
import { abortError, throwIfAborted, WpError } from './errors.ts';
import type { Classification, Embeddings, EmbedOptions, EncodeOptions, RankedDocument } from './model.ts';
import type { EncodeCall, EncodeEvent, EncodeResult, ModelId } from './protocol/messages.ts';

export async function embed(
  link: Connection,
  model: ModelId,
  texts: string | readonly string[],
  { signal, onProgress, ...options }: EmbedOptions = {},
): Promise<Embeddings> {
  const list = typeof texts === 'string' ? [texts] : texts;
  return (await encode(link, model, { task: 'embed', texts: list, options }, { signal, onProgress })) as Embeddings;
}

export async function classify(
  link: Connection,
  model: ModelId,
  texts: string | readonly string[],
  options: EncodeOptions = {},
): Promise<Classification[][]> {
  const list = typeof texts === 'string' ? [texts] : texts;
  return (await encode(link, model, { task: 'classify', texts: list }, options)) as Classification[][];
}

export async function rerank(
  link: Connection,
  model: ModelId,
  query: string,
  documents: readonly string[],
  options: EncodeOptions = {},
): Promise<RankedDocument[]> {
  return (await encode(link, model, { task: 'rerank', query, documents }, options)) as RankedDocument[];
}

async function encode(
  link: Connection,
  model: ModelId,
  call: EncodeCall,
  { signal, onProgress }: EncodeOptions,
): Promise<EncodeResult> {
  throwIfAborted(signal);
  const { port1: port, port2 } = new MessageChannel();
  const abort = (): void => port.postMessage({ type: 'abort' });
  const release = link.hold();
  try {
    signal?.addEventListener('abort', abort);
    return await new Promise<EncodeResult>((resolve, reject) => {
      void link.died.then(reject);
      port.onmessage = ({ data }: MessageEvent<EncodeEvent>) => {
        if (data.type === 'progress') onProgress?.({ done: data.done, total: data.total });
        else if (data.type === 'done') resolve(data.value);
        else if (data.type === 'aborted') reject(abortError(signal?.reason));
        else reject(WpError.fromData(data.error));
      };
      // Answers come on the port; the call itself fails only when its arguments cannot be sent.
      link.service.encode({ model, call }, Comlink.transfer(port2, [port2])).catch(reject);
    });
  } finally {
    signal?.removeEventListener('abort', abort);
    port.close();
    release();
  }
}
