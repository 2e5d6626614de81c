// The page's side of an encoder's calls: a chunk of its own, fetched with the first one.

import * as Comlink from 'comlink';
import { type Connection, onDeath } from './connection.ts';
import { abortError, throwIfAborted, WpError } from './errors.ts';
import type {
  Classification,
  ClassifyOptions,
  Embeddings,
  EmbedOptions,
  EncodeOptions,
  ImagePayload,
  ImageSource,
  Model,
  RankedDocument,
  ZeroShotOptions,
} from './model.ts';
import type { EncodeCall, EncodeEvent, EncodeResult, ModelId } from './protocol/messages.ts';
import { similarity } from './tasks/similarity.ts';
import type { EncoderInfo } from './types.ts';

type Items = Parameters<Model['embed']>[0];

export class RemoteEncoder implements Pick<Model, 'embed' | 'classify' | 'rerank' | 'zeroShot' | 'similarity'> {
  constructor(
    private readonly link: Connection,
    private readonly model: ModelId,
    /** Undefined for a model that writes: what it says to such calls is the worker's. */
    private readonly info: EncoderInfo | undefined,
  ) {}

  async embed(items: Items, { signal, onProgress, ...options }: EmbedOptions = {}): Promise<Embeddings> {
    const run = { signal, onProgress };
    if (this.#areImages(items)) {
      return (await this.#send(items, (images) => ({ task: 'embedImages', images, options }), run)) as Embeddings;
    }
    return (await this.#encode({ task: 'embed', texts: textList(items), options }, run)) as Embeddings;
  }

  async classify(items: Items, { aggregation, ...options }: ClassifyOptions = {}): Promise<Classification[][]> {
    const result = this.#areImages(items)
      ? this.#send(items, (images) => ({ task: 'classifyImages', images }), options)
      : this.#encode({ task: 'classify', texts: textList(items), aggregation }, options);
    return (await result) as Classification[][];
  }

  async rerank(query: string, documents: readonly string[], options: EncodeOptions = {}): Promise<RankedDocument[]> {
    return (await this.#encode({ task: 'rerank', query, documents }, options)) as RankedDocument[];
  }

  async zeroShot(
    items: ImageSource | readonly ImageSource[],
    labels: readonly string[],
    { template, multiLabel, ...options }: ZeroShotOptions = {},
  ): Promise<Classification[][]> {
    const toCall: ToCall = (images) => ({ task: 'zeroShot', images, labels, template });
    if (this.info?.images && multiLabel !== undefined) {
      const hint = 'Leave it out; SigLIP weighs each label by itself.';
      throw new WpError('invalid-argument', 'multiLabel is for texts; this model reads images.', hint, {
        actual: multiLabel,
      });
    }
    const call = this.info?.images
      ? this.#send(items, toCall, options)
      : this.#encode(
          { task: 'zeroShotTexts', texts: textList(items), labels, options: { template, multiLabel } },
          options,
        );
    return (await call) as Classification[][];
  }

  async similarity(a: ImageSource, b: ImageSource, options: EncodeOptions = {}): Promise<number> {
    const toCall: ToCall = (images) => ({ task: 'embedImages', images, options: {} });
    // The first one is an image, if the model reads any.
    const first = this.info?.images
      ? ((await this.#send(a, toCall, options)) as Embeddings)
      : await this.embed(a, options);
    const second = await this.embed(b, options);
    return similarity(first.vectors[0]!, second.vectors[0]!);
  }

  /** By a model that reads both, a string is a text. Throws for what the model does not read. */
  #areImages(items: Items): items is ImageSource | readonly ImageSource[] {
    const list: readonly unknown[] = Array.isArray(items) ? items : [items];
    const given = list.filter((item) => typeof item === 'object' && item !== null);
    const images = this.info?.images;
    if (images && !images.readsTexts) return true;
    if (given.length === 0) return false;
    if (images && given.length === list.length) return true;
    throw new WpError(
      'invalid-argument',
      images ? 'The list has texts and images.' : 'This model reads texts; it was given an image.',
      images ? 'Pass texts in one call and images in another; an image’s address is a URL object.' : 'Pass strings.',
      { actual: [...new Set(list.map((item) => typeof item))] },
    );
  }

  /** Images as what a worker can be sent. */
  async #send(
    items: ImageSource | readonly ImageSource[],
    toCall: ToCall,
    options: EncodeOptions,
  ): Promise<EncodeResult> {
    throwIfAborted(options.signal);
    const { toPayloads } = await import('./page-images.ts');
    const { payloads, transfer } = await toPayloads(items);
    throwIfAborted(options.signal);
    return this.#encode(toCall(payloads), options, transfer);
  }

  async #encode(
    call: EncodeCall,
    { signal, onProgress }: EncodeOptions,
    transfer: readonly Transferable[] = [],
  ): Promise<EncodeResult> {
    throwIfAborted(signal);
    const { link, model } = this;
    const { port1: port, port2 } = new MessageChannel();
    const abort = (): void => port.postMessage({ type: 'abort' });
    const release = link.hold();
    let forget = (): void => undefined;
    try {
      signal?.addEventListener('abort', abort);
      return await new Promise<EncodeResult>((resolve, reject) => {
        forget = onDeath(link, reject);
        port.onmessage = ({ data }: MessageEvent<EncodeEvent>) => {
          if (data.type === 'progress') onProgress?.({ done: data.done, total: data.total });
          else if (data.type === 'done') resolve(data.value);
          else if (data.type === 'aborted') reject(abortError(signal?.reason));
          else reject(WpError.fromData(data.error));
        };
        // Answers come on the port; the call itself fails only when its arguments cannot be sent.
        const request = Comlink.transfer({ model, call }, [...transfer]);
        link.service.encode(request, Comlink.transfer(port2, [port2])).catch(reject);
      });
    } finally {
      signal?.removeEventListener('abort', abort);
      port.close();
      forget();
      release();
    }
  }
}

type ToCall = (images: readonly ImagePayload[]) => EncodeCall;

/** What is no list of texts goes as it is to the worker, which says what is wrong with it. */
function textList(items: Items): readonly string[] {
  return typeof items === 'string' ? [items] : (items as readonly string[]);
}
