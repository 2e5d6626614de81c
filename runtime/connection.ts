// A running worker as the rest of the page's side sees it. Made by client.ts, used by remote-model.ts.

import type * as Comlink from 'comlink';
import { WpError } from './errors.ts';
import type { Reply, RuntimeService } from './protocol/messages.ts';

/** A running worker, and the operations that must hear of its death. */
export interface Connection {
  readonly service: Comlink.Remote<RuntimeService>;
  /** Resolves only if the worker dies: see `onDeath`. */
  readonly died: Promise<WpError>;
  /** Keeps a Node process alive while something is under way or a model is held; returns the release. */
  hold(): () => void;
}

interface Listeners {
  all: Set<(error: WpError) => void>;
  error: WpError | undefined;
}

const listenersOf = new WeakMap<Promise<WpError>, Listeners>();

/**
 * Calls back when the worker dies, until the returned function is called. A `then` of each call's own would stay on `died`, with
 * the answer that it led to, for as long as the worker lives.
 */
export function onDeath({ died }: Connection, listener: (error: WpError) => void): () => void {
  let listeners = listenersOf.get(died);
  if (!listeners) {
    const made: Listeners = { all: new Set(), error: undefined };
    listeners = made;
    listenersOf.set(died, made);
    void died.then((error) => {
      made.error = error;
      for (const each of made.all) each(error);
    });
  }
  if (listeners.error) listener(listeners.error);
  const { all } = listeners;
  all.add(listener);
  return () => all.delete(listener);
}

/** The value of a reply, or its WpError thrown; also throws when the worker dies before it answers. */
export async function unwrap<T>(link: Connection, reply: Promise<Reply<T>>): Promise<T> {
  const release = link.hold();
  let forget = (): void => undefined;
  try {
    const answer = await new Promise<Reply<T>>((resolve, reject) => {
      forget = onDeath(link, reject);
      reply.then(resolve, reject);
    });
    if (!answer.ok) throw WpError.fromData(answer.error);
    return answer.value;
  } finally {
    forget();
    release();
  }
}
