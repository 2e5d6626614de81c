// One weight while its bytes arrive: converts them to the planned format, block by block, and puts the parts together.

import { WpError, throwIfAborted } from '../errors.ts';
import { yieldToEventLoop } from '../loading/abortable.ts';
import { FORMATS, type FormatName, type PackedMatrix, type WeightFormat } from '../quantization/formats.ts';
import type { Packer } from '../quantization/packer.ts';
import { allocateMatrix, expectFitsF16, rowsOf, setRows, toFloats, toHalves } from './convert.ts';
import type { Slice } from './read-plan.ts';
import type { StoredPart, StoredPiece, StoredWeight } from './stored-weight.ts';
import type { TensorEncoding } from './tensor-encoding.ts';

/** Numbers that are converted between two looks at the signal: a few milliseconds to tens of them. */
const stepNumbers = 2 ** 18;

export class WeightAssembly {
  /** Made when a part cannot be passed on as it is. */
  private target: PackedMatrix | undefined;
  /** The whole weight, as it was read. */
  private whole: PackedMatrix | undefined;
  /** Pieces of quantised parts that wait for their fellows. */
  private readonly waiting = new Map<number, Map<StoredPiece, Uint8Array>>();
  private bytesLeft: number;
  /** Numbers, since other tasks could last run. */
  private convertedSinceTurn = 0;

  constructor(
    private readonly stored: StoredWeight,
    private readonly format: WeightFormat,
    private readonly packer: Packer,
  ) {
    this.bytesLeft = 0;
    for (const part of stored.parts) {
      for (const { tensor } of part.pieces) this.bytesLeft += tensor.end - tensor.start;
    }
  }

  /** Takes the bytes of a slice; resolves to the weight once all of it has come. */
  async take(slice: Slice, bytes: Uint8Array, signal: AbortSignal | undefined): Promise<PackedMatrix | undefined> {
    const part = this.stored.parts[slice.part]!;
    const { piece } = slice;
    const place: Place = {
      partRow: this.rowsBefore(slice.part),
      row: slice.firstRow,
      order: piece.tensor.rowOrder,
    };
    if (piece.holds === 'numbers') {
      await this.takeNumbers(part, place, bytes, signal);
    } else if (piece.holds === 'blocks') {
      await this.takeBlocks(part, piece.tensor.encoding!, place, bytes, signal);
    } else {
      const matrix = this.collect(slice.part, part, piece, bytes);
      if (matrix) await this.takeQuantized(part, place, matrix, signal);
    }
    this.bytesLeft -= bytes.length;
    if (this.bytesLeft > 0) return undefined;
    const matrix = this.whole ?? this.target!;
    // Vectors were handled as columns of one number each.
    return this.stored.weight.shape.length > 1 ? matrix : { ...matrix, rows: 1, columns: matrix.rows * matrix.columns };
  }

  private async takeNumbers(
    part: StoredPart,
    place: Place,
    bytes: Uint8Array,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const { columns } = part;
    const format = part.format as 'f32' | 'f16' | 'bf16';
    const rowBytes = columns * (format === 'f32' ? 4 : 2);
    const rows = bytes.length / rowBytes;
    if (format === this.format.name) {
      this.put(place, 0, { format: this.format, rows, columns, planes: [bytes], scales: none, minimums: none });
      return;
    }
    await this.inSteps(rows, columns, signal, (first, last) => {
      const values = toFloats(bytes.subarray(first * rowBytes, last * rowBytes), format);
      this.put(place, first, this.pack(part, values, last - first));
    });
  }

  /** Whole rows in blocks of an encoding; a vector comes as a whole. */
  private async takeBlocks(
    part: StoredPart,
    encoding: TensorEncoding,
    place: Place,
    bytes: Uint8Array,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const { columns, pieces } = part;
    if (columns === 1) {
      this.put(place, 0, this.pack(part, encoding.decode(bytes), part.rows));
      return;
    }
    const { start, end } = pieces[0]!.tensor;
    const rowBytes = (end - start) / part.rows;
    const isEqual = encoding.equals === this.format.name;
    await this.inSteps(bytes.length / rowBytes, columns, signal, (first, last) => {
      const rows = last - first;
      const blocks = bytes.subarray(first * rowBytes, last * rowBytes);
      const matrix = isEqual ? encoding.repack(blocks, rows, columns) : this.pack(part, encoding.decode(blocks), rows);
      this.put(place, first, matrix);
    });
  }

  private async takeQuantized(
    part: StoredPart,
    place: Place,
    matrix: PackedMatrix,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    if (part.format === this.format.name) {
      this.put(place, 0, matrix);
      return;
    }
    const { unpackMatrix } = await import('../quantization/pack.ts');
    await this.inSteps(part.rows, part.columns, signal, (first, last) => {
      this.put(place, first, this.pack(part, unpackMatrix(rowsOf(matrix, first, last)), last - first));
    });
  }

  private pack(part: StoredPart, values: Float32Array, rows: number): PackedMatrix {
    if (this.format.name === 'f16') expectFitsF16(values, part.name);
    try {
      return this.packer(values, rows, part.columns, this.format);
    } catch (thrown) {
      if (!(thrown instanceof WpError)) throw thrown;
      // The packer knows rows and columns, not whose they are.
      const details = { ...thrown.details, tensor: part.name };
      throw new WpError(thrown.code, `Tensor "${part.name}": ${thrown.message}`, thrown.hint, details, {
        cause: thrown,
      });
    }
  }

  private async inSteps(
    rows: number,
    columns: number,
    signal: AbortSignal | undefined,
    step: (first: number, last: number) => void,
  ): Promise<void> {
    const stepRows = Math.max(1, Math.floor(stepNumbers / columns));
    for (let first = 0; first < rows; first += stepRows) {
      throwIfAborted(signal);
      const last = Math.min(rows, first + stepRows);
      step(first, last);
      this.convertedSinceTurn += (last - first) * columns;
      if (this.convertedSinceTurn < stepNumbers / 2) continue;
      this.convertedSinceTurn = 0;
      await yieldToEventLoop();
    }
  }

  /** A whole weight is kept as it is, without a copy; parts and blocks go to their rows of the target. */
  private put({ partRow, row, order }: Place, offset: number, block: PackedMatrix): void {
    const rows = this.rowsBefore(this.stored.parts.length);
    if (block.rows === rows && !order) {
      this.whole = block;
      return;
    }
    this.target ??= allocateMatrix(this.format, rows, block.columns);
    if (!order) {
      setRows(this.target, partRow + row + offset, block);
      return;
    }
    for (let i = 0; i < block.rows; i++) {
      setRows(this.target, partRow + order(row + offset + i), rowsOf(block, i, i + 1));
    }
  }

  /** The quantised part once its last piece has come. */
  private collect(index: number, part: StoredPart, piece: StoredPiece, bytes: Uint8Array): PackedMatrix | undefined {
    let pieces = this.waiting.get(index);
    if (!pieces) this.waiting.set(index, (pieces = new Map<StoredPiece, Uint8Array>()));
    pieces.set(piece, bytes);
    if (pieces.size < part.pieces.length) return undefined;
    this.waiting.delete(index);
    const held = (holds: StoredPiece['holds']): Uint8Array[] =>
      part.pieces.filter((other) => other.holds === holds).map((other) => pieces.get(other)!);
    const halves = (holds: StoredPiece['holds']): Uint16Array => {
      const [found] = held(holds);
      return found ? toHalves(found) : none;
    };
    const [scaleCodes] = held('scaleCodes');
    return {
      format: FORMATS[part.format as FormatName],
      rows: part.rows,
      columns: part.columns,
      planes: held('plane'),
      scales: halves('scales'),
      minimums: halves('minimums'),
      ...(scaleCodes && { scaleCodes }),
    };
  }

  private rowsBefore(part: number): number {
    return this.stored.parts.slice(0, part).reduce((rows, { rows: more }) => rows + more, 0);
  }
}

/** Where a block of rows belongs: rows of the part from `row` on, before the rows are put in order. */
interface Place {
  /** The part's first row in the weight. */
  partRow: number;
  row: number;
  order: ((row: number) => number) | undefined;
}

const none = new Uint16Array(0);
