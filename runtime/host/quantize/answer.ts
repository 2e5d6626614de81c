// The worker's end of one quantisation: plan and pieces go out, each waits until it was taken.

import { abortError, isAbortError, WpError } from '../../errors.ts';
import type { AbortMessage, QuantizeAnswer, QuantizeEvent, QuantizeRequest } from '../../protocol/messages.ts';
import type { BackendPool } from '../backend-pool.ts';
import { quantizeModel } from './quantize-model.ts';

/** Pieces are no longer than this: what is under way between the two sides stays small. */
const PIECE_BYTES = 8 * 2 ** 20;

export async function answerQuantize(
  request: QuantizeRequest,
  port: MessagePort,
  backends: BackendPool,
): Promise<void> {
  const controller = new AbortController();
  let heard: ((bytes: number) => void) | undefined;
  let stopped: (() => void) | undefined;
  port.onmessage = ({ data }: MessageEvent<AbortMessage | QuantizeAnswer>) => {
    if (data.type === 'abort') {
      controller.abort();
      stopped?.();
    } else heard?.(data.bytes);
  };
  const send = (event: QuantizeEvent): void => port.postMessage(event);
  const ask = async (event: QuantizeEvent): Promise<number> => {
    const answer = new Promise<number>((resolve, reject) => {
      heard = resolve;
      stopped = () => reject(abortError());
      if (controller.signal.aborted) stopped();
    });
    send(event);
    return answer;
  };
  try {
    await quantizeModel(request, {
      backends,
      signal: controller.signal,
      onProgress: (progress) => send({ type: 'progress', progress }),
      plan: (plan) => ask({ type: 'plan', plan }),
      async state(state) {
        await ask({ type: 'state', state });
      },
      async write(file, start, bytes) {
        for (let at = 0; at < bytes.length; at += PIECE_BYTES) {
          await ask({ type: 'data', file, start: start + at, bytes: bytes.slice(at, at + PIECE_BYTES) });
        }
      },
    });
    send({ type: 'done' });
  } catch (thrown) {
    send(isAbortError(thrown) ? { type: 'aborted' } : { type: 'failed', error: WpError.from(thrown).toData() });
  } finally {
    port.onmessage = null;
  }
}
