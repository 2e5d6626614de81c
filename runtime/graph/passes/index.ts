// From the graph that a family writes to the one that backends run.

import { WpError } from '../../errors.ts';
import { isAuthoredForm } from '../../ops/index.ts';
import type { Graph } from '../types.ts';
import { removeDeadCode } from './dead-code.ts';
import { fuseGateUp } from './fuse-gate-up.ts';
import { fuseQkv } from './fuse-qkv.ts';
import { fuseResidualNorm } from './fuse-residual-norm.ts';

/** What every backend gets, in this order. Each pass takes a sound graph and returns one with the same results. */
export const PASSES: readonly { readonly name: string; readonly run: (graph: Graph) => Graph }[] = [
  { name: 'fuse-qkv', run: fuseQkv },
  { name: 'fuse-gate-up', run: fuseGateUp },
  { name: 'fuse-residual-norm', run: fuseResidualNorm },
  { name: 'dead-code', run: removeDeadCode },
];

/**
 * Runs all passes. Backends only have to know the form that ops/ calls `inputs`; throws `unsupported-operation` if an
 * authored form survives (queries, keys and values that are not three linears of one value, say). Lowering what is
 * lowered changes nothing.
 */
export function lower(graph: Graph): Graph {
  const lowered = PASSES.reduce((current, pass) => pass.run(current), graph);
  const unfused = lowered.operations.find(isAuthoredForm);
  if (unfused) {
    throw new WpError(
      'unsupported-operation',
      `${unfused.op} of layer ${unfused.layer ?? 'none'} could not be fused with the linears before it.`,
      'Its inputs must be linears of one value, read by nothing else, with a bias for all of them or for none.',
      { operation: unfused.op, layer: unfused.layer },
    );
  }
  return lowered;
}

export { fuseGateUp, fuseQkv, fuseResidualNorm, removeDeadCode };
