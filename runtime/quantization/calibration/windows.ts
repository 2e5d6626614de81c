/** `count` of some things, spread evenly from the first to the last. */
export function spreadOver<T>(all: readonly T[], count: number): T[] {
  const taken = Math.min(count, all.length);
  return Array.from({ length: taken }, (_, i) => all[Math.floor(((i + 0.5) * all.length) / taken)]!);
}

/**
 * `count` windows of `length` tokens, spread evenly over a text: a text is rarely of one kind from its beginning to its end. Fewer
 * when the text is shorter; the tokens after its last whole window are left out, unless there is none.
 */
export function textWindows(
  tokens: readonly number[],
  { count, length }: { count: number; length: number },
): number[][] {
  const whole = Math.floor(tokens.length / length);
  if (whole === 0) return tokens.length > 0 ? [[...tokens]] : [];
  const taken = Math.min(count, whole);
  return Array.from({ length: taken }, (_, i) => {
    const start = Math.floor((i * whole) / taken) * length;
    return tokens.slice(start, start + length);
  });
}
