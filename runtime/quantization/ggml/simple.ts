// ggml's types with one scale (and perhaps a minimum) for each 32 numbers. Codes of 4 bits lie as in our own planes: byte j
// holds column j in its low nibble and column j + 16 in its high one.

import { half, int8, uint32, type BlockDecoder } from './block.ts';

/** scale f16, 16 bytes of codes: scale × (code − 8) */
export const q4_0: BlockDecoder = (bytes, at, values, to) => {
  const scale = half(bytes, at);
  for (let j = 0; j < 16; j++) {
    const byte = bytes[at + 2 + j]!;
    values[to + j] = scale * ((byte & 15) - 8);
    values[to + j + 16] = scale * ((byte >> 4) - 8);
  }
};

/** scale f16, minimum f16, 16 bytes of codes: scale × code + minimum */
export const q4_1: BlockDecoder = (bytes, at, values, to) => {
  const scale = half(bytes, at);
  const minimum = half(bytes, at + 2);
  for (let j = 0; j < 16; j++) {
    const byte = bytes[at + 4 + j]!;
    values[to + j] = scale * (byte & 15) + minimum;
    values[to + j + 16] = scale * (byte >> 4) + minimum;
  }
};

/** scale f16, 32 fifth bits (bit j is column j), 16 bytes of low bits: scale × (code − 16) */
export const q5_0: BlockDecoder = (bytes, at, values, to) => {
  const scale = half(bytes, at);
  const high = uint32(bytes, at + 2);
  for (let j = 0; j < 16; j++) {
    const byte = bytes[at + 6 + j]!;
    values[to + j] = scale * (((byte & 15) | (((high >>> j) & 1) << 4)) - 16);
    values[to + j + 16] = scale * (((byte >> 4) | (((high >>> (j + 16)) & 1) << 4)) - 16);
  }
};

/** scale f16, minimum f16, 32 fifth bits, 16 bytes of low bits: scale × code + minimum */
export const q5_1: BlockDecoder = (bytes, at, values, to) => {
  const scale = half(bytes, at);
  const minimum = half(bytes, at + 2);
  const high = uint32(bytes, at + 4);
  for (let j = 0; j < 16; j++) {
    const byte = bytes[at + 8 + j]!;
    values[to + j] = scale * ((byte & 15) | (((high >>> j) & 1) << 4)) + minimum;
    values[to + j + 16] = scale * ((byte >> 4) | (((high >>> (j + 16)) & 1) << 4)) + minimum;
  }
};

/** scale f16, 32 signed bytes: scale × byte */
export const q8_0: BlockDecoder = (bytes, at, values, to) => {
  const scale = half(bytes, at);
  for (let j = 0; j < 32; j++) values[to + j] = scale * int8(bytes, at + 2 + j);
};

/** Levels that a 4-bit code stands for, closer together near zero. Source: `kvalues_iq4nl` of ggml. */
export const IQ4_LEVELS = Int8Array.of(-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113);

/** scale f16, 16 bytes of codes: scale × level */
export const iq4_nl: BlockDecoder = (bytes, at, values, to) => {
  const scale = half(bytes, at);
  for (let j = 0; j < 16; j++) {
    const byte = bytes[at + 2 + j]!;
    values[to + j] = scale * IQ4_LEVELS[byte & 15]!;
    values[to + j + 16] = scale * IQ4_LEVELS[byte >> 4]!;
  }
};

/** The magnitudes of a 4-bit float (E2M1), doubled; the top bit is the sign. */
const E2M1_DOUBLED = Int8Array.of(0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12);

/** exponent (E8M0, 2^(e − 127)), 16 bytes of codes: half of the scale × doubled level. Source: OCP Microscaling 1.0. */
export const mxfp4: BlockDecoder = (bytes, at, values, to) => {
  const scale = 2 ** (bytes[at]! - 128);
  for (let j = 0; j < 16; j++) {
    const byte = bytes[at + 1 + j]!;
    values[to + j] = scale * E2M1_DOUBLED[byte & 15]!;
    values[to + j + 16] = scale * E2M1_DOUBLED[byte >> 4]!;
  }
};
