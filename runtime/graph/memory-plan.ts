// Which activations can share memory. A value lives from the operation that produces it to the last that reads it; two
// that never live at once may share a slot. Both backends allocate exactly these slots, so that the plan's figure is the
// device's.

import { WpError } from '../errors.ts';
import { valueBytes } from './shapes.ts';
import type { Dims, Graph, ValueId } from './types.ts';

/** Offsets of storage bindings must be multiples of this (WebGPU's minStorageBufferOffsetAlignment at most). */
export const SLOT_ALIGNMENT_BYTES = 256;

export interface ActivationPlan {
  /** Bytes of each slot, a multiple of SLOT_ALIGNMENT_BYTES. */
  slots: readonly { bytes: number }[];
  /** Every value's slot, the graph's inputs and outputs included. */
  slotOf: ReadonlyMap<ValueId, number>;
  totalBytes: number;
}

/** Where a value lives: operation indices, both included; −1 is before the first operation. */
export interface Lifetime {
  from: number;
  to: number;
}

/**
 * Lifetimes of all values. The graph's inputs are there before the first operation; its outputs last past the end. An
 * operation's outputs overlap its inputs, since no kernel promises to work in place.
 */
export function valueLifetimes(graph: Graph): Map<ValueId, Lifetime> {
  const lifetimes = new Map<ValueId, Lifetime>();
  for (const id of Object.values(graph.inputs)) lifetimes.set(id, { from: -1, to: -1 });
  graph.operations.forEach(({ op, inputs, outputs }, index) => {
    for (const id of inputs) {
      const lifetime = lifetimes.get(id);
      if (!lifetime) throw new WpError('internal', `${op} reads value ${id} before it is produced.`);
      lifetime.to = index;
    }
    for (const id of outputs) lifetimes.set(id, { from: index, to: index });
  });
  for (const id of Object.values(graph.outputs)) lifetimes.get(id)!.to = graph.operations.length;
  return lifetimes;
}

/**
 * Assigns every value to a slot, for steps of at most `dims` (tokens and outputs at their largest).
 * Greedy in the order of the operations: the smallest free slot that is large enough, else the largest free one grows.
 */
export function planActivations(graph: Graph, dims: Dims): ActivationPlan {
  const lifetimes = valueLifetimes(graph);
  const slotOf = new Map<ValueId, number>();
  const slotBytes: number[] = [];
  const free = new Set<number>();

  const assign = (id: ValueId) => {
    const bytes = align(valueBytes(graph.values[id]!, dims));
    const bySize = [...free].sort((a, b) => slotBytes[a]! - slotBytes[b]!);
    const slot = bySize.find((candidate) => slotBytes[candidate]! >= bytes) ?? bySize.at(-1) ?? slotBytes.length;
    slotBytes[slot] = Math.max(slotBytes[slot] ?? 0, bytes);
    free.delete(slot);
    slotOf.set(id, slot);
  };
  const release = (ids: Iterable<ValueId>, index: number) => {
    for (const id of ids) if (lifetimes.get(id)!.to === index) free.add(slotOf.get(id)!);
  };

  Object.values(graph.inputs).forEach(assign);
  release(Object.values(graph.inputs), -1);
  graph.operations.forEach(({ inputs, outputs }, index) => {
    outputs.forEach(assign);
    release([...inputs, ...outputs], index);
  });
  return {
    slots: slotBytes.map((bytes) => ({ bytes })),
    slotOf,
    totalBytes: slotBytes.reduce((sum, bytes) => sum + bytes, 0),
  };
}

function align(bytes: number): number {
  return Math.max(1, Math.ceil(bytes / SLOT_ALIGNMENT_BYTES)) * SLOT_ALIGNMENT_BYTES;
}
