// <wp-chat>: sending, streaming, stopping, answering again, copying, clearing; by mouse, keyboard and method.

import { expect } from '@esm-bundle/chai';
import { WpError } from '../../runtime/index.ts';
import type { WpChat } from '../../components/index.ts';
import { FakeModel, installFakeLoader, installReadyLoader, type FakeModelOptions } from './fake-model.ts';
import {
  expectAccessible,
  gate,
  inShadow,
  lastAnswer,
  maybeInShadow,
  mount,
  press,
  removeMounted,
  rendered,
  spoken,
  type,
  until,
} from './support.ts';

describe('wp-chat', () => {
  let restore = () => {};
  let fake: FakeModel;

  afterEach(() => {
    removeMounted();
    restore();
  });

  async function mountChat(options: FakeModelOptions = {}, attributes = ''): Promise<WpChat> {
    fake = new FakeModel(options);
    restore = installReadyLoader(fake);
    const chat = mount(`<wp-chat src="wp:fake" ${attributes}></wp-chat>`).querySelector('wp-chat')!;
    await chat.load();
    await chat.updateComplete;
    await import('../../components/internal/markdown-view.ts'); // the chat asked for it, too: it is there for the answer
    return chat;
  }

  /** A chat whose answer stands still after its first piece. */
  async function mountAnswering(): Promise<{ chat: WpChat; step: ReturnType<typeof gate>; done: Promise<void> }> {
    const step = gate();
    const chat = await mountChat({
      answer: () => ['One sentence. ', 'And the rest.'],
      beforePiece: (index) => (index === 0 ? undefined : step.promise),
    });
    const firstPart = new Promise((resolve) => chat.addEventListener('wp-part', resolve, { once: true }));
    const done = chat.send('Speak.');
    await firstPart;
    await rendered();
    return { chat, step, done };
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

  it('shows a failed answer where it stands, and tries again', async () => {
    const error = new WpError('context-overflow', 'The conversation has 1,180 tokens.', 'Clear the conversation.');
    const failure: FakeModelOptions['failure'] = { afterPieces: 1, error };
    const chat = await mountChat({ failure });
    const reported = new Promise<WpError>((resolve) =>
      chat.addEventListener('wp-error', (event) => resolve(event.detail.error)),
    );
    await chat.send('Hi');
    await rendered();
    expect(await reported).to.equal(error);
    const answer = lastAnswer(chat);
    expect(answer.textContent)
      .to.contain('You said:')
      .and.contain('1,180 tokens')
      .and.contain('Clear the conversation.');
    expect(chat.state).to.equal('ready');
    delete (fake.options as { failure?: unknown }).failure;
    answer.querySelector<HTMLElement>('[part=retry-button]')!.click();
    await until('answered', () => chat.messages.at(-1)?.content === 'You said: Hi');
  });

  it('a model that is lost in an answer is shown once, and loaded again by the retry', async () => {
    const error = new WpError('device-lost', 'The GPU went away.', 'Load the model again.');
    const lost = new FakeModel({ failure: { afterPieces: 1, error } });
    restore = installReadyLoader(lost, new FakeModel());
    const chat = mount('<wp-chat src="wp:fake"></wp-chat>').querySelector('wp-chat')!;
    await chat.send('Hi');
    await rendered();
    expect(chat.state).to.equal('failed');
    const cards = chat.shadowRoot!.querySelectorAll('[part=failure]');
    expect(cards).to.have.length(1);
    cards[0]!.querySelector<HTMLElement>('[part=retry-button]')!.click();
    await until('answered', () => chat.messages.at(-1)?.content === 'You said: Hi');
    expect(chat.state).to.equal('ready');
  });

  it('a message that is sent while the model loads is answered when it is there', async () => {
    const { loads, restore: restoreLoader } = installFakeLoader();
    restore = restoreLoader;
    const chat = mount('<wp-chat src="wp:fake"></wp-chat>').querySelector('wp-chat')!;
    await until('a load', () => loads.length === 1);
    loads[0]!.progress({ loadedBytes: 4_200_000, totalBytes: 12_000_000, bytesPerSecond: 3_000_000, secondsLeft: 2.6 });
    const done = chat.send('Early');
    await rendered();
    expect(lastAnswer(chat).textContent).to.contain('when the model is loaded');
    expect(inShadow(chat, '[part=progress]').textContent)
      .to.contain('4.2 MB of 12.0 MB')
      .and.contain('3.0 MB/s')
      .and.contain('3 s left');
    expect(inShadow(chat, '[role=progressbar]').getAttribute('aria-valuenow')).to.equal('35');
    loads[0]!.succeed();
    await done;
    expect(chat.messages.at(-1)?.content).to.equal('You said: Early');
  });

  it('cancels a load, offers to load, and does so', async () => {
    const { loads, restore: restoreLoader } = installFakeLoader();
    restore = restoreLoader;
    const chat = mount('<wp-chat src="wp:fake"></wp-chat>').querySelector('wp-chat')!;
    await until('a load', () => loads.length === 1);
    const done = chat.send('Early');
    await rendered();
    inShadow(chat, '[part=cancel-button]').click();
    await done;
    await rendered();
    expect(chat.state).to.equal('idle');
    expect(loads[0]!.options.signal?.aborted).to.equal(true);
    inShadow(chat, '[part=load-button]').click();
    await until('a second load', () => loads.length === 2);
  });

  it('a lazy model loads when the field gets the focus', async () => {
    const { loads, restore: restoreLoader } = installFakeLoader();
    restore = restoreLoader;
    const box = mount('<wp-chat for="lazy"></wp-chat><div style="block-size:5000px"></div>');
    box.insertAdjacentHTML('beforeend', '<wp-model id="lazy" src="wp:fake" loading="lazy"></wp-model>');
    const chat = box.querySelector('wp-chat')!;
    await until('found', () => chat.session);
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(loads).to.have.length(0);
    chat.focus();
    inShadow(chat, '.composer textarea').dispatchEvent(new FocusEvent('focus'));
    await until('a load', () => loads.length === 1);
  });

  it('says what to do without a model, and sending shows it as a failure', async () => {
    const chat = mount('<wp-chat></wp-chat>').querySelector('wp-chat')!;
    await chat.updateComplete;
    expect(inShadow(chat, '[part=failure]').textContent).to.contain('Give it a src');
    await chat.send('Hello?');
    await rendered();
    expect(lastAnswer(chat).querySelector('[part=failure]')?.textContent).to.contain('invalid-source');
  });

  it('sends suggestions, from the attribute and from the slot', async () => {
    const chat = await mountChat({}, 'suggestions="First idea | Second idea"');
    const [first] = chat.shadowRoot!.querySelectorAll<HTMLElement>('[part=suggestion]');
    expect(first!.textContent?.trim()).to.equal('First idea');
    first!.click();
    await until('answered', () => chat.messages.length === 2);
    expect(chat.messages[0]!.content).to.equal('First idea');
    chat.clear();
    chat.innerHTML = '<button slot="suggestions" data-prompt="The long form">Short</button>';
    await rendered();
    chat.querySelector('button')!.click();
    await until('answered', () => chat.messages.length === 2);
    expect(chat.messages[0]!.content).to.equal('The long form');
  });

  it('lets a person change the system prompt', async () => {
    const chat = await mountChat({}, 'show-system system="Old"');
    const button = inShadow(chat, '[part=system-button]');
    expect(button.getAttribute('aria-expanded')).to.equal('false');
    button.click();
    await chat.updateComplete;
    expect(button.getAttribute('aria-expanded')).to.equal('true');
    const input = inShadow<HTMLTextAreaElement>(chat, '[part=system-input]');
    expect(input.value).to.equal('Old');
    input.value = 'New';
    input.dispatchEvent(new InputEvent('input', { bubbles: true }));
    await chat.send('Hi');
    expect(fake.calls[0]!.messages[0]).to.deep.equal({ role: 'system', content: 'New' });
  });

  it('speaks whole sentences, not tokens', async () => {
    const step = gate();
    const chat = await mountChat({
      answer: () => ['One sent', 'ence. And a', ' half'],
      beforePiece: (index) => (index < 2 ? undefined : step.promise),
    });
    const done = chat.send('Speak.');
    await until('the first sentence', () => spoken(chat).includes('One sentence.'));
    expect(spoken(chat)).to.not.contain('And a');
    expect(inShadow(chat, '[part=log]').getAttribute('aria-live')).to.equal('off');
    step.open();
    await done;
    expect(spoken(chat)).to.contain('And a half');
  });

  it('shows the notice of the model, and safe text of hostile messages', async () => {
    const chat = await mountChat({
      notice: 'Mostly <i>wrong</i>.',
      answer: () => ['<img src=x onerror=alert(1)> \uD83D'],
    });
    await chat.send('<b>hi</b> \uD83D');
    await rendered();
    expect(inShadow(chat, '[part=notice]').textContent).to.equal('Mostly <i>wrong</i>.');
    expect(inShadow(chat, '[part=user-bubble]').textContent).to.equal('<b>hi</b> \uFFFD');
    expect(maybeInShadow(chat, 'img')).to.equal(null);
  });

  it('follows the answer, until the person scrolls up', async () => {
    const chat = await mountChat({ answer: () => ['A long line of text.\n\n'.repeat(60)] });
    await chat.send('Long');
    const log = inShadow(chat, '[part=log]');
    const isAtEnd = () => log.scrollHeight - log.scrollTop - log.clientHeight < 50;
    await until('at the end', () => log.scrollHeight > 1000 && isAtEnd());
    log.scrollTop = 200;
    await until('the way back is offered', () => maybeInShadow(chat, '.latest button'));
    const top = log.scrollTop;
    // New text arrives in the answer while the person reads above.
    lastAnswer(chat).querySelector('.prose')!.append(document.createElement('hr'), 'more text');
    await rendered();
    expect(Math.abs(log.scrollTop - top)).to.be.lessThan(2);
    inShadow(chat, '.latest button').click();
    await until('at the end again', isAtEnd);
    await until('the button is gone', () => !maybeInShadow(chat, '.latest button'));
  });

  it('a part renders one message of a long conversation, and no other', async () => {
    const { chat, step, done } = await mountAnswering();
    chat.stop();
    await done;
    chat.messages = Array.from({ length: 400 }, (_, index) => ({
      role: index % 2 ? ('assistant' as const) : ('user' as const),
      content: `Turn ${index}`,
    }));
    await rendered();
    let mutations = 0;
    const early = chat.shadowRoot!.querySelector('wp-message')!;
    const observer = new MutationObserver((records) => (mutations += records.length));
    observer.observe(early, { childList: true, subtree: true, attributes: true, characterData: true });
    step.open();
    await chat.send('One more');
    await rendered();
    observer.disconnect();
    expect(mutations).to.equal(0);
    expect(chat.messages).to.have.length(402);
  });

  it('stops when it leaves the document, not when it moves within it', async () => {
    const { chat, done } = await mountAnswering();
    const box = mount('');
    box.append(chat);
    await rendered();
    expect(chat.state).to.equal('generating');
    chat.remove();
    await done;
    expect(chat.messages.at(-1)?.content).to.equal('One sentence. ');
    await until('disposed', () => fake.disposed);
  });

  it('fits into 320 pixels, without anything sticking out', async () => {
    const chat = await mountChat({ answer: () => ['`' + 'x'.repeat(400) + '`\n\n```\n' + 'y'.repeat(400) + '\n```'] });
    chat.parentElement!.style.inlineSize = '320px';
    await chat.send('z'.repeat(300));
    await rendered();
    const log = inShadow(chat, '[part=log]');
    expect(log.scrollWidth).to.be.at.most(log.clientWidth);
    expect(chat.getBoundingClientRect().width).to.equal(320);
  });

  it('is accessible while it answers', async () => {
    const { chat, step, done } = await mountAnswering();
    await expectAccessible(chat);
    step.open();
    await done;
  });
});
