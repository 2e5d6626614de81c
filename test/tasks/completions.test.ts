import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { CompletionChunk, CompletionRequest } from '../../runtime/model.ts';
import { createCompletions } from '../../runtime/tasks/completions.ts';
import type { ChatMessage, ChatOptions, ChatPart } from '../../runtime/types.ts';

const messages: ChatMessage[] = [{ role: 'user', content: 'Hello' }];
const timing = { timeToFirstTokenMs: 1, promptTokensPerSecond: 1, tokensPerSecond: 1, totalMs: 1 };
const usage = { promptTokens: 3, completionTokens: 2, totalTokens: 5, cachedPromptTokens: 1 };

function recorded(): {
  calls: { messages: readonly ChatMessage[]; options: ChatOptions }[];
  ended: boolean;
  chat: Chat;
} {
  const record = {
    calls: [] as { messages: readonly ChatMessage[]; options: ChatOptions }[],
    ended: false,
    async *chat(given: readonly ChatMessage[], options: ChatOptions = {}): AsyncGenerator<ChatPart, void, undefined> {
      record.calls.push({ messages: given, options });
      try {
        yield { done: false, text: 'Hi ' };
        yield { done: false, text: 'there' };
        yield { done: true, text: '', finishReason: 'stop', usage, timing };
      } finally {
        record.ended = true;
      }
    },
  };
  return record;
}
type Chat = (messages: readonly ChatMessage[], options?: ChatOptions) => AsyncGenerator<ChatPart, void, undefined>;

describe('completions', () => {
  it('gives a whole completion', async () => {
    const record = recorded();
    const completion = await createCompletions(record.chat, 'fable').create({ messages });
    assert.match(completion.id, /^chatcmpl-[0-9a-f]{24}$/);
    assert.ok(Math.abs(completion.created - Date.now() / 1000) < 60);
    assert.deepEqual(
      { ...completion, id: '', created: 0 },
      {
        id: '',
        object: 'chat.completion',
        created: 0,
        model: 'fable',
        choices: [{ index: 0, message: { role: 'assistant', content: 'Hi there' }, finish_reason: 'stop' }],
        usage: { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 },
      },
    );
    assert.equal(record.ended, true);
  });

  it('gives chunks, the first with the role and the last with reason and usage', async () => {
    const chunks: CompletionChunk[] = [];
    const stream = await createCompletions(recorded().chat, 'fable').create({ messages, stream: true });
    for await (const chunk of stream) chunks.push(chunk);
    assert.deepEqual(
      chunks.map((chunk) => chunk.choices[0]),
      [
        { index: 0, delta: { role: 'assistant', content: '' }, finish_reason: null },
        { index: 0, delta: { content: 'Hi ' }, finish_reason: null },
        { index: 0, delta: { content: 'there' }, finish_reason: null },
        { index: 0, delta: {}, finish_reason: 'stop' },
      ],
    );
    assert.deepEqual(chunks.at(-1)!.usage, { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 });
    assert.equal(new Set(chunks.map((chunk) => `${chunk.id} ${chunk.created} ${chunk.model} ${chunk.object}`)).size, 1);
  });

  it('stops the answer when its consumer breaks out', async () => {
    const record = recorded();
    let count = 0;
    for await (const _ of await createCompletions(record.chat, 'fable').create({ messages, stream: true })) {
      if (++count === 2) break;
    }
    assert.equal(record.ended, true);
  });

  it('passes every option on, and the signal', async () => {
    const record = recorded();
    const { signal } = new AbortController();
    const request: CompletionRequest = {
      messages,
      model: 'fable',
      max_completion_tokens: 7,
      temperature: 0.5,
      top_p: 0.9,
      top_k: 4,
      min_p: 0.1,
      repetition_penalty: 1.2,
      seed: 3,
      stop: ['END'],
    };
    await createCompletions(record.chat, 'fable').create({ ...request, stream: false }, { signal });
    assert.deepEqual(record.calls[0], {
      messages,
      options: {
        maxTokens: 7,
        temperature: 0.5,
        topP: 0.9,
        topK: 4,
        minP: 0.1,
        repetitionPenalty: 1.2,
        seed: 3,
        stop: ['END'],
        signal,
      },
    });
  });

  it('takes null and undefined for the default, as the API of OpenAI does', async () => {
    const record = recorded();
    const request = { messages, temperature: null, stop: null, max_tokens: undefined, stream: null };
    await createCompletions(record.chat, 'fable').create(request as unknown as CompletionRequest & { stream?: false });
    assert.deepEqual(record.calls[0]!.options, { signal: undefined });
  });

  it('names a field that is not supported', async () => {
    const { create } = createCompletions(recorded().chat, 'fable');
    for (const extra of [{ tools: [] }, { n: 2 }, { logprobs: true }, { toString: 1 }, { __proto__x: 1 }]) {
      const field = Object.keys(extra)[0]!;
      await assert.rejects(create({ messages, ...extra } as CompletionRequest & { stream?: false }), {
        code: 'invalid-argument',
        message: new RegExp(field),
      });
    }
    await assert.rejects(create({ messages, model: 'gpt' }), { code: 'invalid-argument', message: /gpt.*fable/ });
    await assert.rejects(create({ messages, max_tokens: 1, max_completion_tokens: 2 }), { code: 'invalid-argument' });
  });
});
