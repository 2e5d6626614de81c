// <wp-chat> when things are not simply well: loading, failing, waiting; long conversations, narrow pages, screen readers.

import { expect } from '@esm-bundle/chai';
import { WpError } from '../../runtime/index.ts';
import type { WpChat } from '../../components/index.ts';
import { haltingAnswer, mountChat as mountChatWithFake, untilAnswering } from './chat-fixture.ts';
import { FakeModel, installFakeLoader, installReadyLoader, type FakeModelOptions } from './fake-model.ts';
import {
  expectAccessible,
  gate,
  inShadow,
  lastAnswer,
  maybeInShadow,
  mount,
  removeMounted,
  rendered,
  spoken,
  until,
} from './support.ts';

describe('wp-chat: states and surroundings', () => {
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
