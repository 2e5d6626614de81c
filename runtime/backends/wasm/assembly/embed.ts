// Rows of an embedding table that stands in blocks of four rows (repack.ts), so that a tied table is held once and serves
// the last matrix product as well. A few rows a step: plain scalar code. `from` and `to` are tokens; ids are in range.

import { halfToFloat } from './half';
import { EmbedParameters } from './parameters';

// @ts-ignore: decorator
@inline
function scaleOf(p: EmbedParameters, id: u32, group: u32): f32 {
  const groups = p.columns / 32;
  return halfToFloat(load<u16>(p.scales + ((<usize>(id >> 2) * groups + group) * 4 + (id & 3)) * 2));
}

export function embedQ4(parameters: usize, from: u32, to: u32): void {
  const p = changetype<EmbedParameters>(parameters);
  const groups = p.columns / 32;
  for (let token = from; token < to; token++) {
    const id = load<u32>(p.ids + <usize>token * 4);
    const codes = p.weights + <usize>(id >> 2) * groups * 64 + <usize>(id & 3) * 4;
    for (let group: u32 = 0; group < groups; group++) {
      const scale = scaleOf(p, id, group);
      const out = p.output + (<usize>token * p.columns + group * 32) * 4;
      for (let column: u32 = 0; column < 16; column++) {
        const at = codes + <usize>group * 64 + <usize>(column >> 2) * 16 + (column & 3);
        const pair = <i32>load<u8>(at);
        store<f32>(out + <usize>column * 4, scale * <f32>((pair & 15) - 8));
        store<f32>(out + <usize>column * 4, scale * <f32>((pair >> 4) - 8), 64);
      }
    }
  }
}

export function embedQ8(parameters: usize, from: u32, to: u32): void {
  const p = changetype<EmbedParameters>(parameters);
  const groups = p.columns / 32;
  for (let token = from; token < to; token++) {
    const id = load<u32>(p.ids + <usize>token * 4);
    const codes = p.weights + <usize>(id >> 2) * groups * 128 + <usize>(id & 3) * 4;
    for (let group: u32 = 0; group < groups; group++) {
      const scale = scaleOf(p, id, group);
      const out = p.output + (<usize>token * p.columns + group * 32) * 4;
      for (let column: u32 = 0; column < 32; column++) {
        const at = codes + <usize>group * 128 + <usize>(column >> 2) * 16 + (column & 3);
        store<f32>(out + <usize>column * 4, scale * <f32>load<i8>(at));
      }
    }
  }
}

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
