// A lowered graph → a tape: every value, weight and state gets its address, every operation its kernel and its record of
// parameters. Nothing is allocated until all sizes are known.

import type { CompileOptions } from '../backend.ts';
import { WpError } from '../../errors.ts';
import { planActivations } from '../../graph/memory-plan.ts';
import type { Graph, Operation, ValueId } from '../../graph/types.ts';
import { Arena } from './arena.ts';
import {
  attentionScratchBytes,
  BLOCK_ROWS,
  expectHeadDim,
  PARAMETERS_ADDRESS,
  POSITION_BLOCK,
  RECORD_BYTES,
  type RecordField,
  STEP_ADDRESS,
  STEP_FIELDS,
} from './layouts.ts';
import type { KernelBuild } from './kernels.ts';
import { meetingsForOneToken, type Touched } from './meetings.ts';
import { preparedBytes, rowOf } from './rows.ts';
import type { KernelName, RowKind, Share, TapeStep } from './tape.ts';
import type { PlacedWeights } from './weighted-program.ts';
import { leastStagingBytes, placeWeight, type PlacedWeight, type Staging } from './weights.ts';

/** Everything about a program but its memory and its threads. */
export interface Compiled extends PlacedWeights {
  tape: TapeStep[];
  /** What must be written into the memory before the first step. */
  records: { address: number; fields: RecordField[] }[];
  /** Addresses of the graph's inputs and outputs. */
  inputs: Readonly<Record<string, number>>;
  logits: { address: number; columns: number };
  /** All outputs of the graph, the logits among them: they keep their places until the step has ended. */
  outputs: Readonly<Record<string, { address: number; columns: number; rows: RowKind }>>;
  /** Ids below this have a row in the table of embeddings. */
  vocabulary: number;
  headDim: number;
  /** The operation and variant of each kernel call, in order. */
  kernels: { operation: string; variant: string }[];
}

/** Repacking in strips of this size is as fast as in larger ones. */
const STAGING_BYTES = 65536;

class Compiler {
  readonly #tape: TapeStep[] = [];
  readonly #records: Compiled['records'] = [];
  readonly #kernels: Compiled['kernels'] = [];
  /** Of each call of the tape. */
  readonly #touched: Touched[] = [];
  readonly #weights = new Map<string, PlacedWeight>();
  readonly #addresses = new Map<ValueId, number>();
  readonly #units = new Map<string, number[]>();
  readonly #states = new Map<string, number>();
  readonly #arena: Arena;
  readonly #capacity: number;
  #prepared = 0;
  /** Where the sums of prepared activations stand. */
  #sums = 0;
  #scratch = 0;
  #nextRecord = PARAMETERS_ADDRESS;
  /** A word for each product: tape.ts. */
  #nextCounter = 0;

  constructor(
    private readonly graph: Graph,
    private readonly options: CompileOptions,
    private readonly build: KernelBuild,
    private readonly threads: number,
  ) {
    // An operation makes at most two calls: preparation and product.
    this.#arena = new Arena(PARAMETERS_ADDRESS + graph.operations.length * 2 * RECORD_BYTES);
    this.#capacity = Math.ceil(options.contextLength / POSITION_BLOCK) * POSITION_BLOCK;
  }

  compile(): Compiled {
    const { graph, options } = this;
    for (const weight of graph.weights) {
      this.#weights.set(weight.name, placeWeight(weight, options.formats.get(weight.name), this.#arena));
    }
    for (const { name, shape } of graph.states) {
      const [heads, , headDim] = shape as [number, 'context', number];
      this.#states.set(name, this.#arena.take(heads * this.#capacity * headDim * 2, 'keyValueCache'));
    }
    const plan = planActivations(graph, {
      batch: 1,
      tokens: options.maxTokens,
      outputs: options.maxOutputs,
      context: options.contextLength,
    });
    const slots = plan.slots.map(({ bytes }) => this.#arena.take(bytes, 'activations'));
    for (const [value, slot] of plan.slotOf) this.#addresses.set(value, slots[slot]!);
    const staging = this.#takeScratch();

    this.#nextCounter = this.#arena.take(graph.operations.length * 4, 'other');
    for (const operation of graph.operations) this.#operation(operation);
    const meetings = meetingsForOneToken(this.#touched);
    const tape = this.#tape.map((step, i) => ({ ...step, meetsForOneToken: meetings[i]! }));

    const logits = graph.outputs['logits'];
    const embed = graph.operations.find((operation) => operation.op === 'embed');
    const rotary = graph.inputs['rotary'];
    if (logits === undefined || !embed) {
      throw new WpError(
        'unsupported-operation',
        'The WASM backend runs graphs that embed token ids and return logits.',
      );
    }
    return {
      tape,
      records: this.#records,
      weights: this.#weights,
      units: this.#units,
      inputs: Object.fromEntries(Object.entries(graph.inputs).map(([name, id]) => [name, this.#address(id)])),
      logits: { address: this.#address(logits), columns: this.#columns(logits) },
      outputs: Object.fromEntries(
        Object.entries(graph.outputs).map(([name, id]) => [
          name,
          { address: this.#address(id), columns: this.#columns(id), rows: this.#rowKind(id) },
        ]),
      ),
      vocabulary: this.#weight(embed.attributes.weight).rows,
      headDim: rotary === undefined ? 0 : this.#columns(rotary),
      staging,
      arena: this.#arena,
      kernels: this.#kernels,
    };
  }

  /** Prepared activations and attention's scratch live within one operation; loading stages strips of weights there. */
  #takeScratch(): Staging {
    const isRelaxed = this.build === 'relaxed';
    let prepared = 0;
    let sums = 0;
    let scratch = 0;
    for (const operation of this.graph.operations) {
      if (operation.op === 'linear') {
        const { format, columns } = this.#weight(operation.attributes.weight);
        const rows =
          this.#rowKind(operation.inputs[0]!) === 'tokens' ? this.options.maxTokens : this.options.maxOutputs;
        const bytes = preparedBytes(rowOf(format), rows, columns, isRelaxed);
        prepared = Math.max(prepared, Math.ceil(bytes.activations / 64) * 64);
        sums = Math.max(sums, bytes.sums);
      } else if (operation.op === 'attention') {
        const { heads, keyValueHeads, headDim } = operation.attributes;
        scratch = Math.max(scratch, this.threads * attentionScratchBytes(heads, keyValueHeads, headDim));
      }
    }
    const staging = Math.max(STAGING_BYTES, ...[...this.#weights.values()].map(leastStagingBytes));
    const bytes = Math.max(prepared + sums, scratch, staging);
    const address = this.#arena.take(bytes, 'other');
    this.#prepared = address;
    this.#sums = address + prepared;
    this.#scratch = address;
    return { address, bytes };
  }

  #operation(operation: Operation): void {
    const { inputs, outputs } = operation;
    const [first, second] = inputs as [ValueId, ValueId];
    const out = outputs[0]!;
    const touch = (share: Share, ...moreWrites: number[]): Touched => ({
      share,
      reads: inputs.map((value) => this.#address(value)),
      writes: [...outputs.map((value) => this.#address(value)), ...moreWrites],
    });
    const byRows = (value: ValueId): Touched => touch({ by: 'rows', of: this.#rowKind(value) });
    switch (operation.op) {
      case 'embed': {
        const table = this.#weight(operation.attributes.weight);
        const row = rowOf(table.format);
        this.#call(operation.op, row.embed, byRows(out), [
          table.address,
          table.scales,
          this.#address(first),
          this.#address(out),
          table.columns,
          this.#unit(table.name, 5),
          table.scaleCodes,
          table.minimums,
          row.correction,
          row.bits,
          row.groupColumns,
        ]);
        return;
      }
      case 'rmsNorm':
      case 'addRmsNorm': {
        const { weight, epsilon } = operation.attributes;
        const isFused = operation.op === 'addRmsNorm';
        const normed = isFused ? outputs[1]! : out;
        this.#call(operation.op, operation.op, byRows(normed), [
          this.#address(first),
          isFused ? this.#address(second) : 0,
          isFused ? this.#address(out) : 0,
          this.#weight(weight).address,
          this.#address(normed),
          this.#columns(normed),
          { f32: epsilon },
        ]);
        return;
      }
      case 'linear':
        this.#linear(operation);
        return;
      case 'add':
        this.#elementwise(operation.op, 'add', first, second, out, byRows(out));
        return;
      case 'gatedActivation':
        this.#elementwise(
          operation.op,
          operation.attributes.activation === 'silu' ? 'gatedSilu' : 'gatedGelu',
          first,
          undefined,
          out,
          byRows(out),
        );
        return;
      case 'selectRows':
        this.#elementwise(operation.op, 'selectRows', first, second, out, byRows(out));
        return;
      case 'rotaryCache': {
        const { heads, keyValueHeads, headDim, keyState, valueState, queryNorm, keyNorm, epsilon } =
          operation.attributes;
        expectHeadDim(headDim);
        const rotary = operation.inputs.at(-1)!;
        const states = [this.#state(keyState), this.#state(valueState)];
        // Keys are rotated where they stand.
        const touched = touch({ by: 'thread' }, ...states, ...inputs.map((value) => this.#address(value)));
        this.#call(operation.op, 'rotaryCache', touched, [
          ...this.#queriesKeysValues(operation.inputs, heads * headDim * 4, keyValueHeads * headDim * 4),
          this.#address(rotary),
          this.#address(out),
          this.#state(keyState),
          this.#state(valueState),
          queryNorm === undefined ? 0 : this.#weight(queryNorm).address,
          keyNorm === undefined ? 0 : this.#weight(keyNorm).address,
          { f32: epsilon },
          heads,
          keyValueHeads,
          headDim,
          this.#capacity,
          STEP_ADDRESS,
        ]);
        return;
      }
      case 'attention': {
        const { heads, keyValueHeads, headDim, scale, window, keyState, valueState } = operation.attributes;
        expectHeadDim(headDim);
        const touched = touch({ by: 'thread' }, this.#scratch);
        const reads = [...touched.reads, this.#state(keyState), this.#state(valueState)];
        this.#call(operation.op, 'attention', { ...touched, reads, readsItsOwn: true }, [
          this.#address(first),
          this.#state(keyState),
          this.#state(valueState),
          this.#address(out),
          this.#scratch,
          attentionScratchBytes(heads, keyValueHeads, headDim),
          { f32: scale },
          heads,
          keyValueHeads,
          headDim,
          this.#capacity,
          window ?? 0,
          STEP_ADDRESS,
        ]);
        return;
      }
      default:
        throw new WpError('unsupported-operation', `The WASM backend has no kernel for ${operation.op}.`, '', {
          actual: operation.op,
        });
    }
  }

  #linear({ attributes, inputs, outputs }: Extract<Operation, { op: 'linear' }>): void {
    const [input, output] = [inputs[0]!, outputs[0]!];
    const weight = this.#weight(attributes.weight);
    const { rows, columns } = weight;
    const row = rowOf(weight.format);
    const kind = this.#rowKind(input);
    const fields = (unit: RecordField): RecordField[] => [
      weight.address,
      weight.scales,
      attributes.bias === undefined ? 0 : this.#weight(attributes.bias).address,
      this.#address(input),
      this.#prepared,
      this.#address(output),
      rows,
      columns,
      STEP_FIELDS[kind],
      unit,
      weight.scaleCodes,
      weight.minimums,
      row.scaleColumns,
      row.correction,
      this.#sums,
      row.sumColumns,
    ];
    if (row.prepare) {
      const before = this.#tape.at(-1);
      // The rows that a thread prepares are those that it just wrote, if the step before was shared out in the same way.
      const followsItsOwn = before?.share.by === 'rows' && before.share.of === kind;
      const share: Share = { by: 'rows', of: kind };
      const touched = { share, reads: [this.#address(input)], writes: [this.#prepared] };
      this.#call('linear', row.prepare, touched, fields(0), followsItsOwn);
    }
    const count = Math.ceil(rows / BLOCK_ROWS);
    const share: Share = { by: 'blocks', count, counter: this.#nextCounter };
    this.#nextCounter += 4;
    const reads = [row.prepare ? this.#prepared : this.#address(input)];
    const touched = { share, reads, writes: [this.#address(output)] };
    this.#call('linear', row.linear, touched, fields(this.#unit(attributes.weight, 9)));
  }

  /** The unit of a weight as field `index` of the next record: 1 until the weight is uploaded. */
  #unit(name: string, index: number): RecordField {
    const addresses = this.#units.get(name) ?? [];
    this.#units.set(name, [...addresses, this.#nextRecord + 4 * index]);
    return { f32: 1 };
  }

  #elementwise(
    op: string,
    kernel: KernelName,
    input: ValueId,
    other: ValueId | undefined,
    output: ValueId,
    touched: Touched,
  ): void {
    this.#call(op, kernel, touched, [
      this.#address(input),
      other === undefined ? 0 : this.#address(other),
      this.#address(output),
      this.#columns(output),
    ]);
  }

  #call(operation: string, kernel: KernelName, touched: Touched, fields: RecordField[], followsItsOwn = false): void {
    const parameters = this.#nextRecord;
    this.#nextRecord += RECORD_BYTES;
    this.#records.push({ address: parameters, fields });
    this.#tape.push({ kernel, parameters, share: touched.share, followsItsOwn });
    this.#touched.push(touched);
    this.#kernels.push({ operation, variant: `${kernel}, ${this.build} SIMD` });
  }

  #address(value: ValueId): number {
    const address = this.#addresses.get(value);
    if (address === undefined) throw new WpError('internal', `Value ${value} has no slot.`);
    return address;
  }

  #weight(name: string): PlacedWeight {
    const weight = this.#weights.get(name);
    if (!weight) throw new WpError('internal', `The graph does not declare the weight ${name}.`);
    return weight;
  }

  #state(name: string): number {
    const address = this.#states.get(name);
    if (address === undefined) throw new WpError('internal', `The graph does not declare the state ${name}.`);
    return address;
  }

  #columns(value: ValueId): number {
    const columns = this.graph.values[value]!.shape.at(-1);
    if (typeof columns !== 'number') throw new WpError('internal', `Value ${value} has no fixed number of columns.`);
    return columns;
  }

  #rowKind(value: ValueId): RowKind {
    const rows = this.graph.values[value]!.shape[0];
    if (rows === 'tokens' || rows === 'outputs') return rows;
    throw new WpError('unsupported-operation', `The WASM backend runs rows of tokens or outputs, not ${String(rows)}.`);
  }

  /** Where rotaryCache finds them: side by side in one value's rows, or in three values. */
  #queriesKeysValues(inputs: readonly ValueId[], queryBytes: number, keyBytes: number): RecordField[] {
    const [first, ...others] = inputs.slice(0, -1).map((id) => this.#address(id));
    if (others.length > 0) return [first!, ...others, 0];
    return [first!, first! + queryBytes, first! + queryBytes + keyBytes, queryBytes + 2 * keyBytes];
  }
}

export function compileGraph(graph: Graph, options: CompileOptions, build: KernelBuild, threads: number): Compiled {
  return new Compiler(graph, options, build, threads).compile();
}
