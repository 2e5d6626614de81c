// The scale, or scale and minimum, that serve one group best, before they are rounded to anything: the search behind
// two-level scales. A few trial scales are taken; for the codes of each the best scale (and minimum) is the weighted
// least-squares fit, and the trial whose fit leaves the least error wins. Weights say what an error at a place costs.

/** Trials lengthen or shorten the code range by up to this many steps. */
const REACH = 1;
const TRIALS = 9;

/** The scale of value = scale × (code − half); it may be negative, since there is one more code below zero than above. */
export function fitScale(
  values: Float32Array,
  weights: Float32Array,
  start: number,
  count: number,
  half: number,
): number {
  let largest = 0;
  for (let i = start; i < start + count; i++) {
    if (Math.abs(values[i]!) > Math.abs(largest)) largest = values[i]!;
  }
  if (largest === 0) return 0;
  const top = 2 * half - 1;
  let bestScale = -largest / half;
  let best = 0;
  for (let trial = 0; trial < TRIALS; trial++) {
    const shift = 2 * REACH * (trial / (TRIALS - 1) - 0.5) * Math.min(2, half / 2);
    const inverse = -(half + shift) / largest;
    let product = 0;
    let square = 0;
    for (let i = start; i < start + count; i++) {
      const code = Math.floor(values[i]! * inverse + half + 0.5);
      const level = (code < 0 ? 0 : code > top ? top : code) - half;
      const weighted = weights[i]! * level;
      product += weighted * values[i]!;
      square += weighted * level;
    }
    // What the fit explains, Σwxl² / Σwl², compared as fractions.
    if (square > 0 && product * product > best * square) {
      best = (product * product) / square;
      bestScale = product / square;
    }
  }
  return bestScale;
}

export interface Line {
  scale: number;
  minimum: number;
}

/** Scale ≥ 0 and minimum ≤ 0 of value = scale × code + minimum: a superblock's minimums share one sign. Fills `line`. */
export function fitLine(
  values: Float32Array,
  weights: Float32Array,
  start: number,
  count: number,
  top: number,
  line: Line,
): void {
  let least = 0;
  let greatest = -Infinity;
  let w = 0;
  let wx = 0;
  let wxx = 0;
  for (let i = start; i < start + count; i++) {
    const x = values[i]!;
    if (x < least) least = x;
    if (x > greatest) greatest = x;
    w += weights[i]!;
    wx += weights[i]! * x;
    wxx += weights[i]! * x * x;
  }
  line.scale = 0;
  line.minimum = least;
  const range = greatest - least;
  if (!(range > 0)) return;
  let best = Infinity;
  for (let trial = 0; trial < TRIALS; trial++) {
    const inverse = (top + 2 * REACH * (trial / (TRIALS - 1) - 0.5)) / range;
    let wl = 0;
    let wll = 0;
    let wxl = 0;
    for (let i = start; i < start + count; i++) {
      const code = Math.floor((values[i]! - least) * inverse + 0.5);
      const level = code > top ? top : code;
      const weighted = weights[i]! * level;
      wl += weighted;
      wll += weighted * level;
      wxl += weighted * values[i]!;
    }
    const determinant = w * wll - wl * wl;
    if (!(determinant > 0)) continue;
    let scale = (w * wxl - wx * wl) / determinant;
    let minimum = (wll * wx - wl * wxl) / determinant;
    if (minimum > 0) {
      minimum = 0;
      scale = wxl / wll;
    }
    // Σw(x − s·l − m)²
    const error =
      wxx + scale * scale * wll + minimum * minimum * w + 2 * (scale * minimum * wl - scale * wxl - minimum * wx);
    if (scale >= 0 && error < best) {
      best = error;
      line.scale = scale;
      line.minimum = minimum;
    }
  }
}
