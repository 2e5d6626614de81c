import type { Backend } from '../../runtime/backends/backend.ts';
import type { Graph } from '../../runtime/graph/types.ts';
import type { EncoderInputs } from '../../runtime/models/encoders/index.ts';
import type { PackedMatrix } from '../../runtime/quantization/formats.ts';

/** One step of an encoder on a backend, its program made and disposed of. */
export async function runEncoder(
  backend: Backend,
  graph: Graph,
  weights: ReadonlyMap<string, PackedMatrix>,
  inputs: EncoderInputs,
): Promise<Record<string, Float32Array<ArrayBuffer>>> {
  const formats = new Map([...weights].map(([name, { format }]) => [name, format]));
  const program = await backend.compileEncoder!(graph, { formats, maxTokens: 80, maxOutputs: 4 });
  try {
    for (const [name, matrix] of weights) await program.setWeight(name, matrix);
    await program.ready();
    return await program.run(inputs);
  } finally {
    program.dispose();
  }
}
