// <wp-chat>: sending, streaming, stopping, answering again, copying, clearing; by mouse, keyboard and method.

import { expect } from '@esm-bundle/chai';
import type { WpChat } from '../../components/index.ts';
import { haltingAnswer, mountChat as mountChatWithFake, untilAnswering } from './chat-fixture.ts';
import type { FakeModel, FakeModelOptions } from './fake-model.ts';
import { inShadow, lastAnswer, maybeInShadow, press, removeMounted, rendered, spoken, type, until } from './support.ts';

describe('wp-chat', () => {
  let restore = () => {};
  let fake: FakeModel;

  afterEach(() => {
    removeMounted();
    restore();
  });

  async function mountChat(options?: FakeModelOptions, attributes?: string): Promise<WpChat> {
    const mounted = await mountChatWithFake(options, attributes);
    ({ fake, restore } = mounted);
    return mounted.chat;
  }

  async function mountAnswering() {
    const { step, options } = haltingAnswer();
    const chat = await mountChat(options);
    return { chat, step, ...(await untilAnswering(chat)) };
  }

  it('sends what is in the field and shows the answer as Markdown', async () => {
    const chat = await mountChat({ answer: () => ['Some **bold', '** words.'] });
    const input = type(chat, 'Hello');
    await chat.updateComplete;
    press(input, 'Enter');
    await until('answered', () => chat.messages.length === 2 && chat.state === 'ready');
    await until('formatted', () => lastAnswer(chat).querySelector('strong')); // the first answer may wait for Markdown
    expect(lastAnswer(chat).querySelector('strong')?.textContent).to.equal('bold');
    expect(input.value).to.equal('');
    expect(chat.messages).to.deep.equal([
      { role: 'user', content: 'Hello' },
      { role: 'assistant', content: 'Some **bold** words.' },
    ]);
    expect(inShadow(chat, '[part=figures]').textContent).to.contain('2 tokens').and.contain('31 tokens/s');
  });

  it('Shift+Enter and Enter of an input method do not send', async () => {
    const chat = await mountChat();
    const input = type(chat, 'Hello');
    await chat.updateComplete;
    expect(press(input, 'Enter', { shiftKey: true }).defaultPrevented).to.equal(false);
    press(input, 'Enter', { isComposing: true });
    await rendered();
    expect(chat.messages).to.deep.equal([]);
  });

  it('sends nothing that is blank, and its button says so', async () => {
    const chat = await mountChat();
    type(chat, '  \n ');
    await chat.updateComplete;
    expect(inShadow<HTMLButtonElement>(chat, '[part=send-button]').disabled).to.equal(true);
    await chat.send();
    expect(fake.calls).to.have.length(0);
  });

  it('gives the model the whole conversation, the system prompt and the options', async () => {
    const chat = await mountChat(
      {},
      'system="Be brief." temperature="0" max-tokens="9" top-k="5" top-p="0.5" min-p="0.1" repetition-penalty="1.2" seed="7" stop-at="END"',
    );
    await chat.send('One');
    await chat.send('Two');
    const { messages, options } = fake.calls[1]!;
    expect(messages).to.deep.equal([
      { role: 'system', content: 'Be brief.' },
      { role: 'user', content: 'One' },
      { role: 'assistant', content: 'You said: One' },
      { role: 'user', content: 'Two' },
    ]);
    const { signal, ...rest } = options;
    expect(signal).to.be.instanceOf(AbortSignal);
    expect(rest).to.deep.equal({
      temperature: 0,
      maxTokens: 9,
      topK: 5,
      topP: 0.5,
      minP: 0.1,
      repetitionPenalty: 1.2,
      seed: 7,
      stop: 'END',
    });
  });

  it('leaves out options that no attribute gives, or that are no numbers', async () => {
    const chat = await mountChat({}, 'temperature="warm" seed=""');
    await chat.send('Hi');
    expect(Object.keys(fake.calls[0]!.options)).to.deep.equal(['signal']);
  });

  it('streams: parts are events, the state is generating, the send button becomes stop', async () => {
    const { chat, step, done } = await mountAnswering();
    expect(chat.getAttribute('state')).to.equal('generating');
    expect(lastAnswer(chat).textContent).to.contain('One sentence.');
    expect(lastAnswer(chat).getAttribute('aria-busy')).to.equal('true');
    expect(maybeInShadow(chat, '[part=send-button]')).to.equal(null);
    const parts: string[] = [];
    chat.addEventListener('wp-part', (event) => parts.push(event.detail.text));
    step.open();
    await done;
    await rendered();
    expect(parts).to.deep.equal(['And the rest.']);
    expect(chat.getAttribute('state')).to.equal('ready');
    expect(lastAnswer(chat).getAttribute('aria-busy')).to.equal('false');
    expect(maybeInShadow(chat, '[part=stop-button]')).to.equal(null);
  });

  for (const [how, stop] of [
    ['the button', (chat: WpChat) => inShadow(chat, '[part=stop-button]').click()],
    ['Escape', (chat: WpChat) => press(inShadow(chat, '.composer textarea'), 'Escape')],
    ['stop()', (chat: WpChat) => chat.stop()],
    ['session.cancel()', (chat: WpChat) => chat.session!.cancel()],
  ] as const) {
    it(`stops by ${how}; what was written stays`, async () => {
      const { chat, done } = await mountAnswering();
      const stood = new Promise<HTMLElementEventMap['wp-message']>((resolve) =>
        chat.addEventListener('wp-message', resolve, { once: true }),
      );
      stop(chat);
      await done;
      await rendered();
      expect((await stood).detail).to.deep.include({
        message: { role: 'assistant', content: 'One sentence. ' },
        finishReason: 'abort',
      });
      expect(lastAnswer(chat).textContent).to.contain('One sentence.').and.contain('Stopped');
      expect(chat.state).to.equal('ready');
      expect(spoken(chat)).to.contain('Stopped');
    });
  }

  it('stopped before the first word leaves no empty answer', async () => {
    const chat = await mountChat({ beforePiece: () => new Promise(() => {}) });
    const done = chat.send('Hi');
    await until('asked', () => fake.calls.length === 1);
    chat.stop();
    await done;
    expect(chat.messages).to.deep.equal([{ role: 'user', content: 'Hi' }]);
  });

  it('can be asked again right after a stop', async () => {
    const { chat, step } = await mountAnswering();
    chat.stop();
    step.open();
    await chat.send('Again.');
    expect(chat.messages.at(-1)).to.deep.equal({ role: 'assistant', content: 'One sentence. And the rest.' });
  });

  it('does not send while it answers', async () => {
    const { chat, step, done } = await mountAnswering();
    await chat.send('Impatient');
    expect(fake.calls).to.have.length(1);
    step.open();
    await done;
  });

  it('answers again in the place of the last answer', async () => {
    let round = 0;
    const chat = await mountChat({ answer: () => [`Answer ${++round}`] });
    await chat.send('Hi');
    await rendered();
    inShadow(chat, '[part=regenerate-button]').click();
    await until('answered again', () => chat.messages.at(-1)?.content === 'Answer 2');
    expect(chat.messages).to.have.length(2);
    expect(fake.calls[1]!.messages).to.deep.equal([{ role: 'user', content: 'Hi' }]);
    expect(chat.shadowRoot!.activeElement?.localName).to.equal('textarea');
  });

  it('offers to answer again only at the last answer', async () => {
    const chat = await mountChat();
    await chat.send('One');
    await chat.send('Two');
    await rendered();
    expect(chat.shadowRoot!.querySelectorAll('[part=regenerate-button]')).to.have.length(1);
  });

  it('clears: by button, with the focus in the field', async () => {
    const chat = await mountChat();
    await chat.send('Hi');
    await rendered();
    const cleared = new Promise((resolve) => chat.addEventListener('wp-clear', resolve));
    inShadow(chat, '[part=clear-button]').click();
    await cleared;
    await rendered();
    expect(chat.messages).to.deep.equal([]);
    expect(chat.shadowRoot!.activeElement?.localName).to.equal('textarea');
    expect(maybeInShadow(chat, '.empty')).to.not.equal(null);
  });

  it('clearing while it answers ends the answer for good', async () => {
    const { chat, step, done } = await mountAnswering();
    chat.clear();
    step.open();
    await done;
    await rendered();
    expect(chat.messages).to.deep.equal([]);
    expect(chat.shadowRoot!.querySelectorAll('wp-message')).to.have.length(0);
  });

  it('takes and gives the conversation as data', async () => {
    const chat = await mountChat();
    chat.messages = [
      { role: 'system', content: 'You are a bird.' },
      { role: 'user', content: 'Hello' },
      { role: 'assistant', content: 'Tweet *tweet*' },
    ];
    await rendered();
    expect(chat.system).to.equal('You are a bird.');
    expect(chat.messages).to.have.length(2);
    expect(lastAnswer(chat).querySelector('em')?.textContent).to.equal('tweet');
    await chat.send('Again');
    expect(fake.calls[0]!.messages).to.have.length(4);
  });

  it('copies messages and code', async () => {
    const copied: string[] = [];
    const clipboard = Object.getOwnPropertyDescriptor(Navigator.prototype, 'clipboard');
    Object.defineProperty(navigator, 'clipboard', {
      configurable: true,
      value: { writeText: (text: string) => (copied.push(text), Promise.resolve()) },
    });
    try {
      const chat = await mountChat({ answer: () => ['Look:\n\n```js\nlet x = "<b>";\n```\n'] });
      await chat.send('Show');
      await rendered();
      inShadow(chat, '.assistant [part=copy-button]').click();
      inShadow(chat, '.user [part=copy-button]').click();
      inShadow(chat, '[part=code-block] button').click();
      await until('three copies', () => copied.length === 3);
      expect(copied).to.deep.equal(['Look:\n\n```js\nlet x = "<b>";\n```\n', 'Show', 'let x = "<b>";\n']);
      await until('said', () => spoken(chat).includes('Copied'));
    } finally {
      delete (navigator as { clipboard?: unknown }).clipboard;
      expect(Object.getOwnPropertyDescriptor(Navigator.prototype, 'clipboard')).to.deep.equal(clipboard);
    }
  });
});
