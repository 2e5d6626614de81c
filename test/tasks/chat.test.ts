import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { chat, complete } from '../../runtime/tasks/chat.ts';
import type { ChatMessage, ChatPart } from '../../runtime/types.ts';
import { smallTokenizer } from '../processing/support.ts';
import { scriptedModel } from './scripted-model.ts';

const messages: ChatMessage[] = [{ role: 'user', content: 'Hello' }];
type Done = Extract<ChatPart, { done: true }>;

async function collect(
  parts: AsyncIterable<ChatPart>,
  onText: (text: string) => void = () => undefined,
): Promise<{ text: string; pieces: string[]; done: Done }> {
  const pieces: string[] = [];
  let done: Done | undefined;
  for await (const part of parts) {
    assert.equal(done, undefined, 'nothing follows the last part');
    if (part.done) done = part;
    else {
      assert.notEqual(part.text, '');
      pieces.push(part.text);
      onText(pieces.join(''));
    }
  }
  assert.ok(done);
  return { text: pieces.join(''), pieces, done };
}

describe('chat', () => {
  it('streams the answer, then its figures', async () => {
    const model = scriptedModel('The boat is small 🦙.');
    const { text, pieces, done } = await collect(chat(model, messages));
    assert.equal(text, 'The boat is small 🦙.');
    assert.ok(pieces.length > 3);
    const prompt = model.tokenizer.encode('<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n');
    assert.deepEqual(model.program.steps[0]!.tokens, prompt);
    const completionTokens = model.tokenizer.encode(text).length;
    assert.equal(done.finishReason, 'stop');
    assert.deepEqual(done.usage, {
      promptTokens: prompt.length,
      completionTokens,
      totalTokens: prompt.length + completionTokens,
      cachedPromptTokens: 0,
    });
    const { timeToFirstTokenMs, promptTokensPerSecond, tokensPerSecond, totalMs } = done.timing;
    assert.ok(timeToFirstTokenMs > 0 && totalMs >= timeToFirstTokenMs);
    assert.ok(promptTokensPerSecond > 0 && tokensPerSecond > 0);
  });

  it('reuses the cache in the next turn', async () => {
    const model = scriptedModel('Hi there');
    const { text } = await collect(chat(model, messages));
    const next: ChatMessage[] = [...messages, { role: 'assistant', content: text }, { role: 'user', content: 'And?' }];
    const { done } = await collect(chat(model, next));
    const firstTurn = '<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\nHi there';
    // The end token was sampled and never fed back.
    assert.equal(done.usage.cachedPromptTokens, model.tokenizer.encode(firstTurn).length);
  });

  it('ends before a stop string', async () => {
    const model = scriptedModel('One two three four');
    const { text, done } = await collect(chat(model, messages, { stop: ['x', 'o three'] }));
    assert.equal(text, 'One tw');
    assert.equal(done.finishReason, 'stop');
    // The session is free again.
    assert.equal((await collect(chat(model, messages, { maxTokens: 1 }))).done.finishReason, 'length');
  });

  it('ends with length, showing what was held back for a stop string and no half character', async () => {
    const model = scriptedModel('ab🦙');
    const count = model.tokenizer.encode('ab🦙').length - 1;
    const { text, done } = await collect(chat(model, messages, { maxTokens: count, stop: 'b…' }));
    assert.equal(text, 'ab');
    assert.equal(done.finishReason, 'length');
    assert.equal(done.usage.completionTokens, count);
  });

  it('ends with abort, and can be used again', async () => {
    const model = scriptedModel('One two three four five six');
    const controller = new AbortController();
    const { text, done } = await collect(chat(model, messages, { signal: controller.signal }), (shown) => {
      if (shown.includes('three')) controller.abort();
    });
    assert.equal(text, 'One two three');
    assert.equal(done.finishReason, 'abort');
    const before = AbortSignal.abort();
    const { done: none } = await collect(chat(model, messages, { signal: before }));
    assert.equal(none.finishReason, 'abort');
    assert.equal(none.usage.completionTokens, 0);
    assert.ok((await collect(chat(model, messages, { maxTokens: 2 }))).text.length > 0);
  });

  it('frees the session when the consumer breaks out', async () => {
    const model = scriptedModel('One two three');
    for await (const part of chat(model, messages)) if (!part.done) break;
    await collect(chat(model, messages, { maxTokens: 2 }));
  });

  it('refuses what it cannot do', async () => {
    const model = scriptedModel('x');
    await assert.rejects(collect(chat(model, [])), { code: 'invalid-argument' });
    await assert.rejects(collect(chat(model, messages, { temperature: -1 })), { code: 'invalid-argument' });
    const long = [{ role: 'user' as const, content: 'word '.repeat(600) }];
    await assert.rejects(collect(chat(model, long)), { code: 'context-overflow' });
    await assert.rejects(collect(chat(scriptedModel('x', { template: null }), messages)), {
      code: 'unsupported-config',
      hint: /complete\(/,
    });
    await collect(chat(model, messages));
  });

  it('passes on a failure of the model', async () => {
    const model = scriptedModel('One two three');
    model.program.before = (step) => {
      if (step === 2) throw new Error('a kernel failed');
    };
    await assert.rejects(collect(chat(model, messages)), { message: 'a kernel failed' });
  });
});

describe('complete', () => {
  it('continues a text without a template', async () => {
    const model = scriptedModel(' time');
    const { text, done } = await collect(complete(model, 'Once upon a'));
    assert.equal(text, ' time');
    assert.equal(done.usage.promptTokens, model.tokenizer.encode('Once upon a').length);
  });

  it('begins at BOS where there is no text, and says so where there is no BOS', async () => {
    const model = scriptedModel('x');
    await assert.rejects(collect(complete(model, '')), { code: 'invalid-argument' });
    const tokenizer = smallTokenizer('byteLevel', { bos_token: '<|endoftext|>' });
    const withBos = { ...model, tokenizer };
    const { done } = await collect(complete(withBos, ''));
    assert.equal(done.usage.promptTokens, 1);
  });

  it('refuses what is not a text', async () => {
    await assert.rejects(collect(complete(scriptedModel('x'), 5 as unknown as string)), { code: 'invalid-argument' });
  });
});
