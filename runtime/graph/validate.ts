// What every graph promises, whoever made it: the builder ends with this check, and so does every pass in the tests. A
// violation is a defect of a family or a pass, so the code is `internal` (shape rules say `invalid-argument`).

import { WpError } from '../errors.ts';
import { shapesOf, statesOf, weightsOf } from '../ops/index.ts';
import { sameShape } from './shapes.ts';
import type { Graph } from './types.ts';

/**
 * Throws a WpError unless: ids are dense; names are unique; every input of an operation is produced before; every value
 * has one producer; weights and states that are named exist, and exist for a reason; shapes obey the operations' rules.
 */
export function validateGraph(graph: Graph): void {
  graph.values.forEach((value, id) => {
    if (value.id !== id) fail(`value ${value.name} has the id ${value.id} at place ${id}`);
  });
  expectUnique(
    'value',
    graph.values.map(({ name }) => name),
  );
  expectUnique(
    'weight',
    graph.weights.map(({ name }) => name),
  );
  expectUnique(
    'state',
    graph.states.map(({ name }) => name),
  );

  const weights = new Map(graph.weights.map((weight) => [weight.name, weight]));
  const states = new Set(graph.states.map(({ name }) => name));
  const used = new Set<string>();
  for (const weight of graph.weights) {
    const rows = weight.parts.reduce((sum, part) => sum + part.rows, 0);
    if (rows !== weight.shape[0]) fail(`the parts of weight ${weight.name} have ${rows} rows, not ${weight.shape[0]}`);
  }

  const produced = new Set(Object.values(graph.inputs));
  for (const operation of graph.operations) {
    const label = `${operation.op} (layer ${operation.layer ?? 'none'})`;
    for (const id of operation.inputs) {
      if (!produced.has(id)) fail(`${label} reads ${graph.values[id]?.name ?? `value ${id}`} before it is produced`);
    }
    for (const name of weightsOf(operation)) {
      if (!weights.has(name)) fail(`${label} reads the weight ${name}, which does not exist`);
      used.add(name);
    }
    for (const name of statesOf(operation)) {
      if (!states.has(name)) fail(`${label} reads the state ${name}, which does not exist`);
      used.add(name);
    }
    const shapes = shapesOf(
      operation,
      operation.inputs.map((id) => graph.values[id]!.shape),
      { weightShape: (name) => weights.get(name)!.shape },
    );
    if (shapes.length !== operation.outputs.length) fail(`${label} has ${operation.outputs.length} outputs`);
    operation.outputs.forEach((id, i) => {
      const value = graph.values[id];
      if (!value) return fail(`${label} writes value ${id}, which does not exist`);
      if (produced.has(id)) fail(`${value.name} is produced twice`);
      if (!sameShape(value.shape, shapes[i]!))
        fail(`${value.name} is [${String(value.shape)}], not [${String(shapes[i])}]`);
      produced.add(id);
    });
  }

  for (const [name, id] of Object.entries(graph.outputs)) {
    if (!produced.has(id)) fail(`the output ${name} is not produced`);
  }
  for (const { name } of [...graph.weights, ...graph.states]) {
    if (!used.has(name)) fail(`${name} is never used`);
  }
}

function expectUnique(what: string, names: readonly string[]): void {
  const seen = new Set<string>();
  for (const name of names) {
    if (seen.has(name)) fail(`there are two ${what}s named ${name}`);
    seen.add(name);
  }
}

function fail(problem: string): never {
  throw new WpError(
    'internal',
    `The graph is not sound: ${problem}.`,
    'This is a defect of the model family or of a pass.',
  );
}
