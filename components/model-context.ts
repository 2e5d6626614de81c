// How an element finds its model: by context from the <wp-model> around it, or by `for="id"`. Neither depends on the
// order in which elements are defined, inserted or named: whoever provides a model announces it here, and whoever
// looks for one looks again.

import { createContext } from '@lit/context';
import type { ModelSession } from './model-session.ts';

/** The context of the nearest <wp-model>. Elements of other authors may request it too. */
export const modelContext = createContext<ModelSession>(Symbol.for('wp-models/model'));

const listeners = new Set<() => void>();

/** Says that a provider appeared, went, or changed its id or its model. */
export function announceProvider(): void {
  for (const listener of [...listeners]) listener();
}

/** Calls `listener` at each announcement until the returned function is called. */
export function onProvidersChanged(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** The session of the element with this id, in the seeker's own tree or in one around it. */
export function findSessionById(seeker: HTMLElement, id: string): ModelSession | undefined {
  let root = seeker.getRootNode();
  for (;;) {
    const found = root instanceof Document || root instanceof ShadowRoot ? root.getElementById(id) : null;
    // By its shape: <wp-embed> is in a script of its own, whose class of sessions is another.
    if (found && found !== seeker && 'session' in found && found.session instanceof EventTarget) {
      return found.session as ModelSession;
    }
    if (!(root instanceof ShadowRoot)) return undefined;
    root = root.host.getRootNode();
  }
}
