// Which vectors are nearest to one: exactly as a loop over all of them says, and faster. Codes of a quarter of the bytes are
// scanned (scan.ts), by WebAssembly or the GPU; the rows that may be among the best are then compared number by number, in
// double precision. Each way of scanning is a chunk that only its users fetch.

import { throwIfAborted, WpError } from '../errors.ts';
import { BLOCK_ROWS, codeQuery, quantizeRows, strideOf } from './quantized-rows.ts';
import { turns, type Scan, type ScanShape } from './scan.ts';

export type SearchBackend = 'webgpu' | 'wasm' | 'plain';

export interface VectorSearchOptions {
  /** Numbers of a vector. */
  dimensions: number;
  /** Default `auto`: WebAssembly, and the GPU (where there is a real one) from about 20 million numbers on. `plain` is a loop. */
  backend?: SearchBackend | 'auto' | undefined;
  signal?: AbortSignal | undefined;
}

export interface SearchOptions {
  /** The most hits. Default 10. */
  count?: number | undefined;
  /** The least score of a hit. Default: none. */
  threshold?: number | undefined;
  signal?: AbortSignal | undefined;
}

export interface SearchHit {
  /** Of the vector. */
  index: number;
  /** The dot product: of vectors of length 1, the cosine. */
  score: number;
}

export interface VectorSearch {
  readonly size: number;
  readonly dimensions: number;
  /** What scans, and why not something faster. */
  readonly backend: SearchBackend;
  readonly reason: string;
  /**
   * The nearest vectors by descending dot product, of equal ones the first. Throws `invalid-argument` for a query of other
   * dimensions, `disposed` after `dispose`; rejects with an AbortError when `signal` aborts.
   */
  search(query: Float32Array, options?: SearchOptions): Promise<SearchHit[]>;
  /** Frees the codes. */
  dispose(): void;
}

/**
 * From here on the way to the GPU and back costs less than it saves. 100,000 vectors of 384 numbers, 38 million, took 1.3 ms on a
 * large GPU, where WebAssembly takes some 10; smaller GPUs need a few milliseconds for the way alone.
 */
const GPU_FROM_NUMBERS = 20e6;

/**
 * Makes vectors searchable: `vectors` f32 [size, dimensions], such as `embeddings.data`. They are kept, not copied: leave them as
 * they are. A quarter of their bytes is taken beside them.
 */
export async function openVectorSearch(vectors: Float32Array, options: VectorSearchOptions): Promise<VectorSearch> {
  const { dimensions, backend = 'auto', signal } = options;
  if (!Number.isInteger(dimensions) || dimensions < 1 || vectors.length % dimensions !== 0) {
    throw new WpError(
      'invalid-argument',
      `${vectors.length} numbers are no vectors of ${dimensions} dimensions.`,
      'Pass all vectors one after another, and how many numbers each has.',
      { actual: dimensions, numbers: vectors.length },
    );
  }
  const search = new ExactSearch(vectors, dimensions, backend);
  await search.open(signal);
  return search;
}

class ExactSearch implements VectorSearch {
  readonly size: number;
  backend: SearchBackend = 'plain';
  reason = '';
  #scan: Scan | undefined;
  #isDisposed = false;
  /** A scan has room for one query. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(
    private readonly vectors: Float32Array,
    readonly dimensions: number,
    private readonly wish: SearchBackend | 'auto',
  ) {
    this.size = vectors.length / dimensions;
  }

  /** Also once more, when the GPU has gone: then without one, unless it was asked for by name. */
  async open(signal: AbortSignal | undefined): Promise<void> {
    throwIfAborted(signal);
    const shape = { rows: this.size, stride: strideOf(this.dimensions) };
    const { scan, backend, reason } = await openScan(shape, this.wish, this.#scan?.lost ?? '');
    try {
      await this.#fill(scan, signal);
    } catch (thrown) {
      scan?.dispose();
      throw thrown;
    }
    this.#scan?.dispose();
    this.#scan = scan;
    this.backend = backend;
    this.reason = reason;
  }

  async #fill(scan: Scan | undefined, signal: AbortSignal | undefined): Promise<void> {
    const { vectors, dimensions, size } = this;
    const stride = strideOf(dimensions);
    const block = { codes: new Int8Array(BLOCK_ROWS * stride), scales: new Float32Array(BLOCK_ROWS * 2) };
    const turn = turns(signal);
    for (let first = 0; first < size; first += BLOCK_ROWS) {
      await turn();
      const next = Math.min(first + BLOCK_ROWS, size);
      quantizeRows(vectors, dimensions, first, next, block);
      scan?.write(block, first, next - first);
    }
  }

  search(query: Float32Array, options: SearchOptions = {}): Promise<SearchHit[]> {
    const answer = this.#last.then(() => this.#search(query, options));
    this.#last = answer.catch(() => undefined);
    return answer;
  }

  async #search(
    query: Float32Array,
    { count = 10, threshold = -Infinity, signal }: SearchOptions,
  ): Promise<SearchHit[]> {
    throwIfAborted(signal);
    if (this.#isDisposed) throw new WpError('disposed', 'This search has been disposed.', 'Open another one.');
    if (!(count >= 1) || Number.isNaN(threshold)) {
      throw new WpError(
        'invalid-argument',
        `A search for ${count} hits of at least ${threshold}.`,
        'Ask for 1 or more.',
        {
          actual: { count, threshold },
        },
      );
    }
    const coded = codeQuery(query, this.dimensions);
    if (this.size === 0) return [];
    const most = Math.min(Math.floor(count), this.size);
    if (this.#scan?.lost) await this.open(signal);
    const rows = await this.#scan?.candidates(coded, most, threshold, signal);
    const hits: SearchHit[] = [];
    const turn = turns(signal);
    const candidates = rows?.length ?? this.size;
    for (let first = 0; first < candidates; first += BLOCK_ROWS) {
      await turn();
      for (let i = first; i < Math.min(first + BLOCK_ROWS, candidates); i++) {
        const index = rows ? rows[i]! : i;
        const score = this.#score(query, index);
        if (score >= threshold) hits.push({ index, score });
      }
    }
    return hits.sort((a, b) => b.score - a.score || a.index - b.index).slice(0, most);
  }

  #score(query: Float32Array, index: number): number {
    const { vectors, dimensions } = this;
    const start = index * dimensions;
    let score = 0;
    for (let i = 0; i < dimensions; i++) score += vectors[start + i]! * query[i]!;
    return score;
  }

  dispose(): void {
    this.#isDisposed = true;
    this.#scan?.dispose();
    this.#scan = undefined;
  }
}

interface OpenedScan {
  scan: Scan | undefined;
  backend: SearchBackend;
  reason: string;
}

/** What was asked for by name must be there; `auto` takes the next and says why. */
async function openScan(shape: ScanShape, wish: SearchBackend | 'auto', withoutGpu: string): Promise<OpenedScan> {
  if (wish === 'plain') return { scan: undefined, backend: 'plain', reason: 'It was asked for.' };
  const reasons = withoutGpu ? [withoutGpu] : [];
  const tryOpen = async (open: () => Promise<Scan>): Promise<Scan | undefined> => {
    try {
      return await open();
    } catch (thrown) {
      const failure = WpError.from(thrown);
      if (wish !== 'auto' || failure.code !== 'backend-unavailable') throw failure;
      reasons.push(failure.message);
      return undefined;
    }
  };
  const numbers = shape.rows * shape.stride;
  const isLarge = numbers >= GPU_FROM_NUMBERS;
  if (wish === 'webgpu' || (wish === 'auto' && isLarge && !withoutGpu)) {
    const { openGpuScan } = await import('./gpu-scan.ts');
    const scan = await tryOpen(() => openGpuScan(shape, { allowsSoftware: wish === 'webgpu' }));
    if (scan) return { scan, backend: 'webgpu', reason: `${numbers} numbers are scanned.` };
  } else if (wish === 'auto' && !withoutGpu) {
    reasons.push(`The way to the GPU pays from ${GPU_FROM_NUMBERS} numbers on; here are ${numbers}.`);
  }
  const { openWasmScan } = await import('./wasm-scan.ts');
  const scan = await tryOpen(() => openWasmScan(shape));
  return { scan, backend: scan ? 'wasm' : 'plain', reason: reasons.join(' ') || 'It was asked for.' };
}
