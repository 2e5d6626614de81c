// The inputs of one step: what fits a program, and copies for when they must wait.

import { WpError } from '../../errors.ts';
import type { Graph } from '../../graph/types.ts';
import type { CompileOptions, StepInputs } from '../backend.ts';
import type { StepSizes } from './kernels/kernel.ts';

/** The sizes of a step, once its inputs are found to fit the program. */
export function checkInputs(
  { tokenIds, rotary, outputRows, past }: StepInputs,
  { maxTokens, maxOutputs, contextLength }: CompileOptions,
  graph: Graph,
): StepSizes {
  const tokens = tokenIds.length;
  expectRange('tokens', tokens, 1, maxTokens);
  expectRange('output rows', outputRows.length, 0, maxOutputs);
  expectRange('past', past, 0, contextLength - tokens);
  for (const row of outputRows) expectRange('an output row', row, 0, tokens - 1);
  const rotaryInput = graph.inputs['rotary'];
  if (rotaryInput !== undefined) {
    const expected = tokens * (graph.values[rotaryInput]!.shape[1] as number);
    expectRange('rotary numbers', rotary.length, expected, expected);
  }
  return { tokens, past, outputs: outputRows.length };
}

export function copyInputs({ tokenIds, rotary, outputRows, past }: StepInputs): StepInputs {
  return { tokenIds: tokenIds.slice(), rotary: rotary.slice(), outputRows: outputRows.slice(), past };
}

/** Throws `invalid-argument` unless `actual` lies between the two. */
export function expectRange(what: string, actual: number, lowest: number, highest: number): void {
  if (actual >= lowest && actual <= highest) return;
  throw new WpError('invalid-argument', `A step has ${actual} as ${what}; allowed is ${lowest} to ${highest}.`, '', {
    actual,
    allowed: [lowest, highest],
  });
}
