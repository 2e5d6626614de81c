// The package as an application developer meets it, in Node: the embedded model, the worker thread, streams, aborts.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { Model } from '../../runtime/index.ts';
import { collect, distApi, type Api } from './dist-api.ts';

const GREEDY = { temperature: 0, repetitionPenalty: 1, maxTokens: 24 };
const ASK = [{ role: 'user', content: 'Tell me a story about a fox.' }] as const;

describe('wp:fable-25m in Node', () => {
  let api: Api;
  let model: Model;
  const phases: string[] = [];

  before(async () => {
    api = await distApi();
    model = await api.loadModel('wp:fable-25m', { onProgress: ({ phase }) => phases.push(phase) });
  });
  after(() => model.dispose());

  it('says what it is and how it runs', () => {
    const { info } = model;
    assert.equal(info.modelType, 'llama');
    assert.equal(info.plan.backend, 'wasm');
    assert.equal(info.plan.precision, '4bit');
    assert.ok(info.plan.bitsPerWeight < 6, `${info.plan.bitsPerWeight} bits a weight`);
    assert.ok(info.hasChatTemplate);
    assert.match(info.notice, /wrong/i);
    assert.ok(info.plan.reasons.some(({ topic }) => topic === 'backend'));
    assert.equal(phases.at(-1), 'ready');
  });

  it('streams an answer in pieces, with usage and timing', async () => {
    let pieces = 0;
    let text = '';
    for await (const part of model.chat(ASK, GREEDY)) {
      if (part.done) {
        assert.equal(part.finishReason, 'length');
        assert.equal(part.usage.completionTokens, GREEDY.maxTokens);
        assert.equal(part.usage.totalTokens, part.usage.promptTokens + GREEDY.maxTokens);
        assert.ok(part.timing.tokensPerSecond > 0 && part.timing.timeToFirstTokenMs > 0);
      } else {
        pieces += 1;
        text += part.text;
      }
    }
    assert.ok(pieces > 10, `${pieces} pieces`);
    assert.match(text, /^[A-Z][a-z]+ .{20,}/s);
  });

  it('gives the same text for the same seed, and another for another', async () => {
    const sampled = (seed: number): Promise<{ text: string }> =>
      collect(model.chat(ASK, { temperature: 1, maxTokens: 24, seed }));
    const [first, again, other] = [await sampled(7), await sampled(7), await sampled(8)];
    assert.equal(first.text, again.text);
    assert.notEqual(first.text, other.text);
  });

  it('computes only what is new of a second turn, and answers as if all were new', async () => {
    const { text } = await collect(model.chat(ASK, GREEDY));
    const turn = [...ASK, { role: 'assistant', content: text }, { role: 'user', content: 'And then?' }] as const;
    const reused = await collect(model.chat(turn, GREEDY));
    assert.ok(reused.end.usage.cachedPromptTokens > 0);
    await collect(model.complete('Something else entirely.', { maxTokens: 1 }));
    const fresh = await collect(model.chat(turn, GREEDY));
    assert.equal(fresh.end.usage.cachedPromptTokens, 0);
    assert.equal(reused.text, fresh.text);
  });

  it('stops before a stop string', async () => {
    const { text } = await collect(model.chat(ASK, GREEDY));
    const stop = text.slice(20, 26);
    const cut = await collect(model.chat(ASK, { ...GREEDY, stop }));
    assert.equal(cut.text, text.slice(0, text.indexOf(stop)));
    assert.equal(cut.end.finishReason, 'stop');
  });

  it('aborts with an AbortError, and answers again afterwards', async () => {
    const controller = new AbortController();
    let seen = 0;
    await assert.rejects(
      async () => {
        for await (const part of model.chat(ASK, { maxTokens: 500, temperature: 0, signal: controller.signal })) {
          if (!part.done && ++seen === 3) controller.abort();
        }
      },
      { name: 'AbortError' },
    );
    assert.ok(seen < 20, `${seen} parts after the abort`);
    assert.equal((await collect(model.chat(ASK, GREEDY))).end.usage.completionTokens, GREEDY.maxTokens);
  });

  it('stops when its reader leaves the loop', async () => {
    for await (const part of model.chat(ASK, { maxTokens: 500 })) if (!part.done) break;
    const { end } = await collect(model.chat(ASK, GREEDY));
    assert.equal(end.finishReason, 'length');
  });

  it('serves two conversations at once, one after the other', async () => {
    const [a, b] = await Promise.all([
      collect(model.chat(ASK, GREEDY)),
      collect(model.chat([{ role: 'user', content: 'What is gold?' }], GREEDY)),
    ]);
    assert.equal(a.text, (await collect(model.chat(ASK, GREEDY))).text);
    assert.notEqual(a.text, b.text);
  });

  it('speaks the shape of the OpenAI API', async () => {
    const request = { messages: ASK, temperature: 0, repetition_penalty: 1, max_tokens: 24 };
    const whole = await model.chat.completions.create(request);
    assert.equal(whole.object, 'chat.completion');
    assert.equal(whole.usage.completion_tokens, 24);
    let streamed = '';
    const stream = await model.chat.completions.create({ ...request, stream: true });
    for await (const chunk of stream) streamed += chunk.choices[0].delta.content ?? '';
    assert.equal(streamed, whole.choices[0].message.content);
  });

  it('refuses what does not fit the context, with both numbers', async () => {
    const long = 'word '.repeat(3000);
    await assert.rejects(collect(model.chat([{ role: 'user', content: long }])), (error: unknown) => {
      assert.ok(error instanceof api.WpError);
      assert.equal(error.code, 'context-overflow');
      assert.ok(Number(error.details.actual) > Number(error.details.allowed));
      assert.notEqual(error.hint, '');
      return true;
    });
  });

  it('refuses options out of range by name', async () => {
    await assert.rejects(collect(model.chat(ASK, { temperature: -1 })), {
      code: 'invalid-argument',
      message: /temperature/,
    });
  });

  it('reports memory, planned and actual', async () => {
    const { planned, actual } = await model.memory();
    assert.ok(actual.weights >= planned.weights && actual.weights < planned.weights * 1.05);
    assert.ok(actual.total <= planned.total * 1.15, `${actual.total} of ${planned.total} bytes`);
  });

  it('gives logits of a sequence', async () => {
    const tokens = await model.tokenize('Once upon a time');
    const logits = await model.logits(tokens);
    assert.equal(logits.length, tokens.length * model.info.vocabularySize);
    assert.ok(logits.every(Number.isFinite));
  });

  it('is unusable after dispose, and says so; another model is not touched', async () => {
    const second = await api.loadModel('wp:fable-25m', { contextLength: 64 });
    await second.dispose();
    await second.dispose();
    assert.ok(second.disposed);
    assert.throws(() => second.tokenize('x'), { code: 'disposed' });
    await assert.rejects(collect(second.chat(ASK)), { code: 'disposed' });
    assert.equal((await collect(model.chat(ASK, GREEDY))).end.usage.completionTokens, 24);
  });
});
