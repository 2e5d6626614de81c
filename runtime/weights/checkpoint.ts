// A checkpoint is one safetensors file, or several with an index. Opening reads headers only; tensors are read by name.

import { WpError, isAbortError } from '../errors.ts';
import { openRequired, type ModelFile, type ModelFiles } from '../loading/model-files.ts';
import { readSafetensorsHeader, type StoredTensor } from './safetensors.ts';

export type { StoredTensor } from './safetensors.ts';

export interface Checkpoint {
  /** By name, in the order in which they lie in the files. */
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  /** `__metadata__` of the file, or of all shards together (the first one that has a key wins). */
  readonly metadata: ReadonlyMap<string, string>;
  /** What a person should be told beside the model's answers; '' when there is nothing. */
  readonly notice: string;
  /** Of all tensors. */
  readonly totalBytes: number;
  /** Names of the weight files, and the bytes of their headers. */
  readonly files: ReadonlyMap<string, { size: number; headerBytes: number }>;
  /** The tensor's bytes as they are stored. `missing-tensor` when there is none of this name. */
  read(name: string, signal?: AbortSignal): Promise<Uint8Array>;
  /** Bytes [start, end) of a weight file, to read neighbours or a part of a tensor at once. */
  readRange(file: string, start: number, end: number, signal?: AbortSignal): Promise<Uint8Array>;
}

export const noticeKey = 'wp-models.notice';
/** What each matrix costs in each format: planning/measured-precision.ts. */
export const sensitivityKey = 'wp-models.sensitivity';

export async function openCheckpoint(files: ModelFiles, signal?: AbortSignal): Promise<Checkpoint> {
  const named = files.weightsName;
  if (named?.endsWith('.index.json')) return openShards(files, await openRequired(files, named, signal), signal);
  const single = named ?? 'model.safetensors';
  let refusal: unknown;
  try {
    const file = await files.open(single, signal);
    if (file) return openSingle(file, signal);
  } catch (thrown) {
    // Servers that answer 403 or a page for what does not exist: the index may still be there.
    if (isAbortError(thrown) || !isDoubtful(thrown)) throw thrown;
    refusal = thrown;
  }
  let index: ModelFile | undefined;
  try {
    index = await files.open('model.safetensors.index.json', signal);
  } catch (thrown) {
    throw isDoubtful(thrown) && refusal ? refusal : thrown;
  }
  if (index) return openShards(files, index, signal);
  if (refusal) throw refusal as Error;
  throw new WpError(
    'not-found',
    `${files.description} has neither ${single} nor model.safetensors.index.json.`,
    'This version reads safetensors weights; convert the model, or name the file of weights in the address.',
    { folder: files.description, allowed: [single, 'model.safetensors.index.json'] },
  );
}

function isDoubtful(thrown: unknown): boolean {
  return thrown instanceof WpError && (thrown.code === 'not-a-model' || thrown.details['status'] === 403);
}

async function openSingle(file: ModelFile, signal: AbortSignal | undefined): Promise<Checkpoint> {
  const { tensors, metadata } = await readSafetensorsHeader(file, signal);
  return createCheckpoint(new Map([[file.name, file]]), tensors, metadata);
}

async function openShards(files: ModelFiles, index: ModelFile, signal: AbortSignal | undefined): Promise<Checkpoint> {
  const shardOf = readIndex(await index.readJson(signal), index.name);
  const shards = new Map<string, ModelFile>();
  const tensors: StoredTensor[] = [];
  const metadata = new Map<string, string>();
  const missing = new Set(shardOf.keys());
  for (const name of new Set([...shardOf.values()].sort())) {
    const shard = await files.open(name, signal);
    if (!shard) {
      throw new WpError(
        'not-found',
        `${files.description} has no ${name}, which ${index.name} names.`,
        'Add the missing shard.',
        {
          file: name,
          index: index.name,
          folder: files.description,
        },
      );
    }
    shards.set(name, shard);
    const header = await readSafetensorsHeader(shard, signal);
    for (const tensor of header.tensors) {
      // A tensor that the index does not give to this shard is not part of the model.
      if (shardOf.get(tensor.name) !== name) continue;
      tensors.push(tensor);
      missing.delete(tensor.name);
    }
    for (const [key, value] of header.metadata) if (!metadata.has(key)) metadata.set(key, value);
  }
  if (missing.size > 0) {
    const names = [...missing];
    throw new WpError(
      'missing-tensor',
      `${index.name} names ${names.length} tensors that their shards do not hold: ${names
        .slice(0, 5)
        .map((name) => `${name} (${shardOf.get(name)})`)
        .join(', ')}${names.length > 5 ? ', …' : ''}.`,
      'The index and the shards belong to different versions: download them again.',
      { index: index.name, missing: names.slice(0, 100) },
    );
  }
  return createCheckpoint(shards, tensors, metadata);
}

function readIndex(index: unknown, name: string): Map<string, string> {
  const corrupt = (what: string): WpError =>
    new WpError('corrupt-file', `${name} ${what}.`, 'Download the index again.', { file: name });
  const map = typeof index === 'object' && index !== null ? (index as { weight_map?: unknown }).weight_map : undefined;
  if (typeof map !== 'object' || map === null || Array.isArray(map)) throw corrupt('has no object "weight_map"');
  const shardOf = new Map<string, string>();
  for (const [tensor, shard] of Object.entries(map)) {
    // A plain name: an index must not lead out of the model's folder.
    if (typeof shard !== 'string' || !/^[A-Za-z0-9_][A-Za-z0-9._ -]*\.safetensors$/.test(shard)) {
      throw corrupt(
        `gives "${tensor.slice(0, 80)}" the shard ${JSON.stringify(shard)?.slice(0, 80)}, which is not the name of a safetensors file`,
      );
    }
    shardOf.set(tensor, shard);
  }
  if (shardOf.size === 0) throw corrupt('names no tensor');
  return shardOf;
}

/** `headerBytes` by file; by default they end where the first tensor begins. */
export function createCheckpoint(
  files: ReadonlyMap<string, ModelFile>,
  tensors: readonly StoredTensor[],
  metadata: ReadonlyMap<string, string>,
  headerBytes: ReadonlyMap<string, number> = new Map(),
): Checkpoint {
  const byName = new Map(tensors.map((tensor) => [tensor.name, tensor]));
  const totalBytes = tensors.reduce((sum, tensor) => sum + tensor.end - tensor.start, 0);
  const sizes = new Map<string, { size: number; headerBytes: number }>();
  for (const [name, file] of files) {
    const first = tensors.find((tensor) => tensor.file === name);
    sizes.set(name, { size: file.size, headerBytes: headerBytes.get(name) ?? first?.start ?? file.size });
  }
  const readRange: Checkpoint['readRange'] = (file, start, end, signal) => {
    const opened = files.get(file);
    if (!opened) throw new WpError('internal', `${file} is not a file of this checkpoint.`);
    return opened.readRange(start, end, signal);
  };
  return {
    tensors: byName,
    metadata,
    notice: metadata.get(noticeKey) ?? '',
    totalBytes,
    files: sizes,
    readRange,
    async read(name, signal) {
      const tensor = byName.get(name);
      if (!tensor) throw new WpError('missing-tensor', `The checkpoint has no tensor "${name}".`, '', { tensor: name });
      return readRange(tensor.file, tensor.start, tensor.end, signal);
    },
  };
}
