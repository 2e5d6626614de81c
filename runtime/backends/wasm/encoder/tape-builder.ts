// The lower half of ../encoder/compile.ts: addresses of values and weights, records of parameters, the calls of the tape.

import { WpError } from '../../../errors.ts';
import type { Graph, ValueId } from '../../../graph/types.ts';
import type { EncoderCompileOptions } from '../../backend.ts';
import { Arena } from '../arena.ts';
import { PARAMETERS_ADDRESS, RECORD_BYTES, STEP_FIELDS, type RecordField } from '../layouts.ts';
import type { KernelName, Share, TapeStep } from '../tape.ts';
import type { PlacedWeight } from '../weights.ts';

/** Beside those of ../tape.ts; assembly/encoder-index.ts exports both. */
export type EncoderKernelName =
  | 'activation'
  | 'attend'
  | 'concatColumns'
  | 'gatedExactGelu'
  | 'groupedConv'
  | 'groupNorm'
  | 'insertRows'
  | 'layerNorm'
  | 'linearQ8Offset'
  | 'meanRows'
  | 'normalizeRows'
  | 'offsetActivations'
  | 'rotate'
  | 'scaleColumns'
  | 'tableRows'
  | 'transposedConv'
  | 'unfold'
  | 'upsampleBilinear'
  | 'upsampleNearest';

/** Rows of a value: a field of the step, or a number. */
export type RowCount = 'tokens' | 'outputs' | number;

export class TapeBuilder {
  protected readonly tape: TapeStep[] = [];
  protected readonly records: { address: number; fields: RecordField[] }[] = [];
  protected readonly weights = new Map<string, PlacedWeight>();
  protected readonly addresses = new Map<ValueId, number>();
  protected readonly units = new Map<string, number[]>();
  protected readonly arena: Arena;
  protected nextRecord = PARAMETERS_ADDRESS;
  readonly #counts = new Map<number, number>();

  /** `mostRecords`: how many records there will be at most. */
  constructor(
    protected readonly graph: Graph,
    protected readonly options: EncoderCompileOptions,
    mostRecords: number,
  ) {
    this.arena = new Arena(PARAMETERS_ADDRESS + mostRecords * RECORD_BYTES);
  }

  /** The unit of a weight as field `index` of the next record: 1 until the weight is uploaded. */
  protected unit(name: string, index: number): RecordField {
    const addresses = this.units.get(name) ?? [];
    this.units.set(name, [...addresses, this.nextRecord + 4 * index]);
    return { f32: 1 };
  }

  protected call(kernel: KernelName | EncoderKernelName, share: Share, fields: RecordField[]): void {
    const before = this.tape.at(-1);
    const isSameShare = share.by === 'rows' && before?.share.by === 'rows' && before.share.of === share.of;
    const followsItsOwn = isSameShare && PREPARATIONS.has(kernel);
    const parameters = this.record(fields);
    // The module of encoders has the kernels of both lists.
    this.tape.push({ kernel: kernel as KernelName, parameters, share, followsItsOwn });
  }

  protected record(fields: RecordField[]): number {
    const address = this.nextRecord;
    this.nextRecord += RECORD_BYTES;
    this.records.push({ address, fields });
    return address;
  }

  /** Address of a number of rows: of the step's, or of a record that holds the number. */
  protected countAddress(rows: RowCount): number {
    if (typeof rows === 'string') return STEP_FIELDS[rows];
    const known = this.#counts.get(rows);
    if (known !== undefined) return known;
    const address = this.arena.take(4, 'other');
    this.records.push({ address, fields: [rows] });
    this.#counts.set(rows, address);
    return address;
  }

  protected address(value: ValueId): number {
    const address = this.addresses.get(value);
    if (address === undefined) throw new WpError('internal', `Value ${value} has no slot.`);
    return address;
  }

  protected weight(name: string): PlacedWeight {
    const weight = this.weights.get(name);
    if (!weight) throw new WpError('internal', `The graph does not declare the weight ${name}.`);
    return weight;
  }

  protected vector(name: string | undefined): number {
    return name === undefined ? 0 : this.weight(name).address;
  }

  protected columns(value: ValueId): number {
    const columns = this.graph.values[value]!.shape.at(-1);
    if (typeof columns !== 'number') throw new WpError('internal', `Value ${value} has no fixed number of columns.`);
    return columns;
  }

  protected rowCount(value: ValueId): RowCount {
    const rows = this.graph.values[value]!.shape[0];
    if (rows === 'tokens' || rows === 'outputs' || typeof rows === 'number') return rows;
    throw new WpError('unsupported-operation', `Programs of encoders have no rows of ${String(rows)}.`);
  }

  protected mostRows(value: ValueId): number {
    const rows = this.rowCount(value);
    if (typeof rows === 'number') return rows;
    return rows === 'tokens' ? this.options.maxTokens : this.options.maxOutputs;
  }

  protected byRows(value: ValueId): Share {
    return shareOf(this.rowCount(value));
  }
}

export function shareOf(rows: RowCount): Share {
  return typeof rows === 'number' ? { by: 'blocks', count: rows } : { by: 'rows', of: rows };
}

/** They write to the scratch, which no kernel by rows reads: each thread may go on with the rows that it just wrote. */
const PREPARATIONS: ReadonlySet<string> = new Set([
  'foldActivations',
  'offsetActivations',
  'quantizeActivations',
  'splitActivations',
]);
