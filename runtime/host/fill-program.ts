// Weights into a program, tensor by tensor, while its pipelines compile.

import type { PackedMatrix, WeightFormat } from '../quantization/formats.ts';
import { throwIfAborted } from '../errors.ts';
import type { LoadProgressTracker } from '../loading/progress.ts';
import type { WeightSource } from '../weights/weight-source.ts';

interface Fillable {
  setWeight(name: string, matrix: PackedMatrix): Promise<void>;
  ready(): Promise<void>;
  dispose(): void;
}

/** The program, ready to run. When anything fails, or the signal aborts, nothing of it is left on the device. */
export async function fillProgram<P extends Fillable>(
  program: P,
  weights: WeightSource,
  formats: ReadonlyMap<string, WeightFormat>,
  progress: LoadProgressTracker,
  signal: AbortSignal | undefined,
): Promise<P> {
  try {
    for await (const { name, matrix } of weights.stream(formats, signal)) await program.setWeight(name, matrix);
    progress.enter('compiling');
    await program.ready();
    throwIfAborted(signal);
    return program;
  } catch (thrown) {
    program.dispose();
    throw thrown;
  }
}
