// The course of a chat, without its looks: sending, answering, stopping, answering again. One answer at a time; every
// way out of an answer leaves its turn with an outcome.

import { isAbortError, WpError } from '../../runtime/index.ts';
import type { ChatMessage, ChatOptions, ChatPart, Model } from '../../runtime/index.ts';
import type { MessageDetail } from '../events.ts';
import { Conversation, type Turn } from './conversation.ts';

/** What the engine needs from its element, and tells it. */
export interface ChatDelegate {
  loadModel(): Promise<Model>;
  /** Put before the conversation; '' for none. */
  systemPrompt(): string;
  generationOptions(): ChatOptions;
  /** Turns came, went or changed their outcome. */
  changed(): void;
  answerStarted(): void;
  /** Text arrived in this turn: called for each part. */
  partArrived(turn: Turn, text: string): void;
  /** A message stands: sent, completed or stopped. */
  messageStands(detail: MessageDetail): void;
  answerFailed(error: WpError): void;
}

export class ChatEngine {
  readonly conversation = new Conversation();
  #answering: { turn: Turn; controller: AbortController } | undefined;

  constructor(private readonly delegate: ChatDelegate) {}

  /** The turn that is being answered. */
  get answeringTurn(): Turn | undefined {
    return this.#answering?.turn;
  }

  /** Resolves when the answer is complete, stopped or failed. */
  async send(text: string): Promise<void> {
    const content = withoutLoneSurrogates(text).trim();
    if (!content || this.#answering) return;
    this.conversation.add('user', content);
    this.delegate.messageStands({ message: { role: 'user', content } });
    await this.#answer();
  }

  stop(): void {
    const answering = this.#answering;
    this.#answering = undefined;
    answering?.controller.abort();
  }

  async regenerate(): Promise<void> {
    this.stop();
    if (this.conversation.dropLastAnswer()) await this.#answer();
  }

  clear(): void {
    this.stop();
    this.conversation.clear();
    this.delegate.changed();
  }

  /** Takes over a conversation; its system messages are returned, joined. */
  replace(messages: readonly ChatMessage[]): string {
    this.stop();
    const system = this.conversation.replace(messages);
    this.delegate.changed();
    return system;
  }

  async #answer(): Promise<void> {
    const { conversation, delegate } = this;
    const messages = conversation.messages();
    const turn = conversation.add('assistant', '', { status: 'waiting' });
    const controller = new AbortController();
    const { signal } = controller;
    this.#answering = { turn, controller };
    delegate.changed();
    delegate.answerStarted();
    try {
      const model = await untilAborted(delegate.loadModel(), signal);
      const system = delegate.systemPrompt();
      const prompt: ChatMessage[] = system ? [{ role: 'system', content: system }, ...messages] : messages;
      for await (const part of model.chat(prompt, { ...delegate.generationOptions(), signal })) this.#take(turn, part);
      if (turn.outcome.status !== 'done') turn.outcome = { status: 'done' };
    } catch (thrown) {
      this.#settleFailure(turn, thrown);
    } finally {
      if (this.#answering?.turn === turn) this.#answering = undefined;
      delegate.changed();
      this.#report(turn);
    }
  }

  #take(turn: Turn, part: ChatPart): void {
    if (part.done) {
      const { finishReason, usage, timing } = part;
      turn.outcome = { status: 'done', finishReason, usage, timing };
      return;
    }
    const isFirst = turn.outcome.status === 'waiting';
    turn.content += part.text;
    if (isFirst) {
      turn.outcome = { status: 'streaming' };
      this.delegate.changed();
    }
    this.delegate.partArrived(turn, part.text);
  }

  #settleFailure(turn: Turn, thrown: unknown): void {
    if (isAbortError(thrown)) turn.outcome = { status: 'done', finishReason: 'abort' };
    else turn.outcome = { status: 'failed', error: WpError.from(thrown) };
    // Nothing was said: a stopped answer leaves no trace.
    if (turn.outcome.status === 'done' && turn.content === '') this.conversation.remove(turn);
  }

  #report(turn: Turn): void {
    const { outcome, content } = turn;
    if (outcome.status === 'failed') this.delegate.answerFailed(outcome.error);
    if (outcome.status !== 'done' || !this.conversation.has(turn)) return;
    const { finishReason, usage, timing } = outcome;
    this.delegate.messageStands({ message: { role: 'assistant', content }, finishReason, usage, timing });
  }
}

/** Half a character (from a cut emoji, say) is no text that a tokenizer could take. */
function withoutLoneSurrogates(text: string): string {
  return text.replace(/\p{Surrogate}/gu, '\uFFFD');
}

function untilAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    signal.addEventListener('abort', () => reject(new DOMException('The operation was aborted.', 'AbortError')));
    promise.then(resolve, reject);
  });
}
