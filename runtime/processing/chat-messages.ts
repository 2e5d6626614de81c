// Checks a conversation before a template sees it: the messages come from a page, perhaps from JSON.

import { WpError } from '../errors.ts';
import type { ChatMessage } from '../types.ts';
import { isRecord } from './json.ts';
import { replaceLoneSurrogates } from './tokenizer.ts';

const ROLES = ['system', 'user', 'assistant'] as const;

/** The messages with lone surrogates replaced. @throws WpError `invalid-argument` that names the message at fault. */
export function validateMessages(messages: unknown): ChatMessage[] {
  if (!Array.isArray(messages) || messages.length === 0) {
    throw new WpError(
      'invalid-argument',
      Array.isArray(messages) ? 'The conversation is empty.' : 'The conversation is not a list of messages.',
      "Pass at least one message: [{ role: 'user', content: 'Hello' }].",
      { actual: Array.isArray(messages) ? [] : typeof messages },
    );
  }
  return messages.map((message: unknown, index) => {
    if (!isRecord(message)) throw invalid(index, 'is not an object', message, '{ role, content }');
    const role = ROLES.find((known) => known === message.role);
    if (!role) throw invalid(index, `has the role ${JSON.stringify(message.role)}`, message.role, ROLES);
    if (typeof message.content !== 'string') {
      throw invalid(index, 'has a content that is not a string', typeof message.content, 'string');
    }
    return { role, content: replaceLoneSurrogates(message.content) };
  });
}

function invalid(index: number, problem: string, actual: unknown, allowed: unknown): WpError {
  const hint = Array.isArray(allowed) ? `Use one of ${allowed.join(', ')}.` : `Expected: ${String(allowed)}.`;
  return new WpError('invalid-argument', `Message ${index} ${problem}.`, hint, { index, actual, allowed });
}
