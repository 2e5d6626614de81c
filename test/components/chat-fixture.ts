// A chat with a fake model, for the tests of <wp-chat>.

import type { WpChat } from '../../components/index.ts';
import { FakeModel, installReadyLoader, type FakeModelOptions } from './fake-model.ts';
import { gate, mount, rendered } from './support.ts';

/** `restore` belongs into `afterEach`. */
export async function mountChat(
  options: FakeModelOptions = {},
  attributes = '',
): Promise<{ chat: WpChat; fake: FakeModel; restore: () => void }> {
  const fake = new FakeModel(options);
  const restore = installReadyLoader(fake);
  const chat = mount(`<wp-chat src="wp:fake" ${attributes}></wp-chat>`).querySelector('wp-chat')!;
  await chat.load();
  await chat.updateComplete;
  await import('../../components/internal/markdown-view.ts'); // the chat asked for it, too: it is there for the answer
  return { chat, fake, restore };
}

/** A step that the test opens, and an answer that stands still at it after its first sentence. */
export function haltingAnswer(): { step: ReturnType<typeof gate>; options: FakeModelOptions } {
  const step = gate();
  return {
    step,
    options: {
      answer: () => ['One sentence. ', 'And the rest.'],
      beforePiece: (index) => (index === 0 ? undefined : step.promise),
    },
  };
}

/** Sends a question, and waits until the first part of the answer is shown. */
export async function untilAnswering(chat: WpChat): Promise<{ done: Promise<void> }> {
  const firstPart = new Promise((resolve) => chat.addEventListener('wp-part', resolve, { once: true }));
  const done = chat.send('Speak.');
  await firstPart;
  await rendered();
  return { done };
}
