// Model files in memory, and safetensors made by hand: for files that no program would write.

import { RangeFile, type ModelFile, type ModelFiles } from '../../runtime/loading/model-files.ts';

export class MemoryFile extends RangeFile {
  override readonly url = undefined;
  /** Each range that was read. */
  readonly reads: { start: number; end: number }[] = [];

  constructor(
    name: string,
    readonly bytes: Uint8Array,
  ) {
    super(name, bytes.length);
  }

  protected override fetchRange(start: number, end: number, signal: AbortSignal | undefined): Promise<Uint8Array> {
    signal?.throwIfAborted();
    this.reads.push({ start, end });
    return Promise.resolve(this.bytes.slice(start, end));
  }
}

export function memoryFiles(
  content: Record<string, Uint8Array | string>,
): ModelFiles & { opened: Map<string, MemoryFile> } {
  const opened = new Map<string, MemoryFile>();
  for (const [name, value] of Object.entries(content)) {
    opened.set(name, new MemoryFile(name, typeof value === 'string' ? new TextEncoder().encode(value) : value));
  }
  return {
    description: 'memory',
    opened,
    open: (name): Promise<ModelFile | undefined> => Promise.resolve(opened.get(name)),
    notes: () => [],
    close: () => Promise.resolve(),
  };
}

export interface TensorSpec {
  dtype: string;
  shape: readonly number[];
  bytes: Uint8Array;
}

/** A safetensors file with these tensors in this order. `header` may change the JSON before it is written. */
export function safetensors(
  tensors: Record<string, TensorSpec>,
  metadata?: Record<string, string>,
  header?: (json: Record<string, unknown>) => unknown,
): Uint8Array {
  const json: Record<string, unknown> = metadata ? { __metadata__: metadata } : {};
  let offset = 0;
  for (const [name, { dtype, shape, bytes }] of Object.entries(tensors)) {
    json[name] = { dtype, shape, data_offsets: [offset, offset + bytes.length] };
    offset += bytes.length;
  }
  const text = JSON.stringify(header ? header(json) : json);
  return joined(
    text,
    Object.values(tensors).map(({ bytes }) => bytes),
  );
}

/** A file with this header text before these bytes. */
export function joined(headerText: string, data: readonly Uint8Array[]): Uint8Array {
  const header = new TextEncoder().encode(headerText);
  const length = data.reduce((sum, bytes) => sum + bytes.length, 0);
  const file = new Uint8Array(8 + header.length + length);
  new DataView(file.buffer).setBigUint64(0, BigInt(header.length), true);
  file.set(header, 8);
  let at = 8 + header.length;
  for (const bytes of data) {
    file.set(bytes, at);
    at += bytes.length;
  }
  return file;
}

export function f32Bytes(values: ArrayLike<number>): Uint8Array {
  return new Uint8Array(Float32Array.from(values).buffer);
}

/** mulberry32: a seeded source of numbers in [0, 1). */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
