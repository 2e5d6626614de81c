// The worker's end of one call to an encoder: progress goes out, an abort comes in, the result ends it.

import { isAbortError, WpError } from '../errors.ts';
import type { AbortMessage, EncodeEvent, EncodeRequest } from '../protocol/messages.ts';
import type { HostedModel } from './loaded-model.ts';

/** Progress is said at most this often. */
const PROGRESS_INTERVAL_MS = 100;

export async function answerEncode(request: EncodeRequest, port: MessagePort, find: () => HostedModel): Promise<void> {
  const controller = new AbortController();
  port.onmessage = ({ data }: MessageEvent<AbortMessage>) => {
    if (data.type === 'abort') controller.abort();
  };
  let lastSaid = -Infinity;
  try {
    const model = find();
    if (!model.encode) {
      throw new WpError(
        'unsupported-operation',
        `A ${model.info.modelType} cannot ${request.call.task} texts: it writes.`,
        'Call model.chat() or model.complete(), or load an encoder (bert, mpnet, xlm-roberta, …).',
        { modelType: model.info.modelType, allowed: ['chat', 'complete'] },
      );
    }
    const value = await model.encode(request, {
      signal: controller.signal,
      onProgress(done, total) {
        const now = performance.now();
        if (done < total && now - lastSaid < PROGRESS_INTERVAL_MS) return;
        lastSaid = now;
        port.postMessage({ type: 'progress', done, total } satisfies EncodeEvent);
      },
    });
    // The vectors are views of `data`: they arrive as views of what was transferred.
    const transferred = 'data' in value ? [value.data.buffer] : [];
    port.postMessage({ type: 'done', value } satisfies EncodeEvent, transferred);
  } catch (thrown) {
    const event: EncodeEvent = isAbortError(thrown)
      ? { type: 'aborted' }
      : { type: 'failed', error: WpError.from(thrown).toData() };
    port.postMessage(event);
  } finally {
    port.onmessage = null;
  }
}
