// What the tests of the elements share: mounting, waiting for a condition, looking into shadow roots, axe.

import 'axe-core';
import type { AxeResults, RunOptions } from 'axe-core';
import { expect } from '@esm-bundle/chai';
import '../../components/index.ts';
import type { WpChat } from '../../components/index.ts';

declare global {
  interface Window {
    axe: { run(context: Element, options?: RunOptions): Promise<AxeResults> };
  }
}

/** Puts HTML into a fresh box on the page; `removeMounted` in `afterEach` takes it away. */
export function mount(html: string): HTMLElement {
  const box = document.createElement('div');
  box.className = 'mounted';
  box.innerHTML = html;
  document.body.append(box);
  return box;
}

export function removeMounted(): void {
  for (const box of document.querySelectorAll('.mounted')) box.remove();
}

/** Resolves when the condition holds; fails with `what` after five seconds. */
export async function until(what: string, condition: () => unknown): Promise<void> {
  const deadline = performance.now() + 5000;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`Not reached: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** Two frames: what was asked to render has rendered. */
export async function rendered(): Promise<void> {
  for (let frame = 0; frame < 2; frame++) await new Promise((resolve) => setTimeout(resolve, 20));
}

export function inShadow<T extends Element = HTMLElement>(host: Element, selector: string): T {
  const found = host.shadowRoot?.querySelector<T>(selector);
  if (!found) throw new Error(`<${host.localName}> shows no ${selector}`);
  return found;
}

export function maybeInShadow(host: Element, selector: string): HTMLElement | null {
  return host.shadowRoot?.querySelector<HTMLElement>(selector) ?? null;
}

export const lastAnswer = (chat: WpChat): HTMLElement => {
  const answers = chat.shadowRoot!.querySelectorAll<HTMLElement>('.turn.assistant');
  const last = answers[answers.length - 1];
  if (!last) throw new Error('There is no answer');
  return last;
};

export const spoken = (chat: WpChat): string => inShadow(chat, '.announcer').textContent ?? '';

export function press(target: Element, key: string, init: KeyboardEventInit = {}): KeyboardEvent {
  const event = new KeyboardEvent('keydown', { key, bubbles: true, composed: true, cancelable: true, ...init });
  target.dispatchEvent(event);
  return event;
}

export function type(chat: WpChat, text: string): HTMLTextAreaElement {
  const input = inShadow<HTMLTextAreaElement>(chat, '.composer textarea');
  input.value = text;
  input.dispatchEvent(new InputEvent('input', { bubbles: true, composed: true }));
  return input;
}

/** A promise that the test resolves. */
export function gate(): { promise: Promise<void>; open: () => void } {
  let open!: () => void;
  const promise = new Promise<void>((resolve) => (open = resolve));
  return { promise, open };
}

/** Fails with what axe found, in words. Rules about whole pages do not apply to a piece of one. */
export async function expectAccessible(element: Element): Promise<void> {
  await settleAnimations(element);
  const { violations } = await window.axe.run(element, {
    rules: { region: { enabled: false }, 'page-has-heading-one': { enabled: false } },
  });
  const report = violations.map(
    ({ id, help, nodes }) =>
      `${id}: ${help}\n${nodes.map((node) => `  ${node.target.join(' ')} ${node.failureSummary}`).join('\n')}`,
  );
  expect(report.join('\n')).to.equal('');
}

/** Half-faded text has no contrast: what fades in is brought to its end, what repeats is left alone. */
async function settleAnimations(box: Element): Promise<void> {
  for (const element of [box, ...box.querySelectorAll('*')]) {
    for (const animation of element.shadowRoot?.getAnimations() ?? []) {
      if (animation.effect?.getComputedTiming().endTime !== Infinity) animation.finish();
    }
  }
  await rendered();
}
