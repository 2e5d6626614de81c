// The table of the operations that only encoders have, apart from that of decoders (index.ts) so that a page with a chat does
// not fetch it. Whoever makes graphs of them registers it first; graph/encoder-builder.ts does.

import type { EncoderOperationName } from '../graph/types.ts';
import { activation, gatedGelu } from './activation.ts';
import { attend } from './attend.ts';
import { conv2d } from './conv2d.ts';
import { convTranspose2d } from './conv-transpose2d.ts';
import { groupNorm } from './group-norm.ts';
import { registerOperations } from './index.ts';
import { layerNorm } from './layer-norm.ts';
import type { OperationDefinition } from './operation.ts';
import { meanRows, normalizeRows } from './pooling.ts';
import { rotate } from './rotate.ts';
import { addTable, concatColumns, insertRows, scaleColumns, tableRows } from './tables.ts';
import { unfold } from './unfold.ts';
import { upsample } from './upsample.ts';

export const ENCODER_OPERATIONS: { readonly [Name in EncoderOperationName]: OperationDefinition<Name> } = {
  layerNorm,
  activation,
  gatedGelu,
  attend,
  rotate,
  meanRows,
  normalizeRows,
  scaleColumns,
  concatColumns,
  tableRows,
  addTable,
  insertRows,
  unfold,
  conv2d,
  convTranspose2d,
  groupNorm,
  upsample,
};

/** Makes the operations known to the functions of index.ts. Doing it again changes nothing. */
export function registerEncoderOperations(): void {
  registerOperations(ENCODER_OPERATIONS);
}
