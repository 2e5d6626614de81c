// A program's weights as they arrived, packed: graphs of further shapes are built from them later. What a graph gets of a weight
// (numbers, or codes with scales) is constants.ts's.

import { WpError } from '../../errors.ts';
import type { Graph, Weight } from '../../graph/types.ts';
import { formatBytes, isQuantized, type PackedMatrix, type WeightFormat } from '../../quantization/formats.ts';
import { unpackMatrix } from '../../quantization/pack.ts';

export class WeightStore {
  readonly #weights: ReadonlyMap<string, Weight>;
  readonly #matrices = new Map<string, PackedMatrix>();

  constructor(
    graph: Graph,
    private readonly formats: ReadonlyMap<string, WeightFormat>,
  ) {
    this.#weights = new Map(graph.weights.map((weight) => [weight.name, weight]));
  }

  get bytes(): number {
    let sum = 0;
    for (const { planes, scales, minimums, scaleCodes } of this.#matrices.values()) {
      sum += planes.reduce((bytes, { byteLength }) => bytes + byteLength, 0);
      sum += scales.byteLength + minimums.byteLength + (scaleCodes?.byteLength ?? 0);
    }
    return sum;
  }

  /** The shape of the weight in the graph. */
  shape(name: string): readonly number[] {
    return this.#weight(name).shape;
  }

  /** The format that was planned for the weight; f32 where none was. */
  format(name: string): WeightFormat {
    return this.#matrices.get(name)?.format ?? this.formats.get(name) ?? { name: 'f32' };
  }

  set(name: string, matrix: PackedMatrix): void {
    const { shape } = this.#weight(name);
    const [rows, columns] = shape.length === 1 ? [1, shape[0]!] : (shape as readonly [number, number]);
    const expected = formatBytes(matrix.format, rows, columns);
    const hasBytes = matrix.planes.every((plane, i) => plane.byteLength === expected.planes[i]);
    if (matrix.rows !== rows || matrix.columns !== columns || !hasBytes) {
      throw new WpError(
        'invalid-argument',
        `The weight ${name} arrived as ${matrix.rows} × ${matrix.columns}; planned is ${rows} × ${columns}.`,
        '',
        { name, actual: [matrix.rows, matrix.columns], allowed: [rows, columns] },
      );
    }
    this.#matrices.set(name, matrix);
  }

  /** Throws `missing-tensor` unless every weight was set. */
  checkComplete(): void {
    const missing = [...this.#weights.keys()].filter((name) => !this.#matrices.has(name));
    if (missing.length === 0) return;
    throw new WpError('missing-tensor', `${missing.length} weights were not set, ${missing[0]!} among them.`, '', {
      missing,
    });
  }

  packed(name: string): PackedMatrix {
    const matrix = this.#matrices.get(name);
    if (matrix) return matrix;
    throw new WpError('missing-tensor', `The weight ${name} was not set.`, '', { missing: [name] });
  }

  numbers(name: string): Float32Array<ArrayBuffer> {
    return unpackMatrix(this.packed(name)) as Float32Array<ArrayBuffer>;
  }

  /** Row `index` of a matrix. */
  row(name: string, index: number): Float32Array {
    const matrix = this.packed(name);
    const { format, rows, columns, planes, scales, minimums, scaleCodes } = matrix;
    const part = <T extends Uint8Array | Uint16Array>(all: T): T => {
      const each = all.length / rows;
      return all.subarray(index * each, (index + 1) * each) as T;
    };
    const row: PackedMatrix = { format, rows: 1, columns, planes: planes.map(part), scales, minimums };
    if (isQuantized(format)) {
      row.scales = part(scales);
      row.minimums = part(minimums);
      if (scaleCodes) row.scaleCodes = part(scaleCodes);
    }
    return unpackMatrix(row);
  }

  clear(): void {
    this.#matrices.clear();
  }

  #weight(name: string): Weight {
    const weight = this.#weights.get(name);
    if (weight) return weight;
    throw new WpError('invalid-argument', `The graph has no weight ${name}.`);
  }
}
