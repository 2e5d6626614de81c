// <wp-model>: its states, its loads, and how elements find it, whatever the order.

import { expect } from '@esm-bundle/chai';
import { isAbortError, WpError } from '../../runtime/index.ts';
import type { WpChat, WpModel } from '../../components/index.ts';
import { FakeModel, installFakeLoader, installReadyLoader, type FakeLoad } from './fake-model.ts';
import { gate, inShadow, maybeInShadow, mount, removeMounted, rendered, until } from './support.ts';

const failure = () => new WpError('network', 'The download failed.', 'Try again.');

describe('wp-model', () => {
  let loads: FakeLoad[];
  let restore: () => void;

  beforeEach(() => {
    ({ loads, restore } = installFakeLoader());
  });
  afterEach(() => {
    removeMounted();
    restore();
  });

  const mountModel = async (html = '<wp-model src="wp:fake"></wp-model>'): Promise<WpModel> => {
    const model = mount(html).querySelector('wp-model')!;
    await model.updateComplete;
    return model;
  };

  it('goes from loading to ready, and tells it', async () => {
    const events: string[] = [];
    const box = mount('');
    for (const type of ['wp-state', 'wp-progress', 'wp-ready', 'wp-error'] as const) {
      box.addEventListener(type, (event) => {
        events.push(type === 'wp-state' ? (event as HTMLElementEventMap['wp-state']).detail.state : type);
      });
    }
    box.innerHTML = '<wp-model src="wp:fake" precision="8bit" backend="wasm" context-length="512"></wp-model>';
    const model = box.querySelector('wp-model')!;
    await until('a load', () => loads.length === 1);
    expect(model.getAttribute('state')).to.equal('loading');
    expect(loads[0]!.source).to.equal('wp:fake');
    expect(loads[0]!.options).to.include({ precision: '8bit', backend: 'wasm', contextLength: 512 });
    loads[0]!.progress({ loadedBytes: 5, totalBytes: 10 });
    expect(model.progress?.loadedBytes).to.equal(5);
    loads[0]!.succeed();
    await until('ready', () => model.getAttribute('state') === 'ready');
    expect(events).to.deep.equal(['loading', 'wp-progress', 'ready', 'wp-ready']);
    expect(model.model?.info.parameters).to.equal(20_700_000);
  });

  it('reports a failure, shows what to do, and loads again', async () => {
    const model = await mountModel();
    await until('a load', () => loads.length === 1);
    const reported = new Promise<WpError>((resolve) =>
      model.addEventListener('wp-error', (event) => resolve(event.detail.error)),
    );
    const error = failure();
    loads[0]!.fail(error);
    expect(await reported).to.equal(error);
    await rendered();
    expect(model.getAttribute('state')).to.equal('failed');
    const card = inShadow(model, '[part=failure]');
    expect(card.textContent).to.contain('The download failed.').and.contain('Try again.').and.contain('network');
    inShadow(model, '[part=retry-button]').click();
    await until('a second load', () => loads.length === 2);
    loads[1]!.succeed();
    await until('ready', () => model.state === 'ready');
    await rendered();
    expect(maybeInShadow(model, '[part=failure]')).to.equal(null);
  });

  it('turns an unknown error into a WpError', async () => {
    const model = await mountModel();
    await until('a load', () => loads.length === 1);
    loads[0]!.fail(new TypeError('boom'));
    await until('failed', () => model.state === 'failed');
    expect(model.error).to.be.instanceOf(WpError);
    expect(model.error?.code).to.equal('internal');
  });

  it('without src stays idle, and load() says what is missing', async () => {
    const model = await mountModel('<wp-model></wp-model>');
    await rendered();
    expect(model.state).to.equal('idle');
    const thrown = await model.load().catch((error: unknown) => error);
    expect(thrown).to.be.instanceOf(WpError).with.property('code', 'invalid-source');
  });

  it('cancels a load with an AbortError and can load again', async () => {
    const model = await mountModel();
    await until('a load', () => loads.length === 1);
    const loading = model.load();
    expect(loads).to.have.length(1); // the same load, joined
    inShadow(model, '[part=cancel-button]').click();
    const thrown: unknown = await loading.catch((error: unknown) => error);
    expect(isAbortError(thrown)).to.equal(true);
    expect(loads[0]!.options.signal?.aborted).to.equal(true);
    expect(model.state).to.equal('idle');
    void model.load();
    await until('a second load', () => loads.length === 2);
    loads[1]!.succeed();
    await until('ready', () => model.state === 'ready');
  });

  it('disposes a model that arrives after its load was cancelled', async () => {
    restore();
    const arrival = gate();
    const late = new FakeModel();
    const { replaceModelLoader } = await import('../../components/model-loader.ts');
    restore = replaceModelLoader(async () => {
      await arrival.promise; // a loader that does not hear the signal
      return late;
    });
    const model = await mountModel();
    await until('loading', () => model.state === 'loading');
    model.cancel();
    arrival.open();
    await until('disposed', () => late.disposed);
    expect(model.state).to.equal('idle');
  });

  it('a changed src, precision or backend disposes the model and loads the new one, once', async () => {
    const model = await mountModel();
    await until('a load', () => loads.length === 1);
    const first = loads[0]!.succeed();
    await until('ready', () => model.state === 'ready');
    model.src = 'wp:other';
    model.precision = '8bit';
    model.backend = 'wasm';
    await until('a second load', () => loads.length === 2);
    await rendered();
    expect(loads).to.have.length(2);
    expect(first.disposed).to.equal(true);
    expect(loads[1]!.source).to.equal('wp:other');
  });

  it('an aborted load of the old src does not disturb the new one', async () => {
    const model = await mountModel();
    await until('a load', () => loads.length === 1);
    model.src = 'wp:other';
    await until('a second load', () => loads.length === 2);
    await rendered();
    expect(loads[0]!.options.signal?.aborted).to.equal(true);
    expect(model.state).to.equal('loading');
    loads[0]!.progress({ loadedBytes: 99 });
    expect(model.progress?.loadedBytes).to.not.equal(99);
    loads[1]!.succeed();
    await until('ready', () => model.state === 'ready');
  });

  it('disposes when it leaves the document, not when it moves within it', async () => {
    const box = mount('<div id="from"><wp-model src="wp:fake"></wp-model></div><div id="to"></div>');
    const model = box.querySelector('wp-model')!;
    await until('a load', () => loads.length === 1);
    const loaded = loads[0]!.succeed();
    await until('ready', () => model.state === 'ready');
    box.querySelector('#to')!.append(model);
    await rendered();
    expect(model.state).to.equal('ready');
    expect(loaded.disposed).to.equal(false);
    model.remove();
    await until('disposed', () => loaded.disposed);
    expect(model.state).to.equal('idle');
    box.append(model);
    await until('a new load', () => loads.length === 2);
  });

  it('leaving the document while loading aborts the load', async () => {
    const model = await mountModel();
    await until('a load', () => loads.length === 1);
    model.remove();
    await until('aborted', () => loads[0]!.options.signal?.aborted);
  });

  it('lazy waits until it comes into view', async () => {
    const box = mount('<div style="block-size: 5000px"></div><wp-model src="wp:fake" loading="lazy">x</wp-model>');
    const model = box.querySelector('wp-model')!;
    await new Promise((resolve) => setTimeout(resolve, 150));
    expect(loads).to.have.length(0);
    model.scrollIntoView();
    await until('a load', () => loads.length === 1);
    window.scrollTo(0, 0);
  });

  it('lazy loads at its first use, in view or not', async () => {
    const box = mount('<div style="block-size: 5000px"></div><wp-model src="wp:fake" loading="lazy">x</wp-model>');
    const loading = box.querySelector('wp-model')!.load();
    await until('a load', () => loads.length === 1);
    loads[0]!.succeed();
    expect((await loading).info.modelType).to.equal('llama');
  });

  it('shows progress itself only while no element inside does', async () => {
    const model = await mountModel();
    await until('a load', () => loads.length === 1);
    await rendered();
    expect(maybeInShadow(model, '[part=progress]')).to.not.equal(null);
    model.append(document.createElement('wp-chat'));
    await rendered();
    expect(maybeInShadow(model, '[part=progress]')).to.equal(null);
    model.querySelector('wp-chat')!.remove();
    await rendered();
    expect(maybeInShadow(model, '[part=progress]')).to.not.equal(null);
  });

  it('is generating while the page itself uses its model', async () => {
    const model = await mountModel();
    await until('a load', () => loads.length === 1);
    const step = gate();
    loads[0]!.succeed(new FakeModel({ beforePiece: () => step.promise }));
    const handle = await model.load();
    const answer = (async () => {
      let text = '';
      for await (const part of handle.chat([{ role: 'user', content: 'hi' }])) text += part.text;
      return text;
    })();
    await until('generating', () => model.state === 'generating');
    step.open();
    expect(await answer).to.equal('You said: hi');
    expect(model.state).to.equal('ready');
  });

  it('cancel() aborts what the page generates', async () => {
    const model = await mountModel();
    await until('a load', () => loads.length === 1);
    loads[0]!.succeed(new FakeModel({ beforePiece: () => new Promise(() => {}) }));
    const handle = await model.load();
    const next = handle.chat([{ role: 'user', content: 'hi' }]).next();
    await until('generating', () => model.state === 'generating');
    model.cancel();
    expect(isAbortError(await next.catch((error: unknown) => error))).to.equal(true);
    expect(model.state).to.equal('ready');
  });

  it('a lost device fails the model, and reload() brings it back', async () => {
    const model = await mountModel();
    await until('a load', () => loads.length === 1);
    const error = new WpError('device-lost', 'The GPU went away.', 'Load the model again.');
    loads[0]!.succeed(new FakeModel({ failure: { afterPieces: 1, error } }));
    const handle = await model.load();
    const answer = (async () => {
      for await (const _part of handle.chat([{ role: 'user', content: 'hi' }])) void _part;
    })();
    expect(await answer.catch((thrown: unknown) => thrown)).to.equal(error);
    expect(model.error).to.equal(error);
    void model.reload();
    await until('a second load', () => loads.length === 2);
    loads[1]!.succeed();
    await until('ready', () => model.state === 'ready');
  });
});

describe('elements find their model', () => {
  let restore: () => void;
  let fake: FakeModel;

  beforeEach(() => {
    fake = new FakeModel();
    restore = installReadyLoader(fake);
  });
  afterEach(() => {
    removeMounted();
    restore();
  });

  const usesModel = (chat: WpChat, model: WpModel) => () => chat.session === model.session;

  it('by context, also deep inside and across a shadow root', async () => {
    const box = mount('<wp-model src="wp:fake"><section><div id="host"></div></section></wp-model>');
    const root = box.querySelector('#host')!.attachShadow({ mode: 'open' });
    root.innerHTML = '<wp-chat></wp-chat>';
    await until('found', usesModel(root.querySelector('wp-chat')!, box.querySelector('wp-model')!));
  });

  it('by context when the chat is moved into a model, out of it and into another', async () => {
    const box = mount(
      '<wp-chat></wp-chat><wp-model id="a" src="wp:a"></wp-model><wp-model id="b" src="wp:b"></wp-model>',
    );
    const chat = box.querySelector('wp-chat')!;
    const [a, b] = [...box.querySelectorAll('wp-model')] as [WpModel, WpModel];
    await rendered();
    expect(chat.session).to.equal(undefined);
    a.append(chat);
    await until('a', usesModel(chat, a));
    b.append(chat);
    await until('b', usesModel(chat, b));
    box.append(chat);
    await until('none', () => chat.session === undefined);
  });

  it('by for=, when the model comes first', async () => {
    const box = mount('<wp-model id="m" src="wp:fake"></wp-model><wp-chat for="m"></wp-chat>');
    await until('found', usesModel(box.querySelector('wp-chat')!, box.querySelector('wp-model')!));
  });

  it('by for=, when the model comes later, gets its id later, loses it, and goes', async () => {
    const box = mount('<wp-chat for="m"></wp-chat>');
    const chat = box.querySelector('wp-chat')!;
    await rendered();
    expect(inShadow(chat, '[part=failure]').textContent).to.contain('“m”');
    const model = document.createElement('wp-model');
    model.src = 'wp:fake';
    box.append(model);
    await rendered();
    expect(chat.session).to.equal(undefined);
    model.id = 'm';
    await until('named', usesModel(chat, model));
    model.id = 'other';
    await until('renamed', () => chat.session === undefined);
    chat.for = 'other';
    await until('followed', usesModel(chat, model));
    model.remove();
    await until('gone', () => chat.session === undefined);
  });

  it('by for= through the tree around a shadow root', async () => {
    const box = mount('<wp-model id="outer" src="wp:fake"></wp-model><div></div>');
    const root = box.querySelector('div')!.attachShadow({ mode: 'open' });
    root.innerHTML = '<wp-chat for="outer"></wp-chat>';
    await until('found', usesModel(root.querySelector('wp-chat')!, box.querySelector('wp-model')!));
  });

  it('for= wins over the context, and src over both', async () => {
    const box = mount(
      '<wp-model id="other" src="wp:b"></wp-model><wp-model src="wp:a"><wp-chat for="other"></wp-chat></wp-model>',
    );
    const chat = box.querySelector('wp-chat')!;
    await until('for', usesModel(chat, box.querySelector<WpModel>('#other')!));
    chat.src = 'wp:own';
    await until('own', () => chat.session?.config.src === 'wp:own');
    chat.src = undefined;
    await until('for again', usesModel(chat, box.querySelector<WpModel>('#other')!));
  });

  it('a meter finds the model of a chat', async () => {
    const box = mount('<wp-memory-meter for="c"></wp-memory-meter><wp-chat id="c" src="wp:fake"></wp-chat>');
    const meter = box.querySelector('wp-memory-meter')!;
    await until('measured', () => meter.report !== undefined);
    expect(fake.memoryCalls).to.be.greaterThan(0);
  });

  it('two chats share one model and take turns', async () => {
    const box = mount('<wp-model src="wp:fake"><wp-chat></wp-chat><wp-chat></wp-chat></wp-model>');
    const [first, second] = [...box.querySelectorAll('wp-chat')] as [WpChat, WpChat];
    await first.load();
    await Promise.all([first.send('one'), second.send('two')]);
    expect(first.messages.at(-1)?.content).to.equal('You said: one');
    expect(second.messages.at(-1)?.content).to.equal('You said: two');
    expect(fake.calls).to.have.length(2);
  });

  it('one failing element leaves the others working', async () => {
    restore();
    const { replaceModelLoader } = await import('../../components/model-loader.ts');
    restore = replaceModelLoader((source) =>
      source === 'wp:bad' ? Promise.reject(failure()) : Promise.resolve(new FakeModel()),
    );
    const box = mount('<wp-chat src="wp:bad"></wp-chat><wp-chat src="wp:good"></wp-chat>');
    const [bad, good] = [...box.querySelectorAll('wp-chat')] as [WpChat, WpChat];
    await until('failed', () => bad.state === 'failed');
    await good.send('still there?');
    expect(good.messages.at(-1)?.content).to.equal('You said: still there?');
    expect(bad.getAttribute('state')).to.equal('failed');
  });
});
