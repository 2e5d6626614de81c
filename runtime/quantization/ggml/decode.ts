// From a tensor's stored bytes to its numbers, exactly, for every type that this version reads.

import { WpError } from '../../errors.ts';
import type { BlockDecoder } from './block.ts';
import * as i from './i-quants.ts';
import * as k from './k-quants.ts';
import * as s from './simple.ts';
import * as t from './ternary.ts';
import type { GgmlType } from './types.ts';

const DECODERS: ReadonlyMap<string, BlockDecoder> = new Map([
  ['Q4_0', s.q4_0],
  ['Q4_1', s.q4_1],
  ['Q5_0', s.q5_0],
  ['Q5_1', s.q5_1],
  ['Q8_0', s.q8_0],
  ['IQ4_NL', s.iq4_nl],
  ['MXFP4', s.mxfp4],
  ['Q2_K', k.q2_k],
  ['Q3_K', k.q3_k],
  ['Q4_K', k.q4_k],
  ['Q5_K', k.q5_k],
  ['Q6_K', k.q6_k],
  ['IQ2_XXS', i.iq2_xxs],
  ['IQ2_XS', i.iq2_xs],
  ['IQ2_S', i.iq2_s],
  ['IQ3_XXS', i.iq3_xxs],
  ['IQ3_S', i.iq3_s],
  ['IQ1_S', i.iq1_s],
  ['IQ1_M', i.iq1_m],
  ['IQ4_XS', i.iq4_xs],
  ['TQ1_0', t.tq1_0],
  ['TQ2_0', t.tq2_0],
]);

/** Names of the types that `decodeBlocks` reads. */
export const DECODED_TYPES: readonly string[] = [...DECODERS.keys()];

/**
 * The numbers of whole blocks. Throws `unsupported-format` for a type that is not in `DECODED_TYPES`, `corrupt-file` when
 * the bytes are no whole number of blocks.
 */
export function decodeBlocks(type: GgmlType, bytes: Uint8Array): Float32Array {
  const decode = DECODERS.get(type.name);
  if (!decode) {
    throw new WpError('unsupported-format', `Weights of the type ${type.name} are not read.`, '', {
      actual: type.name,
      allowed: DECODED_TYPES,
    });
  }
  const blocks = bytes.length / type.blockBytes;
  if (!Number.isInteger(blocks)) {
    throw new WpError(
      'corrupt-file',
      `${bytes.length} bytes are no whole number of ${type.name} blocks of ${type.blockBytes} bytes.`,
    );
  }
  const values = new Float32Array(blocks * type.blockSize);
  for (let block = 0; block < blocks; block++) decode(bytes, block * type.blockBytes, values, block * type.blockSize);
  return values;
}
