// Search on the CPU (runtime/search): a module of its own and of one function, so that a page that searches fetches nothing else.

/**
 * scores[i] = (codes of row i · query) × scales[i] × queryScale, for `rows` rows of `stride` int8 codes, a multiple of 16. The
 * query is int16, small enough that the sum of a row fits into 32 bits (runtime/search/quantized-rows.ts). Four rows at once
 * share what is read of the query. `scales` and `scores` hold whole groups of four; so do the codes.
 */
export function scan(
  codes: usize,
  query: usize,
  scales: usize,
  scores: usize,
  stride: u32,
  rows: u32,
  queryScale: f32,
): void {
  const unit = f32x4.splat(queryScale);
  for (let row: u32 = 0; row < rows; row += 4) {
    const first = codes + <usize>row * stride;
    let sum0 = i32x4.splat(0);
    let sum1 = i32x4.splat(0);
    let sum2 = i32x4.splat(0);
    let sum3 = i32x4.splat(0);
    for (let column: u32 = 0; column < stride; column += 16) {
      const low = v128.load(query + <usize>column * 2);
      const high = v128.load(query + <usize>column * 2, 16);
      const at = first + column;
      const codes0 = v128.load(at);
      const codes1 = v128.load(at + stride);
      const codes2 = v128.load(at + stride * 2);
      const codes3 = v128.load(at + stride * 3);
      sum0 = i32x4.add(sum0, dot16(codes0, low, high));
      sum1 = i32x4.add(sum1, dot16(codes1, low, high));
      sum2 = i32x4.add(sum2, dot16(codes2, low, high));
      sum3 = i32x4.add(sum3, dot16(codes3, low, high));
    }
    // Four rows of four lanes → four sums.
    const a = i32x4.add(v128.shuffle<i32>(sum0, sum1, 0, 4, 1, 5), v128.shuffle<i32>(sum0, sum1, 2, 6, 3, 7));
    const b = i32x4.add(v128.shuffle<i32>(sum2, sum3, 0, 4, 1, 5), v128.shuffle<i32>(sum2, sum3, 2, 6, 3, 7));
    const sums = i32x4.add(v128.shuffle<i32>(a, b, 0, 1, 4, 5), v128.shuffle<i32>(a, b, 2, 3, 6, 7));
    const scale = f32x4.mul(v128.load(scales + <usize>row * 4), unit);
    v128.store(scores + <usize>row * 4, f32x4.mul(f32x4.convert_i32x4_s(sums), scale));
  }
}

@inline
function dot16(codes: v128, low: v128, high: v128): v128 {
  return i32x4.add(
    i32x4.dot_i16x8_s(i16x8.extend_low_i8x16_s(codes), low),
    i32x4.dot_i16x8_s(i16x8.extend_high_i8x16_s(codes), high),
  );
}
