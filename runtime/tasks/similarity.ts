// How alike two vectors are. Nothing of a model is needed for it: it runs on the page.

import { WpError } from '../errors.ts';

/**
 * The cosine of two vectors' angle, −1 to 1; 0 when one of them is all zeros. For vectors of length 1 it is their dot product.
 * Throws `invalid-argument` for vectors of different lengths.
 */
export function similarity(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length) {
    throw new WpError(
      'invalid-argument',
      `The vectors have ${a.length} and ${b.length} numbers.`,
      'Compare vectors of one model, of the same dimensions.',
      { actual: [a.length, b.length] },
    );
  }
  let dot = 0;
  let squareOfA = 0;
  let squareOfB = 0;
  for (let i = 0; i < a.length; i++) {
    dot += a[i]! * b[i]!;
    squareOfA += a[i]! ** 2;
    squareOfB += b[i]! ** 2;
  }
  return dot / (Math.sqrt(squareOfA * squareOfB) || 1);
}
