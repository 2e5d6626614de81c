// How much of its quality a model loses with one weight in few bits: the weight is quantised, all the others stay, and the
// distance of the model's predictions from its own is taken (Kullback–Leibler divergence, nats a token). Measured once a
// weight, at a probing format whose loss is small enough to be proportional to the error; other formats' costs follow from
// their errors. That a weight's loss grows in proportion to its weighted squared error is the second-order view of HAWQ (Dong
// et al. 2019, https://arxiv.org/abs/1905.03696), with a measured factor instead of the Hessian's trace.

import { throwIfAborted } from '../../errors.ts';
import type { Program } from '../../backends/backend.ts';
import { lower } from '../../graph/passes/index.ts';
import type { Unit } from '../assign-bits.ts';
import type { ColumnStatistics } from '../column-statistics.ts';
import { codeBits, formatBytes, formatLimit, FORMATS, type QuantFormat, type WeightFormat } from '../formats.ts';
import { quantizeByImportance } from '../importance.ts';
import { packMatrix, unpackMatrix } from '../pack.ts';
import { compileWhole, isMatrix, measuringFormats, type Calibration, type CalibrationModel } from './calibrate.ts';

export interface SensitivityOptions {
  /** Formats to choose from. Of those below 8 bits, the ones of one level only where none of two levels fits the width. */
  candidates: readonly QuantFormat[];
  /** The one that is measured. Default q3k, or where it does not fit q4g32. */
  probe?: QuantFormat | undefined;
  /** Of matrices while they are measured: the reference has it too, so that it cancels out. Default q8g32. */
  format?: WeightFormat | undefined;
  onProgress?: ((done: number, all: number) => void) | undefined;
  signal?: AbortSignal | undefined;
}

/** Rows of a matrix on which the errors of the candidates are compared. */
const SAMPLED_ROWS = 64;
/** Reference predictions that are kept: beyond, only every n-th token of a window is compared. */
const REFERENCE_BYTES = 128e6;

/**
 * The matrices of the lowered graph as units for `assignBits`, named as there. A weight whose width fits no candidate is left
 * out: it keeps its numbers.
 */
export async function measureSensitivity(
  model: CalibrationModel,
  windows: readonly (readonly number[])[],
  calibration: Calibration,
  { candidates, probe, format = FORMATS.q8g32, onProgress, signal }: SensitivityOptions,
): Promise<Unit[]> {
  const graph = lower(model.graph);
  const longest = windows.reduce((most, { length }) => Math.max(most, length), 1);
  const program = await compileWhole(model, graph, longest, format, signal);
  try {
    const matrices = graph.weights.filter(isMatrix);
    const reference = new Reference(
      program,
      model,
      windows,
      graph.values[graph.outputs['logits']!]!.shape[1] as number,
    );
    await reference.measure();
    const units: Unit[] = [];
    let done = 0;
    const formats = measuringFormats(graph, format);
    const plain = measuringFormats(graph, FORMATS.f32);
    for await (const { name, matrix } of model.weights(graph, plain, signal)) {
      throwIfAborted(signal);
      const weight = matrices.find((candidate) => candidate.name === name);
      const columns = matrix.columns;
      const fitting = candidates.filter((format) => formatLimit(format, columns) === undefined);
      const hasTwoLevels = fitting.some(({ scale }) => scale !== 'f16');
      const usable = hasTwoLevels
        ? fitting.filter((format) => format.scale !== 'f16' || codeBits(format) === 8)
        : fitting;
      if (!weight || usable.length === 0) continue;
      const probing = [probe ?? FORMATS.q3k, FORMATS.q4g32].find((f) => formatLimit(f, columns) === undefined)!;
      const values = unpackMatrix(matrix);
      const statistics = calibration.get(weight.parts[0]!.tensor);
      const quantize = (some: Float32Array, rows: number, format: QuantFormat) =>
        unpackMatrix(quantizeByImportance(some, rows, columns, format, statistics));

      const measured = formats.get(name)!;
      const set = (numbers: Float32Array) =>
        program.setWeight(name, packMatrix(numbers, matrix.rows, columns, measured));
      await set(quantize(values, matrix.rows, probing));
      const divergence = await reference.compare();
      await set(values);

      const sample = sampleRows(values, matrix.rows, columns);
      const rows = sample.length / columns;
      const errorIn = (format: QuantFormat) => weightedError(sample, quantize(sample, rows, format), statistics);
      const probeError = errorIn(probing);
      units.push({
        name,
        candidates: usable.map((format) => ({
          format,
          bytes: formatBytes(format, matrix.rows, columns).total,
          cost: probeError === 0 ? 0 : (divergence * errorIn(format)) / probeError,
        })),
      });
      onProgress?.(++done, matrices.length);
    }
    return units;
  } finally {
    program.dispose();
  }
}

/** Σ h·(w − q)² over rows. */
function weightedError(w: Float32Array, q: Float32Array, statistics: ColumnStatistics | undefined): number {
  const columns = statistics?.columns ?? 1;
  let sum = 0;
  for (let i = 0; i < w.length; i++) sum += (statistics?.squares[i % columns] ?? 1) * (w[i]! - q[i]!) ** 2;
  return sum;
}

function sampleRows(values: Float32Array, rows: number, columns: number): Float32Array {
  const count = Math.min(SAMPLED_ROWS, rows);
  const sample = new Float32Array(count * columns);
  for (let i = 0; i < count; i++) {
    const row = Math.floor((i * rows) / count);
    sample.set(values.subarray(row * columns, (row + 1) * columns), i * columns);
  }
  return sample;
}

/** What the model says with its own weights, and how far from it what it says now is. */
class Reference {
  private readonly logits: Float32Array[] = [];
  private readonly stride: number;

  constructor(
    private readonly program: Program,
    private readonly model: CalibrationModel,
    private readonly windows: readonly (readonly number[])[],
    private readonly vocabulary: number,
  ) {
    const tokens = windows.reduce((sum, { length }) => sum + length, 0);
    this.stride = Math.max(1, Math.ceil((tokens * vocabulary * 4) / REFERENCE_BYTES));
  }

  async measure(): Promise<void> {
    await this.run((logits) => this.logits.push(logits));
  }

  /** Mean divergence of what the model says now, nats a token. */
  async compare(): Promise<number> {
    let sum = 0;
    let rows = 0;
    let i = 0;
    await this.run((logits) => {
      const reference = this.logits[i++]!;
      for (let at = 0; at < logits.length; at += this.vocabulary, rows++) {
        const end = at + this.vocabulary;
        sum += divergence(reference.subarray(at, end), logits.subarray(at, end));
      }
    });
    return rows === 0 ? 0 : sum / rows;
  }

  private async run(visit: (logits: Float32Array) => void): Promise<void> {
    for (const window of this.windows) {
      for (let start = 0; start < window.length; start += CHUNK) {
        const tokens = window.slice(start, start + CHUNK);
        const outputRows = Int32Array.from([...tokens.keys()].filter((row) => (start + row) % this.stride === 0));
        const rotary = this.model.rotaryRows(start, tokens.length);
        visit(await this.program.run({ tokenIds: Int32Array.from(tokens), rotary, outputRows, past: start }));
      }
    }
  }
}

const CHUNK = 128;

/** KL(p ‖ q) of the softmaxes of two rows of logits, in nats. */
export function divergence(p: Float32Array, q: Float32Array): number {
  const [pNorm, qNorm] = [logSum(p), logSum(q)];
  let sum = 0;
  for (let i = 0; i < p.length; i++) {
    const logP = p[i]! - pNorm;
    if (logP > -20) sum += Math.exp(logP) * (logP - (q[i]! - qNorm));
  }
  return Math.max(0, sum);
}

function logSum(values: Float32Array): number {
  let highest = -Infinity;
  for (const value of values) if (value > highest) highest = value;
  let sum = 0;
  for (const value of values) sum += Math.exp(value - highest);
  return highest + Math.log(sum);
}
