// The turns of a chat, as data: what was said, and for each answer how it went. No DOM, no model.

import type { ChatMessage, FinishReason, Timing, Usage, WpError } from '../../runtime/index.ts';

export type TurnOutcome =
  /** Sent, and the model is not there yet or answers something else. */
  | { status: 'waiting' }
  | { status: 'streaming' }
  | { status: 'done'; finishReason?: FinishReason | undefined; usage?: Usage | undefined; timing?: Timing | undefined }
  | { status: 'failed'; error: WpError };

export interface Turn {
  readonly id: number;
  readonly role: 'user' | 'assistant';
  content: string;
  outcome: TurnOutcome;
}

let lastId = 0;

export class Conversation {
  turns: readonly Turn[] = [];

  add(role: Turn['role'], content: string, outcome: TurnOutcome = { status: 'done' }): Turn {
    const turn: Turn = { id: ++lastId, role, content, outcome };
    this.turns = [...this.turns, turn];
    return turn;
  }

  remove(turn: Turn): void {
    this.turns = this.turns.filter((other) => other !== turn);
  }

  has(turn: Turn): boolean {
    return this.turns.includes(turn);
  }

  clear(): void {
    this.turns = [];
  }

  /** Removes the answers after the last question, so that it can be answered again. False if there is no question. */
  dropLastAnswer(): boolean {
    const lastQuestion = this.turns.findLastIndex((turn) => turn.role === 'user');
    if (lastQuestion < 0) return false;
    this.turns = this.turns.slice(0, lastQuestion + 1);
    return true;
  }

  /** What the model is given and the page reads: no answer that has no text. */
  messages(): ChatMessage[] {
    return this.turns
      .filter((turn) => turn.role === 'user' || turn.content !== '')
      .map(({ role, content }) => ({ role, content }));
  }

  /** Takes over a conversation; its system messages are returned, joined. */
  replace(messages: readonly ChatMessage[]): string {
    this.clear();
    const system: string[] = [];
    for (const { role, content } of messages) {
      if (role === 'system') system.push(content);
      else this.add(role, content);
    }
    return system.join('\n\n');
  }
}
