// Texts and their vectors: in memory for the search, in IndexedDB for the next visit. The search is exact (openVectorSearch).

import { createStore, get, set, type UseStore } from 'idb-keyval';
import { openVectorSearch, type SearchHit, type VectorSearch } from '../../runtime/index.ts';

export type EmbedTexts = (texts: readonly string[], signal: AbortSignal) => Promise<readonly Float32Array[]>;

export interface IndexPlace {
  /** Of the index in the store: one element of one page. */
  name: string;
  /** Everything that decides what vector a text gets. Under another key nothing that is stored counts. */
  refreshKey: string;
}

/** What the store keeps under a name. */
interface StoredIndex {
  refreshKey: string;
  dimensions: number;
  texts: readonly string[];
  /** f32 [texts, dimensions]. */
  vectors: Float32Array;
}

/** A store keeps this many vectors of an index: 150 MB of them at 384 numbers each. */
const MAX_STORED = 100_000;

let store: UseStore | undefined;

export class VectorIndex {
  #known = new Map<string, Float32Array>();
  #place: IndexPlace | undefined;
  #texts: readonly string[] = [];
  /** Vectors of the texts that have one, and which texts these are. */
  #rows = new Float32Array(0);
  #textOfRow: readonly number[] = [];
  #search: Promise<VectorSearch> | undefined;
  #storeFailure: string | undefined;

  /** Texts that have a vector. */
  get size(): number {
    return this.#textOfRow.length;
  }

  /**
   * Gives each text its vector: from the last call, from the store, or by `embed`. A text that has changed is a new one; under
   * another refresh key all are. Returns how many had to be embedded. Where IndexedDB is denied (a private window, say),
   * `storeFailure` says so, and the search works all the same.
   */
  async update(texts: readonly string[], place: IndexPlace, embed: EmbedTexts, signal: AbortSignal): Promise<number> {
    const { name, refreshKey } = place;
    if (this.#place?.name !== name || this.#place.refreshKey !== refreshKey) {
      const stored = await this.#stored(async () => get<unknown>(name, openStore()));
      signal.throwIfAborted();
      this.#known = isIndex(stored) && stored.refreshKey === refreshKey ? vectorsOf(stored) : new Map();
      this.#place = place;
      this.#texts = [];
    }
    const missing = [...new Set(texts)].filter((text) => !this.#known.has(text) && text.trim() !== '');
    if (missing.length > 0) {
      const vectors = await embed(missing, signal);
      signal.throwIfAborted();
      missing.forEach((text, i) => this.#known.set(text, vectors[i]!));
    }
    const isSame = texts.length === this.#texts.length && texts.every((text, i) => text === this.#texts[i]);
    if (missing.length > 0 || !isSame) this.#arrange(texts);
    if (missing.length > 0) await this.#keep(place);
    return missing.length;
  }

  /** Why vectors are not kept for the next visit; undefined while they are. */
  get storeFailure(): string | undefined {
    return this.#storeFailure;
  }

  /** The best of all, by descending score; `index` is that of the text in the list. Vectors are of length 1. */
  async search(query: Float32Array, count: number, threshold: number, signal: AbortSignal): Promise<SearchHit[]> {
    if (this.size === 0 || count < 1) return [];
    this.#search ??= this.#open(query.length);
    const textOfRow = this.#textOfRow;
    const hits = await (await this.#search).search(query, { count, threshold, signal });
    return hits.map(({ index, score }) => ({ index: textOfRow[index]!, score }));
  }

  /** One that failed is not kept: the next search tries again. */
  #open(dimensions: number): Promise<VectorSearch> {
    const opened = openVectorSearch(this.#rows, { dimensions });
    opened.catch(() => {
      if (this.#search === opened) this.#search = undefined;
    });
    return opened;
  }

  /** Frees what the search holds beside the vectors; the next search makes it anew. */
  release(): void {
    const search = this.#search;
    this.#search = undefined;
    // A search that did not open said so to whoever searched.
    search?.then((opened) => opened.dispose()).catch(() => undefined);
  }

  /** The texts' vectors one after another, in place of those of the texts before. */
  #arrange(texts: readonly string[]): void {
    this.release();
    this.#texts = [...texts];
    this.#textOfRow = texts.flatMap((text, i) => (this.#known.has(text) ? [i] : []));
    const dimensions = this.#known.values().next().value?.length ?? 0;
    this.#rows = new Float32Array(this.#textOfRow.length * dimensions);
    const isUsed = new Set<string>();
    this.#textOfRow.forEach((index, row) => {
      const text = texts[index]!;
      const place = this.#rows.subarray(row * dimensions, (row + 1) * dimensions);
      place.set(this.#known.get(text)!);
      // In the order of use: what is no longer shown stands first. A view keeps no second copy of a vector in memory.
      this.#known.delete(text);
      this.#known.set(text, place);
      isUsed.add(text);
    });
    for (const [text, vector] of this.#known) if (!isUsed.has(text)) this.#known.set(text, vector.slice());
  }

  /** What is shown, and as much again of what was: a page that filters its items has them all the next time. */
  async #keep({ name, refreshKey }: IndexPlace): Promise<void> {
    const kept = [...this.#known].slice(-Math.min(MAX_STORED, 2 * this.size));
    const dimensions = kept[0]?.[1].length ?? 0;
    const vectors = new Float32Array(kept.length * dimensions);
    kept.forEach(([, vector], i) => vectors.set(vector, i * dimensions));
    const index: StoredIndex = { refreshKey, dimensions, texts: kept.map(([text]) => text), vectors };
    await this.#stored(() => set(name, index, openStore()));
  }

  async #stored<T>(work: () => Promise<T>): Promise<T | undefined> {
    try {
      return await work();
    } catch (thrown) {
      this.#storeFailure = thrown instanceof Error ? thrown.message : String(thrown);
      return undefined;
    }
  }
}

/** What an earlier version has stored, or another program, is none. */
function isIndex(stored: unknown): stored is StoredIndex {
  const { refreshKey, dimensions, texts, vectors } = (stored ?? {}) as Partial<Record<keyof StoredIndex, unknown>>;
  return (
    typeof refreshKey === 'string' &&
    typeof dimensions === 'number' &&
    Array.isArray(texts) &&
    vectors instanceof Float32Array &&
    vectors.length === texts.length * dimensions
  );
}

function vectorsOf({ texts, vectors, dimensions }: StoredIndex): Map<string, Float32Array> {
  return new Map(texts.map((text, i) => [text, vectors.subarray(i * dimensions, (i + 1) * dimensions)]));
}

function openStore(): UseStore {
  store ??= createStore('wp-embed', 'vectors');
  return store;
}
