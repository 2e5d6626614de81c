// The bytes of an ONNX model: which file of the folder, the file itself, and the files of external data that it names.

import { isAbortError, throwIfAborted, WpError } from '../../errors.ts';
import { openRequired, type ModelFile, type ModelFiles } from '../../loading/model-files.ts';
import type { LoadProgressTracker } from '../../loading/progress.ts';
import { checkOperations } from '../../onnx/check-operations.ts';
import { readOnnxHeader, type OnnxHeader } from '../../onnx/header.ts';
import { variantOf, type Variant, type VariantChoice } from '../../onnx/variants.ts';
import type { MemoryLimit } from '../../planning/memory-limit.ts';
import { describeBytes } from '../../planning/reason.ts';

export interface FoundOnnx {
  file: ModelFile;
  variant: Variant;
  /** Why this file, as a sentence. */
  reason: string;
  /** What its matrices are to become; undefined: they stay. */
  rewriteBits: 2 | 4 | 8 | undefined;
}

export interface OnnxBytes {
  header: OnnxHeader;
  bytes: Uint8Array;
  external: { path: string; data: Uint8Array }[];
}

/** Optimum puts these beside config.json; transformers.js' layout, which is looked at first, has all variants in onnx/. */
const BESIDE_CONFIG = ['', '_quantized'];

/** Undefined when the folder has no ONNX file of a known name. */
export async function findOnnx(
  files: ModelFiles,
  choice: VariantChoice,
  signal: AbortSignal,
): Promise<FoundOnnx | undefined> {
  const { weightsName } = files;
  if (weightsName !== undefined) {
    const file = await openRequired(files, weightsName, signal);
    const variant = variantOf(weightsName);
    const rewriteBits = variant.precision === 'f32' ? choice.rewriteBits : undefined;
    return { file, variant, reason: `${weightsName} was named.`, rewriteBits };
  }
  const open = (suffix: string): Promise<ModelFile | undefined> => openFirst(files, suffix, signal);
  for (const variant of choice.wanted) {
    const file = await open(variant.suffix);
    if (file) return { file, variant, reason: `${file.name} was published: ${choice.reason}.`, rewriteBits: undefined };
  }
  const whole = choice.rewriteBits === undefined ? undefined : await open('');
  if (!whole) return undefined;
  return {
    file: whole,
    variant: variantOf(whole.name),
    reason: `${choice.reason}, and no such file was published: ${whole.name} is rewritten here.`,
    rewriteBits: choice.rewriteBits,
  };
}

async function openFirst(files: ModelFiles, suffix: string, signal: AbortSignal): Promise<ModelFile | undefined> {
  for (const folder of BESIDE_CONFIG.includes(suffix) ? ['onnx/', ''] : ['onnx/']) {
    try {
      const file = await files.open(`${folder}model${suffix}.onnx`, signal);
      if (file) return file;
    } catch (thrown) {
      // Servers that answer 403 or a page for what does not exist.
      const isNoFile = thrown instanceof WpError && (thrown.code === 'not-a-model' || thrown.details['status'] === 403);
      if (isAbortError(thrown) || !isNoFile) throw thrown;
    }
  }
  return undefined;
}

/** Downloads, and checks what can be checked. Rejects with `corrupt-file`, `unsupported-operation`, `not-found`, `out-of-memory`. */
export async function readOnnx(
  { file }: FoundOnnx,
  files: ModelFiles,
  limit: MemoryLimit | undefined,
  progress: LoadProgressTracker,
  signal: AbortSignal,
): Promise<OnnxBytes> {
  expectRoom(file.size, file.name, limit);
  progress.expect(file.name, file.size);
  progress.enter('downloading');
  // A small file may have its weights in another one.
  if (file.size > 64e6) progress.totalIsKnown();
  const bytes = await readWhole(file, signal);
  const header = readOnnxHeader(bytes, file.name);
  checkOperations(header, file.name);

  const folder = file.name.slice(0, file.name.lastIndexOf('/') + 1);
  const opened: { path: string; file: ModelFile }[] = [];
  for (const [path, needed] of header.externalFiles) {
    const data = await files.open(folder + path, signal);
    if (!data) {
      throw new WpError(
        'not-found',
        `${files.description} has no ${folder}${path}, where ${file.name} keeps its weights.`,
        'Put the file of external data beside the model, under this name.',
        { file: folder + path, model: file.name, missing: path },
      );
    }
    if (data.size < needed) {
      throw new WpError(
        'corrupt-file',
        `${data.name} has ${data.size} bytes, and ${file.name} needs ${needed} of it.`,
        'The file is truncated or belongs to another model: download it again.',
        { file: data.name, actual: data.size, needed },
      );
    }
    opened.push({ path, file: data });
  }
  expectRoom(
    opened.reduce((sum, { file: { size } }) => sum + size, file.size),
    file.name,
    limit,
  );
  for (const { file: data } of opened) progress.expect(data.name, data.size);
  progress.totalIsKnown();
  const external: OnnxBytes['external'] = [];
  for (const { path, file: data } of opened) external.push({ path, data: await readWhole(data, signal) });
  return { header, bytes, external };
}

function expectRoom(bytes: number, name: string, limit: MemoryLimit | undefined): void {
  if (!limit || bytes <= limit.bytes) return;
  throw new WpError(
    'out-of-memory',
    `${name} needs ${describeBytes(bytes)}, and the limit is ${describeBytes(limit.bytes)} (${limit.source}).`,
    'Use a smaller variant, or a higher memoryLimitBytes.',
    { neededBytes: bytes, allowedBytes: limit.bytes, source: limit.source },
  );
}

const PART_BYTES = 8 * 2 ** 20;
const PARTS_AT_ONCE = 3;

async function readWhole(file: ModelFile, signal: AbortSignal): Promise<Uint8Array> {
  if (file.size <= PART_BYTES) return file.readRange(0, file.size, signal);
  const bytes = new Uint8Array(file.size);
  let next = 0;
  const readParts = async (): Promise<void> => {
    while (next < bytes.length) {
      const start = next;
      next = Math.min(start + PART_BYTES, bytes.length);
      bytes.set(await file.readRange(start, next, signal), start);
      throwIfAborted(signal);
    }
  };
  await Promise.all(Array.from({ length: PARTS_AT_ONCE }, readParts));
  return bytes;
}
