// Where things stand in linear memory that both sides know: the JavaScript twin of assembly/parameters.ts. Every field of a
// record takes four bytes; a record is written by listing its fields in the order of the kernel's class.

import { WpError } from '../../errors.ts';

/** Sizes of the step that runs now (class Step). */
export const STEP_ADDRESS = 64;
export const STEP_FIELDS = { tokens: STEP_ADDRESS, past: STEP_ADDRESS + 4, outputs: STEP_ADDRESS + 8 } as const;

/** The 32-bit words through which threads meet (barrier.ts). */
export const BARRIER_ADDRESS = 128;

/** Where parameter records begin, and how far apart they are. */
export const PARAMETERS_ADDRESS = 1024;
export const RECORD_BYTES = 64;

/** Rows of a matrix are interleaved in blocks of four (assembly/repack.ts). */
export const BLOCK_ROWS = 4;

/** Attention reads the caches in blocks of this many positions (assembly/attention.ts). */
export const POSITION_BLOCK = 32;
/** … for at most this many rows of queries at once, or one token's heads. */
export const ATTENTION_ROWS = 32;

/** Integer activations come in groups of 32 numbers (assembly/quantize-activations.ts). */
export const ACTIVATION_GROUP = 32;

/** Bytes of one group of prepared activations; weights of 8 bits take them in parts. */
export function activationGroupBytes(isInParts: boolean, isRelaxed: boolean): number {
  return 16 + (isRelaxed && !isInParts ? 32 : 64);
}

/** Bytes of one thread's scratch in attention. */
export function attentionScratchBytes(heads: number, keyValueHeads: number, headDim: number): number {
  const group = heads / keyValueHeads;
  const rows = Math.max(1, Math.floor(ATTENTION_ROWS / group)) * group;
  const numbers = 2 * headDim * POSITION_BLOCK + 4 * POSITION_BLOCK + 2 * rows + rows * headDim;
  // A multiple of a cache line, so that threads do not share one.
  return Math.ceil((numbers * 4) / 64) * 64;
}

/** A parameter record as numbers; `{ f32 }` marks the fields that are floats. */
export type RecordField = number | { f32: number };

export function writeRecord(view: DataView, address: number, fields: readonly RecordField[]): void {
  fields.forEach((field, i) => {
    if (typeof field === 'number') view.setUint32(address + 4 * i, field, true);
    else view.setFloat32(address + 4 * i, field.f32, true);
  });
}

/** Throws `unsupported-operation` for heads that attention cannot read by vectors of four. */
export function expectHeadDim(headDim: number): void {
  if (headDim % 4 === 0) return;
  throw new WpError(
    'unsupported-operation',
    `The WASM backend's attention needs heads of a multiple of 4 numbers, not ${headDim}.`,
    'Use another backend for this model.',
    { actual: headDim },
  );
}
