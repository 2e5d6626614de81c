// The grids of the I-quants, unpacked when a tensor first needs one. grids.generated.ts holds them as indices of levels.

import { GRIDS } from './grids.generated.ts';

export type GridName = keyof typeof GRIDS;

const unpacked = new Map<GridName, Int8Array>();

/** The numbers of all entries, one after another. */
export function grid(name: GridName): Int8Array {
  const known = unpacked.get(name);
  if (known) return known;
  const { levels, bits, data } = GRIDS[name];
  const text = atob(data);
  const count = Math.floor((text.length * 8) / bits);
  const numbers = new Int8Array(count);
  for (let i = 0; i < count; i++) {
    const at = i * bits;
    const pair = text.charCodeAt(at >> 3) | (text.charCodeAt(Math.min(text.length - 1, (at >> 3) + 1)) << 8);
    numbers[i] = levels[(pair >> (at & 7)) & ((1 << bits) - 1)]!;
  }
  unpacked.set(name, numbers);
  return numbers;
}
