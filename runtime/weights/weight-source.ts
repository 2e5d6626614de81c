// A checkpoint seen through a graph: what each weight is stored as, and the weights themselves as a stream of matrices in
// the formats that were planned. Bytes are read in file order with a bounded read-ahead, so that the peak is the model in
// its planned formats plus about one tensor.

import { WpError, throwIfAborted } from '../errors.ts';
import type { Graph, Weight } from '../graph/types.ts';
import { linkedController } from '../loading/abortable.ts';
import { formatLimit, type PackedMatrix, type WeightFormat } from '../quantization/formats.ts';
import { loadPacker, type Packer } from '../quantization/packer.ts';
import type { Checkpoint } from './checkpoint.ts';
import { planReads, readAheadBytes, storedBytes, type Read } from './read-plan.ts';
import { locateWeights, storedFormatOf, type StoredFormat, type StoredWeight } from './stored-weight.ts';
import { WeightAssembly } from './weight-assembly.ts';

export type { StoredFormat } from './stored-weight.ts';

export interface StreamedWeight {
  /** The weight's name in the graph. */
  name: string;
  /** In the planned format. Its arrays belong to the receiver; they may be views of what was read. */
  matrix: PackedMatrix;
}

export interface WeightSource {
  /** The format that a weight of the graph is stored in; for parts in different formats, the most precise one. */
  storedFormat(weight: Weight): StoredFormat;
  /** Bytes that `stream` will read of each file, its header included: tensors that the graph does not use are left out. */
  readonly bytesByFile: ReadonlyMap<string, number>;
  /** Their sum. */
  readonly downloadBytes: number;
  /**
   * Every weight of the graph once, in the order in which they are complete, converted to `formats` (by the weight's name).
   * Throws `unsupported-format` when a format does not fit, `corrupt-file` for numbers that are not finite. Leaving the
   * loop ends all reads.
   */
  stream(
    formats: ReadonlyMap<string, WeightFormat>,
    signal?: AbortSignal,
  ): AsyncGenerator<StreamedWeight, void, undefined>;
}

/** Checks every weight of the graph against the checkpoint: see `locateWeights` for what it throws. */
export function createWeightSource(checkpoint: Checkpoint, graph: Graph): WeightSource {
  const weights = locateWeights(checkpoint, graph);
  const byName = new Map(weights.map((stored) => [stored.weight.name, stored]));
  const bytesByFile = countBytes(checkpoint, weights);
  return {
    bytesByFile,
    downloadBytes: [...bytesByFile.values()].reduce((sum, bytes) => sum + bytes, 0),
    storedFormat(weight) {
      const stored = byName.get(weight.name);
      if (!stored) throw new WpError('internal', `"${weight.name}" is not a weight of the graph that was opened.`);
      return storedFormatOf(stored.parts);
    },
    stream: (formats, signal) => streamWeights(checkpoint, weights, formats, signal),
  };
}

async function* streamWeights(
  checkpoint: Checkpoint,
  weights: readonly StoredWeight[],
  formats: ReadonlyMap<string, WeightFormat>,
  signal: AbortSignal | undefined,
): AsyncGenerator<StreamedWeight, void, undefined> {
  throwIfAborted(signal);
  for (const { weight, parts } of weights) requireFormat(formats, weight, parts[0]!.columns);
  const packer = await loadPackerFor(weights, formats);
  const reads = planReads(weights, ({ weight }, part) => part.format !== formats.get(weight.name)!.name);
  const assemblies = new Map<string, WeightAssembly>();
  const { controller, release } = linkedController(signal);
  try {
    for await (const { read, bytes } of readAhead(
      checkpoint,
      reads,
      readAheadBytes(storedBytes(weights)),
      controller.signal,
    )) {
      for (const slice of read.slices) {
        const { weight } = slice.stored;
        let assembly = assemblies.get(weight.name);
        if (!assembly) {
          assembly = new WeightAssembly(slice.stored, formats.get(weight.name)!, packer);
          assemblies.set(weight.name, assembly);
        }
        const matrix = await assembly.take(
          slice,
          bytes.subarray(slice.start - read.start, slice.end - read.start),
          signal,
        );
        if (!matrix) continue;
        assemblies.delete(weight.name);
        yield { name: weight.name, matrix };
        throwIfAborted(signal);
      }
    }
  } finally {
    controller.abort();
    release();
  }
}

/**
 * Carries out the reads in order; the next ones run while one is in use, as far as `maximumBytes` allows, and always one, so
 * that the network does not wait for the processor.
 */
async function* readAhead(
  checkpoint: Checkpoint,
  reads: readonly Read[],
  maximumBytes: number,
  signal: AbortSignal,
): AsyncGenerator<{ read: Read; bytes: Uint8Array }, void, undefined> {
  const running: { read: Read; bytes: Promise<Uint8Array> }[] = [];
  let runningBytes = 0;
  let next = 0;
  for (;;) {
    while (next < reads.length) {
      const read = reads[next]!;
      const size = read.end - read.start;
      if (running.length > 1 && runningBytes + size > maximumBytes) break;
      const bytes = checkpoint.readRange(read.file, read.start, read.end, signal);
      bytes.catch(() => undefined); // heard when its turn comes, or not at all when an earlier read failed
      running.push({ read, bytes });
      runningBytes += size;
      next += 1;
    }
    const first = running.shift();
    if (!first) return;
    const bytes = await first.bytes;
    yield { read: first.read, bytes };
    runningBytes -= first.read.end - first.read.start;
  }
}

/** What is already stored as planned needs no packing. */
function loadPackerFor(weights: readonly StoredWeight[], formats: ReadonlyMap<string, WeightFormat>): Promise<Packer> {
  const packed = weights
    .map(({ weight, parts }) => ({ parts, format: formats.get(weight.name)! }))
    .filter(({ parts, format }) => parts.some((part) => part.format !== format.name));
  return loadPacker(packed.map(({ format }) => format));
}

function requireFormat(formats: ReadonlyMap<string, WeightFormat>, weight: Weight, columns: number): void {
  const format = formats.get(weight.name);
  if (!format) throw new WpError('internal', `No format was planned for the weight "${weight.name}".`);
  const limit = formatLimit(format, columns);
  if (!limit) return;
  throw new WpError('unsupported-format', `Weight "${weight.name}": ${limit}.`, 'Keep this weight in f16.', {
    weight: weight.name,
    format: format.name,
    columns,
  });
}

function countBytes(checkpoint: Checkpoint, weights: readonly StoredWeight[]): Map<string, number> {
  const bytes = new Map([...checkpoint.files].map(([name, { headerBytes }]) => [name, headerBytes]));
  const tensors = new Set(
    weights.flatMap(({ parts }) => parts.flatMap(({ pieces }) => pieces.map(({ tensor }) => tensor))),
  );
  for (const { file, start, end } of tensors) bytes.set(file, (bytes.get(file) ?? 0) + end - start);
  return bytes;
}
