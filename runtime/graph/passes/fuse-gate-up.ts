import type { Graph } from '../types.ts';
import { stackLinears } from './stack-linears.ts';

/** linear ×2 → gatedActivation(gate, up) becomes one linear → gatedActivation(gateAndUp). */
export function fuseGateUp(graph: Graph): Graph {
  return stackLinears(graph, (operation) =>
    operation.op === 'gatedActivation' && operation.inputs.length === 2 ? operation.inputs : undefined,
  );
}
