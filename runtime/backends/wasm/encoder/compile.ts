// An encoder's graph → a tape, as ../compile.ts makes one of a decoder's. Rows are those of the step's tokens or outputs, or as
// many as the graph says; images are rows, too. A convolution is a product of matrices in pieces: a piece of the image is
// unfolded, prepared for the weight's format and multiplied, so that every format that `linear` has serves it.

import { WpError } from '../../../errors.ts';
import { planActivations } from '../../../graph/memory-plan.ts';
import type { Activation, Graph, Operation, ValueId } from '../../../graph/types.ts';
import { type EncoderOperation, isEncoderOperation } from '../../../ops/index.ts';
import { convOutput, convTransposeOutput, type ImageSize } from '../../../ops/conv-geometry.ts';
import type { EncoderCompileOptions } from '../../backend.ts';
import type { KernelBuild } from '../kernels.ts';
import { ACTIVATION_GROUP, BLOCK_ROWS, RECORD_BYTES, type RecordField } from '../layouts.ts';
import { type FormatRow, preparedBytes, rowOf } from '../rows.ts';
import type { KernelName, Share, TapeStep } from '../tape.ts';
import type { PlacedWeights } from '../weighted-program.ts';
import { leastStagingBytes, type PlacedWeight, placeWeight, type Staging } from '../weights.ts';
import { type EncoderKernelName, type RowCount, shareOf, TapeBuilder } from './tape-builder.ts';

export interface CompiledEncoder extends PlacedWeights {
  tape: TapeStep[];
  records: { address: number; fields: RecordField[] }[];
  /** Where the graph's inputs and outputs stand. */
  addresses: ReadonlyMap<ValueId, number>;
}

/** The kernels know functions by their places here. */
const ACTIVATION_KINDS: readonly Activation[] = ['gelu', 'gelu-tanh', 'gelu-quick', 'silu', 'relu', 'tanh', 'sigmoid'];

/** Unfolded pieces take about this much: they stay in a cache of the second level, and the pieces are few. */
const PIECE_BYTES = 1 << 20;
const STAGING_BYTES = 65536;
const NO_WINDOW = 0xffffffff;

type Conv = Extract<Operation, { op: 'conv2d' }>;

export class EncoderCompiler extends TapeBuilder {
  #prepared = 0;
  #sums = 0;
  /** Unfolded pieces; attention's scores. */
  #scratch = 0;

  constructor(
    graph: Graph,
    options: EncoderCompileOptions,
    private readonly build: KernelBuild,
    private readonly threads: number,
  ) {
    super(graph, options, mostRecords(graph));
  }

  compile(): CompiledEncoder {
    const { graph, options } = this;
    for (const weight of graph.weights) {
      this.weights.set(weight.name, placeWeight(weight, options.formats.get(weight.name), this.arena));
    }
    const plan = planActivations(graph, { batch: 1, tokens: options.maxTokens, outputs: options.maxOutputs });
    const slots = plan.slots.map(({ bytes }) => this.arena.take(bytes, 'activations'));
    for (const [value, slot] of plan.slotOf) this.addresses.set(value, slots[slot]!);
    const staging = this.#takeScratch();
    for (const operation of graph.operations) {
      if (isEncoderOperation(operation)) this.#encoderOperation(operation);
      else this.#operation(operation);
    }
    return {
      tape: this.tape,
      records: this.records,
      weights: this.weights,
      units: this.units,
      addresses: this.addresses,
      staging,
      arena: this.arena,
    };
  }

  #takeScratch(): Staging {
    let prepared = 0;
    let sums = 0;
    let scratch = 0;
    const reserve = (weight: string, rows: number) => {
      const placed = this.weight(weight);
      const row = rowOf(placed.format);
      const bytes = preparedBytes(row, rows, placed.columns, this.build === 'relaxed');
      prepared = Math.max(prepared, Math.ceil(bytes.activations / 64) * 64);
      sums = Math.max(sums, Math.ceil((this.#isOffset(row) ? codeSumBytes(placed) : bytes.sums) / 64) * 64);
    };
    for (const operation of this.graph.operations) {
      if (operation.op === 'linear') {
        reserve(operation.attributes.weight, this.mostRows(operation.inputs[0]!));
      } else if (operation.op === 'conv2d' && operation.attributes.groups === 1) {
        const { weight } = operation.attributes;
        const rows = pieceRows(this.weight(weight).columns, this.mostRows(operation.outputs[0]!));
        reserve(weight, isPointwise(operation) ? this.mostRows(operation.outputs[0]!) : rows);
        scratch = Math.max(scratch, rows * this.weight(weight).columns * 4);
      } else if (operation.op === 'attend') {
        scratch = Math.max(scratch, this.threads * this.#attendScratchBytes(operation.inputs[1]!));
      }
    }
    const staging = Math.max(STAGING_BYTES, ...[...this.weights.values()].map(leastStagingBytes));
    const bytes = Math.max(prepared + sums + scratch, staging);
    const address = this.arena.take(bytes, 'other');
    this.#prepared = address;
    this.#sums = address + prepared;
    this.#scratch = address + prepared + sums;
    return { address, bytes };
  }

  /** A score for each key, and room up to a whole vector. */
  #attendScratchBytes(keys: ValueId): number {
    return Math.ceil((this.mostRows(keys) * 4 + 16) / 64) * 64;
  }

  /** Operations that decoders have, too. */
  #operation(operation: Exclude<Operation, EncoderOperation>): void {
    const [first, second] = operation.inputs as [ValueId, ValueId];
    const out = operation.outputs[0]!;
    const elementwise = (kernel: KernelName, other?: ValueId) =>
      this.call(kernel, this.byRows(out), [
        this.address(first),
        other === undefined ? 0 : this.address(other),
        this.address(out),
        this.columns(out),
      ]);
    switch (operation.op) {
      case 'embed': {
        const table = this.weight(operation.attributes.weight);
        const row = rowOf(table.format);
        const fields = [table.address, table.scales, this.address(first), this.address(out), table.columns];
        const more = [table.scaleCodes, table.minimums, row.correction, row.bits, row.groupColumns];
        return this.call(row.embed, this.byRows(out), [...fields, this.unit(table.name, 5), ...more]);
      }
      case 'linear': {
        const { weight, bias } = operation.attributes;
        const rows = this.rowCount(first);
        return this.#linear(weight, bias, { input: this.address(first), output: this.address(out), rows });
      }
      case 'add':
        return elementwise('add', second);
      case 'selectRows':
        return elementwise('selectRows', second);
      case 'gatedActivation':
        return elementwise(operation.attributes.activation === 'silu' ? 'gatedSilu' : 'gatedGelu');
      default:
        throw new WpError('unsupported-operation', `Programs of encoders have no kernel for ${operation.op}.`, '', {
          actual: operation.op,
        });
    }
  }

  #encoderOperation(operation: EncoderOperation): void {
    const [first, second] = operation.inputs as [ValueId, ValueId];
    const out = operation.outputs[0]!;
    const input = first === undefined ? 0 : this.address(first);
    const row = (kernel: EncoderKernelName, other: number, third: number, columns: number, sizes: RecordField[] = []) =>
      this.call(kernel, this.byRows(out), [input, other, third, this.address(out), columns, ...sizes]);
    switch (operation.op) {
      case 'layerNorm': {
        const { weight, bias, epsilon } = operation.attributes;
        return row('layerNorm', this.vector(weight), this.vector(bias), this.columns(out), [0, 0, 0, { f32: epsilon }]);
      }
      case 'activation': {
        const kind = ACTIVATION_KINDS.indexOf(operation.attributes.activation);
        return row('activation', 0, 0, this.columns(out), [0, kind]);
      }
      case 'gatedGelu':
        return row('gatedExactGelu', 0, 0, this.columns(first));
      case 'rotate': {
        const { heads, headDim } = operation.attributes;
        return row('rotate', this.address(second), 0, this.columns(out), [heads, headDim]);
      }
      case 'meanRows':
        return row('meanRows', this.address(second), 0, this.columns(out));
      case 'normalizeRows':
        return row('normalizeRows', 0, 0, this.columns(out), [0, 0, 0, { f32: operation.attributes.epsilon }]);
      case 'scaleColumns': {
        const { weight, factor } = operation.attributes;
        return row('scaleColumns', this.vector(weight), 0, this.columns(out), [0, 0, 0, { f32: factor }]);
      }
      case 'tableRows':
      case 'addTable': {
        const { weight } = operation.attributes;
        const columns = this.columns(out);
        return row('tableRows', this.vector(weight), 0, columns, [this.weight(weight).columns / columns]);
      }
      case 'insertRows': {
        const { weight, every, at } = operation.attributes;
        const columns = this.columns(out);
        const sizes = [this.weight(weight).columns / columns, every, at];
        return row('insertRows', this.vector(weight), 0, columns, sizes);
      }
      case 'concatColumns':
        return row('concatColumns', this.address(second), 0, this.columns(first), [0, this.columns(second)]);
      case 'attend':
        return this.#attend(operation);
      case 'unfold': {
        const sizes = convOutput(operation.attributes);
        return this.#image('unfold', operation, sizes, {}, this.byRows(out), 0);
      }
      case 'conv2d':
        return this.#conv(operation);
      case 'convTranspose2d': {
        const { weight, bias, groups } = operation.attributes;
        const sizes = convTransposeOutput(operation.attributes);
        return this.#image('transposedConv', operation, sizes, { weight, bias }, this.byRows(out), groups);
      }
      case 'groupNorm': {
        const { weight, bias, groups, epsilon, area } = operation.attributes;
        const images = this.mostRows(out) / area;
        const channels = this.columns(out);
        const share: Share = { by: 'blocks', count: images * groups };
        const fields = [input, this.vector(weight), this.vector(bias), this.address(out), area, 0, channels, 0, 0, 0];
        return this.call('groupNorm', share, [...fields, { f32: epsilon }, 0, 0, 0, 0, groups]);
      }
      case 'upsample': {
        const { height, width, scale, mode } = operation.attributes;
        const geometry = { height, width, kernelHeight: 0, kernelWidth: 0, stride: 0, padding: 0, dilation: 0 };
        const sizes = { height: height * scale, width: width * scale };
        const kernel = mode === 'nearest' ? 'upsampleNearest' : 'upsampleBilinear';
        return this.#image(kernel, { ...operation, attributes: geometry }, sizes, {}, this.byRows(out), scale);
      }
    }
  }

  #attend({ attributes, inputs, outputs }: Extract<Operation, { op: 'attend' }>): void {
    const { heads, keyValueHeads, headDim, scale, offsets, segments, isCausal, window, relativeBias } = attributes;
    if (headDim % 4 !== 0 || offsets.queries % 4 !== 0 || offsets.keys % 4 !== 0 || offsets.values % 4 !== 0) {
      throw new WpError(
        'unsupported-operation',
        `The WASM backend's attention needs heads of a multiple of 4 numbers, not ${headDim}.`,
        'Use another backend for this model.',
        { actual: headDim },
      );
    }
    const [queries, keys, values] = inputs as [ValueId, ValueId, ValueId];
    const bytes = (value: ValueId) => this.columns(value) * 4;
    const more = this.nextRecord + RECORD_BYTES;
    this.call('attend', { by: 'thread' }, [
      this.address(queries) + offsets.queries * 4,
      this.address(keys) + offsets.keys * 4,
      this.address(values) + offsets.values * 4,
      bytes(queries),
      bytes(keys),
      bytes(values),
      this.address(outputs[0]!),
      segments ? 0 : this.address(inputs[3]!),
      segments?.queries ?? 0,
      segments?.keys ?? 0,
      heads,
      keyValueHeads,
      headDim,
      { f32: scale },
      isCausal ? 1 : 0,
      window ?? NO_WINDOW,
    ]);
    const record = this.record([
      relativeBias ? this.vector(relativeBias.weight) : 0,
      relativeBias ? this.address(inputs.at(-1)!) : 0,
      relativeBias?.reach ?? 0,
      this.#scratch,
      this.#attendScratchBytes(keys),
      this.countAddress(this.rowCount(queries)),
    ]);
    if (record !== more) throw new WpError('internal', 'The two records of attend do not stand one after the other.');
  }

  #conv(operation: Conv): void {
    const { weight, bias, groups } = operation.attributes;
    const [input, output] = [operation.inputs[0]!, operation.outputs[0]!];
    const sizes = convOutput(operation.attributes);
    if (groups > 1) {
      return this.#image('groupedConv', operation, sizes, { weight, bias }, this.byRows(output), groups);
    }
    const rows = this.mostRows(output);
    const target = this.address(output);
    if (isPointwise(operation)) return this.#linear(weight, bias, { input: this.address(input), output: target, rows });
    const step = pieceRows(this.weight(weight).columns, rows);
    for (let first = 0; first < rows; first += step) {
      const count = Math.min(step, rows - first);
      // The unfolded rows go to the scratch: `#image` writes to the operation's output, so the address is replaced.
      this.#image('unfold', operation, sizes, {}, { by: 'blocks', count }, first, this.#scratch);
      const place = { input: this.#scratch, output: target + first * this.columns(output) * 4, rows: count };
      this.#linear(weight, bias, place);
    }
  }

  #image(
    kernel: EncoderKernelName,
    operation: Pick<Conv, 'inputs' | 'outputs'> & { attributes: Omit<Conv['attributes'], 'weight' | 'groups'> },
    out: ImageSize,
    { weight, bias }: { weight?: string; bias?: string | undefined },
    share: Share,
    groups: number,
    output = this.address(operation.outputs[0]!),
  ): void {
    const { height, width, kernelHeight, kernelWidth, stride, padding, dilation } = operation.attributes;
    const input = operation.inputs[0]!;
    const channels = this.columns(input);
    const features = this.columns(operation.outputs[0]!);
    const pointers = [this.address(input), this.vector(weight), this.vector(bias), output];
    const image = [height, width, channels, out.height, out.width, features];
    this.call(kernel, share, [...pointers, ...image, kernelHeight, kernelWidth, stride, padding, dilation, groups]);
  }

  /** Whether assembly/encoder-linear.ts serves a format: signed bytes, a scale for a whole block. */
  #isOffset({ linear, sumColumns }: FormatRow): boolean {
    return this.build === 'relaxed' && linear === 'linearQ8Wide' && sumColumns === 0;
  }

  /** The record is that of ../compile.ts. */
  #linear(name: string, bias: string | undefined, at: { input: number; output: number; rows: RowCount }): void {
    const weight = this.weight(name);
    const { rows, columns } = weight;
    const row = rowOf(weight.format);
    const isOffset = this.#isOffset(row);
    const fields = (unit: RecordField): RecordField[] => [
      weight.address,
      weight.scales,
      this.vector(bias),
      at.input,
      this.#prepared,
      at.output,
      rows,
      columns,
      this.countAddress(at.rows),
      unit,
      weight.scaleCodes,
      weight.minimums,
      row.scaleColumns,
      row.correction,
      this.#sums,
      row.sumColumns,
    ];
    const prepare = isOffset ? 'offsetActivations' : row.prepare;
    if (prepare) this.call(prepare, shareOf(at.rows), fields(0));
    const count = Math.ceil(rows / BLOCK_ROWS);
    this.call(isOffset ? 'linearQ8Offset' : row.linear, { by: 'blocks', count }, fields(this.unit(name, 9)));
  }
}

/** Room for a sum of each block of codes, four rows at a time. */
function codeSumBytes({ rows, columns }: PlacedWeight): number {
  return Math.ceil(rows / BLOCK_ROWS) * (columns / ACTIVATION_GROUP) * BLOCK_ROWS * 4;
}

/** Fewest rows of a piece of a convolution. */
const MIN_PIECE_ROWS = 64;

function pieceRows(columns: number, rows: number): number {
  return Math.min(rows, Math.max(MIN_PIECE_ROWS, Math.floor(PIECE_BYTES / (4 * columns) / 4) * 4));
}

function isPointwise({ attributes }: Conv): boolean {
  const { kernelHeight, kernelWidth, stride, padding } = attributes;
  return kernelHeight === 1 && kernelWidth === 1 && stride === 1 && padding === 0;
}

/** Preparation and product; with a convolution for each piece, and its unfolding. */
function mostRecords(graph: Graph): number {
  const columnsOf = new Map(graph.weights.map(({ name, shape }) => [name, shape[1] ?? 1]));
  return graph.operations.reduce((sum, operation) => {
    if (operation.op !== 'conv2d') return sum + 2;
    const rows = graph.values[operation.outputs[0]!]!.shape[0] as number;
    return sum + 3 * Math.ceil(rows / pieceRows(columnsOf.get(operation.attributes.weight)!, rows));
  }, 0);
}
