// A running worker as the rest of the page's side sees it. Made by client.ts, used by remote-model.ts.

import type * as Comlink from 'comlink';
import { WpError } from './errors.ts';
import type { Reply, RuntimeService } from './protocol/messages.ts';

/** A running worker, and the operations that must hear of its death. */
export interface Connection {
  readonly service: Comlink.Remote<RuntimeService>;
  /** Resolves only if the worker dies: race it with whatever waits for an answer. */
  readonly died: Promise<WpError>;
  /** Keeps a Node process alive while something is under way or a model is held; returns the release. */
  hold(): () => void;
}

/** The value of a reply, or its WpError thrown; also throws when the worker dies before it answers. */
export async function unwrap<T>(link: Connection, reply: Promise<Reply<T>>): Promise<T> {
  const release = link.hold();
  try {
    const answer = await Promise.race([reply, link.died]);
    if (answer instanceof WpError) throw answer;
    if (!answer.ok) throw WpError.fromData(answer.error);
    return answer.value;
  } finally {
    release();
  }
}
