// Logits to probabilities.

export const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));

export function softmax(row: ArrayLike<number>): number[] {
  let largest = -Infinity;
  for (let i = 0; i < row.length; i++) largest = Math.max(largest, row[i]!);
  const exponentials = Array.from(row, (x) => Math.exp(x - largest));
  const sum = exponentials.reduce((a, b) => a + b, 0);
  return exponentials.map((x) => x / sum);
}
