// The shape of the OpenAI API over `chat`: a pure mapping, so that it runs on the page and needs no model code. Fields
// that are not supported are errors and not ignored, since each of them would change the answer.

import { WpError } from '../errors.ts';
import type { Completion, CompletionChunk, CompletionRequest, CompletionUsage, CreateCompletion } from '../model.ts';
import type { ChatMessage, ChatOptions, ChatPart, GenerationOptions, Usage } from '../types.ts';

type Chat = (messages: readonly ChatMessage[], options?: ChatOptions) => AsyncIterableIterator<ChatPart>;

/** Which of our options each field sets; null for those that are handled apart. A new field must be put here. */
const FIELDS: Readonly<Record<keyof CompletionRequest, keyof GenerationOptions | null>> = {
  messages: null,
  model: null,
  stream: null,
  max_tokens: 'maxTokens',
  max_completion_tokens: 'maxTokens',
  temperature: 'temperature',
  top_p: 'topP',
  top_k: 'topK',
  min_p: 'minP',
  repetition_penalty: 'repetitionPenalty',
  seed: 'seed',
  stop: 'stop',
};

/** @param modelName what answers say in `model`; a request that names another is an error. */
export function createCompletions(chat: Chat, modelName: string): { create: CreateCompletion } {
  async function create(
    request: CompletionRequest,
    { signal }: { signal?: AbortSignal } = {},
  ): Promise<Completion | AsyncIterableIterator<CompletionChunk>> {
    const options = { ...readRequest(request, modelName), signal };
    const head: Head = { id: `chatcmpl-${randomId()}`, created: Math.floor(Date.now() / 1000), model: modelName };
    const parts = chat(request.messages, options);
    return request.stream ? streamChunks(parts, head) : collect(parts, head);
  }
  return { create: create as CreateCompletion };
}

interface Head {
  id: string;
  created: number;
  model: string;
}

function readRequest(request: CompletionRequest, modelName: string): GenerationOptions {
  const options: Record<string, unknown> = {};
  for (const [field, value] of Object.entries(request)) {
    if (value === undefined) continue;
    if (!Object.hasOwn(FIELDS, field)) throw unknownField(field);
    const option = FIELDS[field as keyof CompletionRequest];
    // `null` means "the default", as in OpenAI's API.
    if (option === null || value === null) continue;
    if (option === 'maxTokens' && options.maxTokens !== undefined && options.maxTokens !== value) {
      throw new WpError(
        'invalid-argument',
        'max_tokens and max_completion_tokens say different things.',
        'Pass one of them.',
        { max_tokens: request.max_tokens, max_completion_tokens: request.max_completion_tokens },
      );
    }
    options[option] = value;
  }
  if (request.model !== undefined && request.model !== modelName) {
    throw new WpError(
      'invalid-argument',
      `The request names the model ${JSON.stringify(request.model)}; this one is ${JSON.stringify(modelName)}.`,
      'Leave model out, or load the model that you mean.',
      { actual: request.model, allowed: modelName },
    );
  }
  return options;
}

async function* streamChunks(
  parts: AsyncIterableIterator<ChatPart>,
  head: Head,
): AsyncGenerator<CompletionChunk, void, undefined> {
  const chunk = (choice: Omit<CompletionChunk['choices'][0], 'index'>): CompletionChunk => ({
    ...head,
    object: 'chat.completion.chunk',
    choices: [{ index: 0, ...choice }],
  });
  yield chunk({ delta: { role: 'assistant', content: '' }, finish_reason: null });
  for await (const part of parts) {
    if (!part.done) yield chunk({ delta: { content: part.text }, finish_reason: null });
    else yield { ...chunk({ delta: {}, finish_reason: part.finishReason }), usage: toUsage(part.usage) };
  }
}

async function collect(parts: AsyncIterableIterator<ChatPart>, head: Head): Promise<Completion> {
  let content = '';
  for await (const part of parts) {
    if (!part.done) {
      content += part.text;
      continue;
    }
    return {
      ...head,
      object: 'chat.completion',
      choices: [{ index: 0, message: { role: 'assistant', content }, finish_reason: part.finishReason }],
      usage: toUsage(part.usage),
    };
  }
  throw new WpError('internal', 'The answer ended without its last part.', 'Please report this defect.');
}

function toUsage(usage: Usage): CompletionUsage {
  return {
    prompt_tokens: usage.promptTokens,
    completion_tokens: usage.completionTokens,
    total_tokens: usage.totalTokens,
  };
}

function unknownField(field: string): WpError {
  const allowed = Object.keys(FIELDS);
  return new WpError(
    'invalid-argument',
    `The request has the field ${JSON.stringify(field)}, which is not supported.`,
    `Supported: ${allowed.join(', ')}.`,
    { actual: field, allowed },
  );
}

/** `crypto.randomUUID` exists in secure contexts only. */
function randomId(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(12)), (byte) => byte.toString(16).padStart(2, '0')).join('');
}
