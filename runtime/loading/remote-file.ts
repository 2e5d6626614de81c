// A file on a server, below the store: it knows its size and its version, and fetches ranges. range-download.ts and
// stream-download.ts implement it for servers with and without byte ranges; http-probe.ts finds out which one it is.

/** Bytes that have arrived, as a view of the array that will be returned: read it before the next await. */
export type ByteSink = (position: number, bytes: Uint8Array) => void;

export interface RemoteFile {
  readonly name: string;
  readonly url: string;
  /** In bytes. */
  readonly size: number;
  /** Changes when the file's content does: its ETag, else its date, else ''. */
  readonly validator: string;
  /** Bytes [start, end) of the file, which lie inside it. `sink` hears of each piece once, in no particular order. */
  fetch(start: number, end: number, signal: AbortSignal | undefined, sink?: ByteSink): Promise<Uint8Array>;
  /** Ends what is still running. */
  close(): void;
}

/** The first bytes came with the probe and need no second request. */
export interface Probed {
  name: string;
  url: string;
  size: number;
  validator: string;
  first: Uint8Array;
}
