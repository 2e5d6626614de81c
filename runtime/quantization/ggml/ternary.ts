// ggml's ternary types: −1, 0 or 1 times one scale for 256 numbers.

import { half, type BlockDecoder } from './block.ts';

const POWERS_OF_3 = [1, 3, 9, 27, 81] as const;

/**
 * Five ternary digits a byte, as a fraction of 243 in 256ths: multiplying by 3^n brings digit n before the point.
 * 32 bytes hold 5 runs of 32 numbers, 16 bytes 5 runs of 16, 4 bytes 4 runs of 4; then d f16.
 */
export const tq1_0: BlockDecoder = (bytes, at, values, to) => {
  const d = half(bytes, at + 52);
  let target = to;
  const take = (source: number, width: number, runs: number): void => {
    for (let run = 0; run < runs; run++) {
      for (let i = 0; i < width; i++) {
        const fraction = (bytes[source + i]! * POWERS_OF_3[run]!) & 255;
        values[target++] = d * (((fraction * 3) >> 8) - 1);
      }
    }
  };
  take(at, 32, 5);
  take(at + 32, 16, 5);
  take(at + 48, 4, 4);
};

/** 64 bytes of 2-bit codes, d f16: d × (code − 1) */
export const tq2_0: BlockDecoder = (bytes, at, values, to) => {
  const d = half(bytes, at + 64);
  for (let run = 0; run < 8; run++) {
    const source = at + (run >> 2) * 32;
    const shift = (run & 3) * 2;
    for (let i = 0; i < 32; i++) values[to + run * 32 + i] = d * (((bytes[source + i]! >> shift) & 3) - 1);
  }
};
