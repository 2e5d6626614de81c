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

  /** Texts that have a vector. */
  get size(): number {
    return this.#rows.filter(Boolean).length;
  }

  /**
   * Gives each text its vector: from the last call, from the store under `key`, or by `embed`. Returns how many had to be
   * embedded. A browser without IndexedDB (a private window, say) only remembers less.
   */
  async update(texts: readonly string[], key: string, embed: EmbedTexts, signal: AbortSignal): Promise<number> {
    if (this.#key !== key) {
      this.#rows = [];
      this.#known = await readStored(key);
      signal.throwIfAborted();
      this.#key = key;
    }
    const missing = [...new Set(texts)].filter((text) => !this.#known.has(text) && text.trim() !== '');
    if (missing.length > 0) {
      const vectors = await embed(missing, signal);
      signal.throwIfAborted();
      // A copy: a view would keep the vectors of all the others in memory, and in the store.
      missing.forEach((text, i) => this.#known.set(text, vectors[i]!.slice()));
      await writeStored(key, this.#known);
    }
    this.#rows = texts.map((text) => this.#known.get(text));
    return missing.length;
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
}

async function readStored(key: string): Promise<Map<string, Float32Array>> {
  try {
    store ??= createStore('wp-embed', 'vectors');
    const stored = await get<unknown>(key, store);
    return stored instanceof Map ? (stored as Map<string, Float32Array>) : new Map<string, Float32Array>();
  } catch (thrown) {
    unstored(thrown);
    return new Map();
  }
}

async function writeStored(key: string, vectors: Map<string, Float32Array>): Promise<void> {
  try {
    if (store) await set(key, new Map([...vectors].slice(-MAX_STORED)), store);
  } catch (thrown) {
    unstored(thrown);
  }
}

function unstored(thrown: unknown): void {
  console.warn('<wp-embed>: vectors are not kept for the next visit:', thrown);
}
