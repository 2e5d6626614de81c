// Codes as the kernels read them. Weights stand in blocks of four rows × 32 columns; of every sixteen bytes four belong to each
// row. Whatever the width, vector `i` (0 … 7) of a block holds columns 4i … 4i + 3 of the four rows, a byte each, so that a dot
// product of four adjacent bytes leaves one row's sum in one 32-bit lane and nothing is ever summed across lanes.
//
//   2, 4, 8 bits: the checkpoint's plane (formats.ts), its words interleaved by repack.ts
//   3 bits: three vectors. Vector k < 3 holds code 2k in bits 0 … 2 and code 2k + 1 in bits 3 … 5; bits 6 and 7 of the three hold
//     code 6's low two bits | code 6's top bit, code 7's top bit | code 7's low two bits
//   5 bits: five vectors. Vector k holds code k in bits 0 … 4; bits 5 … 7 hold
//     low of 5 | top two of 5, bit 3 of 7 | low of 6 | top two of 6, bit 4 of 7 | low of 7         (low: three bits)
//   6 bits: six vectors. Vector k holds code k in bits 0 … 5; bits 6 and 7 of the first three hold code 6, of the others code 7
//
// The widths of two planes are so put together when they are loaded (fold.ts), because joining planes in the loop takes twice as
// many operations. Bits cross from byte to byte in 16-bit shifts; the masks drop them.

/** Bytes of one block. */
@inline
export function codeBytes<Codes>(): usize {
  return offsetof<Codes>() * 16;
}

@inline
function bitsOf(w: usize, vector: usize, shift: i32, mask: i32): v128 {
  const v = v128.load(w + vector * 16);
  return v128.and(shift == 0 ? v : i16x8.shr_u(v, shift), i8x16.splat(<i8>mask));
}

/** Vector `i` of the block at `w`: unsigned codes, for 8 bits signed ones. `i` is a constant. */
@inline
export function unpack<Codes>(w: usize, i: usize): v128 {
  if (offsetof<Codes>() == 8) return v128.load(w + i * 16);
  if (offsetof<Codes>() == 2) return bitsOf(w, i & 1, <i32>(i >> 1) * 2, 3);
  if (offsetof<Codes>() == 4) return bitsOf(w, i & 3, <i32>(i >> 2) * 4, 15);
  if (offsetof<Codes>() == 3) {
    if (i < 6) return bitsOf(w, i >> 1, <i32>(i & 1) * 3, 7);
    if (i == 6) return v128.or(bitsOf(w, 0, 6, 3), bitsOf(w, 1, 4, 4));
    return v128.or(bitsOf(w, 2, 6, 3), bitsOf(w, 1, 5, 4));
  }
  if (offsetof<Codes>() == 5) {
    if (i < 5) return bitsOf(w, i, 0, 31);
    if (i == 5) return v128.or(bitsOf(w, 0, 5, 7), bitsOf(w, 1, 2, 24));
    if (i == 6) return v128.or(bitsOf(w, 2, 5, 7), bitsOf(w, 3, 2, 24));
    return v128.or(v128.or(bitsOf(w, 4, 5, 7), bitsOf(w, 1, 4, 8)), bitsOf(w, 3, 3, 16));
  }
  if (i < 6) return bitsOf(w, i, 0, 63);
  const from: usize = i == 6 ? 0 : 3;
  return v128.or(v128.or(bitsOf(w, from, 6, 3), bitsOf(w, from + 1, 4, 12)), bitsOf(w, from + 2, 2, 48));
}

/** Vector `i` where `i` is known only as it runs. */
export function unpackAt<Codes>(w: usize, i: u32): v128 {
  if (i < 4) {
    if (i < 2) return i == 0 ? unpack<Codes>(w, 0) : unpack<Codes>(w, 1);
    return i == 2 ? unpack<Codes>(w, 2) : unpack<Codes>(w, 3);
  }
  if (i < 6) return i == 4 ? unpack<Codes>(w, 4) : unpack<Codes>(w, 5);
  return i == 6 ? unpack<Codes>(w, 6) : unpack<Codes>(w, 7);
}
