// The queue before a model: turns in order, aborted waits leave it, a failed turn does not block it.

import { expect } from '@esm-bundle/chai';
import { observeModel } from '../../components/observed-model.ts';
import { isAbortError } from '../../runtime/index.ts';
import { FakeModel } from './fake-model.ts';
import { gate } from './support.ts';

const ask = (content: string) => [{ role: 'user' as const, content }];

describe('observeModel', () => {
  const observer = () => {
    const log: string[] = [];
    return {
      log,
      cancelSignal: () => new AbortController().signal,
      started: () => log.push('started'),
      finished: (error: unknown) => log.push(error ? 'failed' : 'finished'),
    };
  };

  it('lets one after another answer', async () => {
    const watch = observer();
    const model = observeModel(new FakeModel(), watch);
    const read = async (content: string) => {
      let text = '';
      for await (const part of model.chat(ask(content))) text += part.text;
      return text;
    };
    expect(await Promise.all([read('a'), read('b'), read('c')])).to.deep.equal([
      'You said: a',
      'You said: b',
      'You said: c',
    ]);
    expect(watch.log).to.deep.equal(['started', 'finished', 'started', 'finished', 'started', 'finished']);
  });

  it('an aborted wait leaves the queue, and those behind it still wait for the first', async () => {
    const step = gate();
    const fake = new FakeModel({ beforePiece: () => step.promise });
    const watch = observer();
    const model = observeModel(fake, watch);
    const first = model.chat(ask('first')).next();
    const controller = new AbortController();
    const second = model.chat(ask('second'), { signal: controller.signal }).next();
    const third = model.chat(ask('third')).next();
    controller.abort();
    expect(isAbortError(await second.catch((error: unknown) => error))).to.equal(true);
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(fake.calls.map(({ messages }) => messages[0]!.content)).to.deep.equal(['first']);
    step.open();
    await first;
    void third;
  });

  it('leaving the loop early frees the turn', async () => {
    const watch = observer();
    const model = observeModel(new FakeModel(), watch);
    for await (const part of model.chat(ask('a'))) {
      expect(part.text).to.equal('You said: ');
      break;
    }
    const { value } = await model.chat(ask('b')).next();
    expect(value).to.deep.equal({ done: false, text: 'You said: ' });
    expect(watch.log.slice(0, 3)).to.deep.equal(['started', 'finished', 'started']);
  });

  it('carries the OpenAI shape', async () => {
    const model = observeModel(new FakeModel(), observer());
    const completion = await model.chat.completions.create({ messages: ask('hello') });
    expect(completion.choices[0].message.content).to.equal('You said: hello');
  });
});
