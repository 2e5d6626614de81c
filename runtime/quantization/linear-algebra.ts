// What GPTQ needs of linear algebra, in float64 and row-major: matrices of a few thousand columns.

import { WpError } from '../errors.ts';

/**
 * The upper triangular U with A⁻¹ = Uᵀ·U, for a symmetric positive definite A [size, size]: its row j says how an error in
 * column j is made up for by the columns after it. One Cholesky factorisation from the last column up, A = R·Rᵀ with R upper
 * triangular, whose inverse U is. Throws `invalid-argument` when A is not positive definite.
 */
export function inverseFactor(a: Float64Array, size: number): Float64Array {
  const r = reverseCholesky(a, size);
  // U = R⁻¹ column by column would stride; row i of R·U = 1 gives row i of U from the rows below it.
  const u = new Float64Array(size * size);
  for (let i = size - 1; i >= 0; i--) {
    const row = u.subarray(i * size, (i + 1) * size);
    row[i] = 1;
    for (let k = i + 1; k < size; k++) {
      const factor = r[i * size + k]!;
      if (factor === 0) continue;
      const at = k * size;
      for (let j = k; j < size; j++) row[j]! -= factor * u[at + j]!;
    }
    const inverse = 1 / r[i * size + i]!;
    for (let j = i; j < size; j++) row[j]! *= inverse;
  }
  return u;
}

/** R, upper triangular, with A = R·Rᵀ. */
function reverseCholesky(a: Float64Array, size: number): Float64Array {
  const r = new Float64Array(size * size);
  for (let j = size - 1; j >= 0; j--) {
    const row = r.subarray(j * size, (j + 1) * size);
    let pivot = a[j * size + j]!;
    for (let k = j + 1; k < size; k++) pivot -= row[k]! * row[k]!;
    if (!(pivot > 0) || !Number.isFinite(pivot)) {
      throw new WpError(
        'invalid-argument',
        `The matrix of second moments is not positive definite (pivot ${pivot} in column ${j}).`,
        'Calibrate on more tokens, or with more damping.',
        { column: j, actual: pivot },
      );
    }
    const root = Math.sqrt(pivot);
    row[j] = root;
    for (let i = 0; i < j; i++) {
      const above = i * size;
      let sum = a[above + j]!;
      for (let k = j + 1; k < size; k++) sum -= r[above + k]! * row[k]!;
      r[above + j] = sum / root;
    }
  }
  return r;
}

/** y [size] += factor × row. */
export function addScaled(y: Float64Array, factor: number, matrix: Float64Array, at: number, size: number): void {
  for (let j = 0; j < size; j++) y[j]! += factor * matrix[at + j]!;
}
