// A conversation, or the beginning of a text, in; a stream of text out. This is where the model's parts meet: template,
// tokenizer, decode loop, text stream. It knows no backend and no element. Read generation/decode-loop.ts next.

import { isAbortError, WpError } from '../errors.ts';
import type { DecoderSession } from '../generation/decode-loop.ts';
import { resolveGenerationOptions, type GenerationDefaults } from '../generation/options.ts';
import { GenerationClock } from '../generation/timing.ts';
import { missingTemplate, type ChatTemplate } from '../processing/chat-template.ts';
import { createTextStream } from '../processing/text-stream.ts';
import type { TextTokenizer } from '../processing/tokenizer.ts';
import type { ChatMessage, ChatOptions, ChatPart, FinishReason } from '../types.ts';

/** What answering needs of a loaded model. */
export interface TextModel {
  session: DecoderSession;
  tokenizer: TextTokenizer;
  /** Undefined for a model that was not trained to chat. */
  template: ChatTemplate | undefined;
  defaults: GenerationDefaults;
  /** Tokens that end an answer: see readEndTokens. */
  eosIds: readonly number[];
}

/**
 * Streams the model's answer to a conversation. The last part is done and says why: an abort ends the stream with
 * `finishReason: 'abort'` and does not throw.
 */
export async function* chat(
  model: TextModel,
  messages: readonly ChatMessage[],
  options: ChatOptions = {},
): AsyncGenerator<ChatPart, void, undefined> {
  if (!model.template) throw missingTemplate();
  const clock = new GenerationClock();
  const prompt = model.template.render(messages);
  yield* answer(model, model.tokenizer.encode(prompt, { addSpecialTokens: false }), options, clock, false);
}

/** Streams the continuation of a text. Ends as `chat` does. An empty text begins at the model's BOS token. */
export async function* complete(
  model: TextModel,
  text: string,
  options: ChatOptions = {},
): AsyncGenerator<ChatPart, void, undefined> {
  if (typeof text !== 'string') {
    throw new WpError('invalid-argument', `The text is ${typeof text}; it must be a string.`, '', {
      actual: typeof text,
    });
  }
  const clock = new GenerationClock();
  const tokens = model.tokenizer.encode(text, { addSpecialTokens: true });
  if (tokens.length === 0 && model.tokenizer.bosId !== undefined) tokens.push(model.tokenizer.bosId);
  yield* answer(model, tokens, options, clock, text !== '');
}

async function* answer(
  { session, tokenizer, defaults, eosIds }: TextModel,
  prompt: readonly number[],
  { signal, ...options }: ChatOptions,
  clock: GenerationClock,
  continuesText: boolean,
): AsyncGenerator<ChatPart, void, undefined> {
  const resolved = resolveGenerationOptions(options, defaults);
  const stream = createTextStream(tokenizer, { stop: resolved.stop, continuesText });
  const events = session.generate(prompt, resolved, { eosIds, signal });
  let finishReason: FinishReason = 'stop';
  const show = (text: string): ChatPart[] => {
    if (text === '') return [];
    clock.text();
    return [{ done: false, text }];
  };
  try {
    for (;;) {
      const event = await events.next();
      if (event.done) {
        finishReason = event.value;
        break;
      }
      if (event.value.type === 'started') {
        clock.started(event.value.promptTokens, event.value.cachedPromptTokens);
        continue;
      }
      clock.token();
      yield* show(stream.push(event.value.token));
      if (stream.stopped) break;
    }
  } catch (error) {
    if (!isAbortError(error)) throw error;
    finishReason = 'abort';
  } finally {
    // Ends the session's turn, also when the consumer breaks out of its loop.
    await events.return('stop');
  }
  yield* show(stream.end({ cutOff: finishReason !== 'stop' }));
  if (stream.stopped) finishReason = 'stop';
  yield { done: true, text: '', finishReason, usage: clock.usage(), timing: clock.timing() };
}
