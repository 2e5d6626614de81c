// A large file while it is not whole, with what an interrupted run needs to go on beside it: NAME.part and NAME.part.state.

import {
  closeSync,
  existsSync,
  openSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';

export class PartFile {
  readonly #part: string;
  readonly #state: string;
  #handle: number | undefined;

  constructor(private readonly target: string) {
    this.#part = `${target}.part`;
    this.#state = `${target}.part.state`;
  }

  /** What an interrupted run needs to go on; nothing without its file. */
  readState(): Uint8Array | undefined {
    return existsSync(this.#part) && existsSync(this.#state) ? readFileSync(this.#state) : undefined;
  }

  /** Whole or not at all: an interruption may come now. */
  writeState(state: Uint8Array): void {
    writeFileSync(`${this.#state}.new`, state);
    renameSync(`${this.#state}.new`, this.#state);
  }

  /** How many bytes are there from a run with the same header; or 0 and why it begins anew, where one was interrupted. */
  begin(header: Uint8Array, why: string | undefined): { done: number; anew: string | undefined } {
    let done = 0;
    let anew: string | undefined;
    if (existsSync(this.#part) && statSync(this.#part).size > 0) {
      const there = Buffer.alloc(header.length);
      const handle = openSync(this.#part, 'r');
      const read = readSync(handle, there, 0, header.length, 0);
      closeSync(handle);
      anew =
        why ?? (read === header.length && there.equals(header) ? undefined : 'its tensors or their formats differ');
      if (anew === undefined) done = statSync(this.#part).size;
    }
    this.#handle = openSync(this.#part, done > 0 ? 'r+' : 'w');
    return { done, anew };
  }

  write(start: number, bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length;) at += writeSync(this.#handle!, bytes, at, bytes.length - at, start + at);
  }

  finish(totalBytes: number): void {
    this.close();
    truncateSync(this.#part, totalBytes);
    renameSync(this.#part, this.target);
    rmSync(this.#state, { force: true });
  }

  close(): void {
    if (this.#handle !== undefined) closeSync(this.#handle);
    this.#handle = undefined;
  }
}
