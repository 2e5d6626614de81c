// Texts and their vectors, in memory for the search and in IndexedDB for the next visit. Exact: every vector is compared.

import { createStore, get, set, type UseStore } from 'idb-keyval';

export interface Hit {
  /** Of the text in the list that was indexed. */
  index: number;
  /** The cosine, −1 to 1. */
  score: number;
}

export type EmbedTexts = (texts: readonly string[], signal: AbortSignal) => Promise<readonly Float32Array[]>;

/** A store keeps this many vectors of one model: 150 MB of them at 384 numbers each. */
const MAX_STORED = 100_000;

let store: UseStore | undefined;

export class VectorIndex {
  #known = new Map<string, Float32Array>();
  #rows: readonly (Float32Array | undefined)[] = [];
  #key: string | undefined;
  #storeFailure: string | undefined;

  /** Texts that have a vector. */
  get size(): number {
    return this.#rows.filter(Boolean).length;
  }

  /**
   * Gives each text its vector: from the last call, from the store under `key`, or by `embed`. Returns how many had to be
   * embedded. Where IndexedDB is denied (a private window, say), `storeFailure` says so, and the search works all the same.
   */
  async update(texts: readonly string[], key: string, embed: EmbedTexts, signal: AbortSignal): Promise<number> {
    if (this.#key !== key) {
      this.#rows = [];
      this.#known = (await this.#stored(async () => get<Map<string, Float32Array>>(key, openStore()))) ?? new Map();
      signal.throwIfAborted();
      this.#key = key;
    }
    const missing = [...new Set(texts)].filter((text) => !this.#known.has(text) && text.trim() !== '');
    if (missing.length > 0) {
      const vectors = await embed(missing, signal);
      signal.throwIfAborted();
      // A copy: a view would keep the vectors of all the others in memory, and in the store.
      missing.forEach((text, i) => this.#known.set(text, vectors[i]!.slice()));
      await this.#stored(() => set(key, new Map([...this.#known].slice(-MAX_STORED)), openStore()));
    }
    this.#rows = texts.map((text) => this.#known.get(text));
    return missing.length;
  }

  /** Why vectors are not kept for the next visit; undefined while they are. */
  get storeFailure(): string | undefined {
    return this.#storeFailure;
  }

  /** The best of all, by descending score; vectors are of length 1. */
  search(query: Float32Array, count: number, threshold: number): Hit[] {
    const hits: Hit[] = [];
    this.#rows.forEach((row, index) => {
      if (row?.length !== query.length) return;
      let score = 0;
      for (let i = 0; i < query.length; i++) score += row[i]! * query[i]!;
      if (score >= threshold) hits.push({ index, score });
    });
    return hits.sort((a, b) => b.score - a.score).slice(0, count);
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

function openStore(): UseStore {
  store ??= createStore('wp-embed', 'vectors');
  return store;
}
