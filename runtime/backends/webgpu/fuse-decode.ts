// The graph of a step of one token and one output, with what stands around a linear layer taken into it: norms before; residuals,
// gated activations, rotation and cache writes behind. A layer becomes five dispatches or six. Only here: with many tokens a
// matrix product would norm its input once for each of its tiles.

import { countUses } from '../../graph/passes/rewrite.ts';
import type { Graph, Operation, ValueId } from '../../graph/types.ts';

/** A linear layer and what it takes along; or an operation as it was. `inputs` and `outputs` are what it reads and writes. */
export interface FusedOperation {
  operation: Operation;
  inputs: ValueId[];
  outputs: ValueId[];
  fused?: Fusion;
}

export interface Fusion {
  norm?: { weight: string; epsilon: number };
  residual?: ValueId;
  activation?: 'silu' | 'gelu-tanh';
  rotaryCache?: Operation & { op: 'rotaryCache' };
}

/** What a device and its weights allow. */
export interface FusionLimits {
  /** Storage buffers that one kernel may bind. */
  maxStorageBuffers: number;
  /** Storage buffers that a matrix takes. */
  matrixBuffers(weight: string): number;
  /** True of a matrix that lies in several pieces: rows that belong together may then be apart. */
  isCut(weight: string): boolean;
}

/** Of queries, keys and values, beside the matrix: x, bias, gain, rotary, keys, values, queries. */
const ROTARY_STORAGE_BUFFERS = 7;

export function fuseDecode(graph: Graph, limits: FusionLimits): FusedOperation[] {
  const fusion = new DecodeFusion(graph, limits);
  for (const operation of graph.operations) fusion.add(operation);
  return fusion.result;
}

class DecodeFusion {
  readonly result: FusedOperation[] = [];
  readonly #limits: FusionLimits;
  readonly #uses: ReadonlyMap<ValueId, number>;
  readonly #linearUses = new Map<ValueId, number>();
  /** Normed values that are not made: each linear norms for itself. */
  readonly #norms = new Map<ValueId, { source: ValueId; norm: NonNullable<Fusion['norm']> }>();
  /** With one token and one output, the selected row is the row. */
  readonly #aliases = new Map<ValueId, ValueId>();
  /** When each value is there: its place in the result. */
  readonly #madeAt = new Map<ValueId, number>();

  constructor(graph: Graph, limits: FusionLimits) {
    this.#limits = limits;
    this.#uses = countUses(graph);
    for (const { op, inputs } of graph.operations) {
      if (op === 'linear') this.#linearUses.set(inputs[0]!, (this.#linearUses.get(inputs[0]!) ?? 0) + 1);
    }
  }

  add(operation: Operation): void {
    const inputs = operation.inputs.map((id) => this.#aliases.get(id) ?? id);
    const [output, secondOutput] = operation.outputs as [ValueId, ValueId | undefined];
    switch (operation.op) {
      case 'selectRows':
        this.#aliases.set(output, inputs[0]!);
        return;
      case 'rmsNorm':
        if (this.#deferNorm(output, inputs[0]!, operation.attributes)) return;
        break;
      case 'addRmsNorm':
        if (this.#deferNorm(secondOutput!, output, operation.attributes)) {
          this.#addResidual(operation, inputs, output);
          return;
        }
        break;
      case 'add':
        this.#addResidual(operation, inputs, output);
        return;
      case 'linear': {
        const deferred = this.#norms.get(inputs[0]!);
        const fused = deferred ? { norm: deferred.norm } : {};
        this.#push({ operation, inputs: [deferred?.source ?? inputs[0]!], outputs: [output], fused });
        return;
      }
      case 'gatedActivation': {
        const linear = this.#openLinear(inputs[0]!);
        if (!linear || this.#isCut(linear)) break;
        linear.fused!.activation = operation.attributes.activation;
        this.#setOutputs(linear, [output]);
        return;
      }
      case 'rotaryCache': {
        const { queryNorm, keyNorm } = operation.attributes;
        if (inputs.length > 2) break; // queries, keys and values of three linears
        const linear = this.#openLinear(inputs[0]!);
        if (!linear || this.#isCut(linear) || queryNorm || keyNorm || !this.#hasRoomForRotary(linear)) break;
        linear.fused!.rotaryCache = operation;
        linear.inputs.push(inputs[1]!);
        this.#setOutputs(linear, [output]);
        return;
      }
      default:
        break;
    }
    this.#push({ operation, inputs, outputs: [...operation.outputs] });
  }

  /** True when all that read the normed value are linears. */
  #deferNorm(normed: ValueId, source: ValueId, { weight, epsilon }: { weight: string; epsilon: number }): boolean {
    if (this.#uses.get(normed) !== this.#linearUses.get(normed)) return false;
    this.#norms.set(normed, { source, norm: { weight, epsilon } });
    return true;
  }

  /** a + b, as the end of the linear that makes one of them if the other is there by then. */
  #addResidual({ layer }: Operation, [a, b]: ValueId[], sum: ValueId): void {
    for (const [own, other] of [
      [a!, b!],
      [b!, a!],
    ] as const) {
      const linear = this.#openLinear(own);
      if (!linear || own === other || (this.#madeAt.get(other) ?? -1) >= this.#madeAt.get(own)!) continue;
      linear.fused!.residual = other;
      linear.inputs.push(other);
      this.#setOutputs(linear, [sum]);
      return;
    }
    const add = { op: 'add', attributes: {}, inputs: [a!, b!], outputs: [sum], layer } as const;
    this.#push({ operation: add, inputs: [a!, b!], outputs: [sum] });
  }

  /** The linear that makes a value which nothing else reads, if its end is still free. */
  #openLinear(value: ValueId): FusedOperation | undefined {
    const index = this.#madeAt.get(value);
    const maker = index === undefined ? undefined : this.result[index];
    if (!maker?.fused || this.#uses.get(value) !== 1) return undefined;
    const { residual, activation, rotaryCache } = maker.fused;
    return residual === undefined && !activation && !rotaryCache ? maker : undefined;
  }

  #hasRoomForRotary({ operation }: FusedOperation): boolean {
    if (operation.op !== 'linear') return false;
    const { maxStorageBuffers, matrixBuffers } = this.#limits;
    return maxStorageBuffers >= ROTARY_STORAGE_BUFFERS + matrixBuffers(operation.attributes.weight);
  }

  #isCut({ operation }: FusedOperation): boolean {
    return operation.op === 'linear' && this.#limits.isCut(operation.attributes.weight);
  }

  #push(operation: FusedOperation): void {
    this.result.push(operation);
    for (const id of operation.outputs) this.#madeAt.set(id, this.result.length - 1);
  }

  #setOutputs(operation: FusedOperation, outputs: ValueId[]): void {
    const index = this.result.indexOf(operation);
    operation.outputs = outputs;
    for (const id of outputs) this.#madeAt.set(id, index);
  }
}
