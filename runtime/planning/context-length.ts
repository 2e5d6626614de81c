import { WpError } from '../errors.ts';
import { describeCount } from './reason.ts';

/** Tokens of context unless asked otherwise: enough for a conversation, and a cache that a phone can hold. */
export const DEFAULT_CONTEXT_LENGTH = 4096;
/** Below this a chat is not one: nothing is shortened further on its own. */
export const SHORTEST_CONTEXT_LENGTH = 512;

/**
 * Context lengths to try, longest first; never empty. A wish is the only one; without one, halves follow, as memory may be
 * short. Throws `invalid-argument` for a wish that is no count or more than the model allows.
 */
export function chooseContextLengths(wish: number | undefined, maxContextLength: number): number[] {
  if (wish !== undefined) {
    if (Number.isInteger(wish) && wish >= 1 && wish <= maxContextLength) return [wish];
    throw new WpError(
      'invalid-argument',
      `contextLength is ${wish}; this model allows 1 to ${describeCount(maxContextLength)} tokens.`,
      'Leave contextLength out for the default.',
      { actual: wish, allowed: maxContextLength },
    );
  }
  const lengths = [Math.min(maxContextLength, DEFAULT_CONTEXT_LENGTH)];
  for (;;) {
    const shorter = Math.floor(lengths.at(-1)! / 2);
    if (shorter < SHORTEST_CONTEXT_LENGTH) return lengths;
    lengths.push(shorter);
  }
}
