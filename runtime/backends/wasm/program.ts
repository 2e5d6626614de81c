// A compiled graph with its memory and its threads. A step writes its inputs into linear memory, runs the tape, and copies
// the logits out.

import type { CompileOptions, Program, ProgramProfile, StepInputs } from '../backend.ts';
import { WpError } from '../../errors.ts';
import type { Graph } from '../../graph/types.ts';
import { weightsOf } from '../../ops/index.ts';
import { formatBytes, FORMATS } from '../../quantization/formats.ts';
import type { Compiled } from './compile.ts';
import { STEP_FIELDS } from './layouts.ts';
import { WeightedProgram, type WeightedParts } from './weighted-program.ts';

/** What a program is made of; backend.ts puts it together. */
export interface ProgramParts extends WeightedParts {
  graph: Graph;
  options: CompileOptions;
  compiled: Compiled;
}

export class WasmProgram extends WeightedProgram<ProgramParts> implements Program {
  async run(inputs: StepInputs): Promise<Float32Array> {
    const { compiled, memory, group } = this.alive();
    this.#check(inputs);
    const { tokenIds, rotary, outputRows, past } = inputs;
    this.#writeInput('tokenIds', tokenIds);
    this.#writeInput('rotary', rotary);
    this.#writeInput('outputRows', outputRows);
    this.writeStep(tokenIds.length, past, outputRows.length);

    group.runStep();

    const { address, columns } = compiled.logits;
    return new Float32Array(memory.buffer, address, outputRows.length * columns).slice();
  }

  readOutput(name: string): Float32Array {
    const { compiled, memory } = this.alive();
    const output = compiled.outputs[name];
    if (!output) throw new WpError('invalid-argument', `The graph has no output ${name}.`);
    const rows = new DataView(memory.buffer).getUint32(STEP_FIELDS[output.rows], true);
    return new Float32Array(memory.buffer, output.address, rows * output.columns).slice();
  }

  profile(): ProgramProfile {
    const { graph, compiled } = this.alive();
    let weightBytesPerToken = 0;
    for (const operation of graph.operations) {
      for (const name of weightsOf(operation)) {
        const { format, rows, columns } = compiled.weights.get(name)!;
        // One row of a table of embeddings, all of anything else.
        weightBytesPerToken += formatBytes(FORMATS[format], operation.op === 'embed' ? 1 : rows, columns).total;
      }
    }
    return {
      dispatchesPerToken: compiled.tape.length,
      weightBytesPerToken,
      kernels: compiled.kernels,
    };
  }

  #writeInput(name: string, numbers: Int32Array | Float32Array): void {
    const address = this.alive().compiled.inputs[name];
    if (address !== undefined) this.writeNumbers(address, numbers); // else the graph does not use it
  }

  /** A wrong size would write over what stands beside: all of them are checked. */
  #check({ tokenIds, rotary, outputRows, past }: StepInputs): void {
    const { compiled, options } = this.alive();
    const tokens = tokenIds.length;
    expectRange('the number of tokens', tokens, 1, options.maxTokens);
    expectRange('the number of outputs', outputRows.length, 0, options.maxOutputs);
    expectRange('past', past, 0, options.contextLength);
    if (past + tokens > options.contextLength) {
      throw new WpError(
        'context-overflow',
        `${past} + ${tokens} tokens exceed the context of ${options.contextLength}.`,
        'Shorten the conversation, or load the model with a longer context.',
        { actual: past + tokens, allowed: options.contextLength },
      );
    }
    const angles = tokens * compiled.headDim;
    if (compiled.inputs['rotary'] !== undefined) expectRange('the length of rotary', rotary.length, angles, angles);
    for (const id of tokenIds) expectRange('a token id', id, 0, compiled.vocabulary - 1);
    for (const row of outputRows) expectRange('an output row', row, 0, tokens - 1);
  }
}

function expectRange(what: string, actual: number, least: number, most: number): void {
  if (actual >= least && actual <= most) return;
  const allowed = least === most ? `${least}` : `${least} … ${most}`;
  throw new WpError('invalid-argument', `WASM backend: ${what} is ${actual}, allowed is ${allowed}.`, '', {
    actual,
    allowed,
  });
}
