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
 * Greedy by size: the largest values take their slots first, and each later one fits into the smallest slot whose
 * tenants never live when it does. Source: Pisarchyk and Lee 2020, https://arxiv.org/abs/2001.03288.
 */
export function planActivations(graph: Graph, dims: Dims): ActivationPlan {
  const values = [...valueLifetimes(graph)].map(([id, lifetime]) => ({
    id,
    lifetime,
    bytes: align(valueBytes(graph.values[id]!, dims)),
  }));
  values.sort((a, b) => b.bytes - a.bytes || a.lifetime.from - b.lifetime.from || a.id - b.id);

  const slotOf = new Map<ValueId, number>();
  const slots: { bytes: number; tenants: Lifetime[] }[] = [];
  for (const { id, lifetime, bytes } of values) {
    // Slots are made largest first, so that the last one that is free is the smallest.
    let slot = slots.findLastIndex(({ tenants }) => !tenants.some((tenant) => overlap(tenant, lifetime)));
    if (slot < 0) slot = slots.push({ bytes, tenants: [] }) - 1;
    slots[slot]!.tenants.push(lifetime);
    slotOf.set(id, slot);
  }
  return {
    slots: slots.map(({ bytes }) => ({ bytes })),
    slotOf,
    totalBytes: slots.reduce((sum, { bytes }) => sum + bytes, 0),
  };
}

function overlap(a: Lifetime, b: Lifetime): boolean {
  return a.from <= b.to && b.from <= a.to;
}

function align(bytes: number): number {
  return Math.max(1, Math.ceil(bytes / SLOT_ALIGNMENT_BYTES)) * SLOT_ALIGNMENT_BYTES;
}
