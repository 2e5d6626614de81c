// The random numbers that all synthetic weights are made of. Seeded: the bench must do the same work every time.

/**
 * @param {number} bytes
 * @param {(byte: number, index: number) => number} map
 */
export function noise(bytes, map = (x) => x) {
  let state = 0x9e3779b9;
  const out = new Uint8Array(bytes);
  for (let i = 0; i < bytes; i += 1) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    out[i] = map(state & 255, i);
  }
  return out;
}

/** Codes of weights, of any width. */
export const CODES = noise(1 << 20);

/**
 * The high byte of an f16 scale, from 2⁻⁶ for 2 bits to 2⁻¹² for 8: a weight is then about 0.03, as trained ones are, so that
 * activations stay finite.
 */
export const SCALE_HIGH_BYTE = { 2: 0x24, 3: 0x20, 4: 0x1c, 8: 0x0c };

/** f16 scales of groups of weights. */
export const SCALES = Object.fromEntries(
  [2, 3, 4, 8].map((bits) => [bits, noise(1 << 16, (x, i) => (i % 2 ? SCALE_HIGH_BYTE[bits] : x))]),
);

/** The same as f32. @param {4 | 8} bits */
export function scalesAsFloat32(bits) {
  const halves = new Uint16Array(SCALES[bits].buffer);
  // Normal and positive, all of them.
  const values = Float32Array.from(halves, (half) => (1 + (half & 1023) / 1024) * 2 ** ((half >> 10) - 15));
  return new Uint8Array(values.buffer);
}
