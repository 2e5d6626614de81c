// Rows of an embedding table that stands in blocks of four rows (repack.ts), so that a tied table is held once and serves
// the last matrix product as well. Plain formats; embed-integer.ts has the others. A few rows a step: plain scalar code. `from`
// and `to` are tokens; ids are in range.

import { halfToFloat } from './half';
import { EmbedParameters } from './parameters';

export function embedF16(parameters: usize, from: u32, to: u32): void {
  const p = changetype<EmbedParameters>(parameters);
  for (let token = from; token < to; token++) {
    const id = load<u32>(p.ids + <usize>token * 4);
    const row = p.weights + (<usize>(id >> 2) * p.columns * 4 + (id & 3)) * 2;
    const out = p.output + <usize>token * p.columns * 4;
    for (let c: usize = 0; c < p.columns; c++) {
      store<f32>(out + c * 4, halfToFloat(load<u16>(row + c * 8)) * p.unit);
    }
  }
}

export function embedF32(parameters: usize, from: u32, to: u32): void {
  const p = changetype<EmbedParameters>(parameters);
  for (let token = from; token < to; token++) {
    const id = load<u32>(p.ids + <usize>token * 4);
    const row = p.weights + (<usize>(id >> 2) * p.columns * 4 + (id & 3)) * 4;
    const out = p.output + <usize>token * p.columns * 4;
    for (let c: usize = 0; c < p.columns; c++) store<f32>(out + c * 4, load<f32>(row + c * 16));
  }
}
