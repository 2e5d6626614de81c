// Stops a stream of text before the first stop string, however the text is cut into pieces, without ever showing a part
// of one: the longest end of the text that could still become a stop string is held back until more text decides it.

export class StopStrings {
  #held = '';
  #stopped = false;

  constructor(private readonly stops: readonly string[]) {}

  /** True once a stop string was met; from then on nothing passes. */
  get stopped(): boolean {
    return this.#stopped;
  }

  /** The text that may be shown now. */
  push(text: string): string {
    if (this.#stopped) return '';
    if (this.stops.length === 0) return text;
    const all = this.#held + text;
    // The one that completes first wins, so that the result does not depend on how the text was cut into pieces.
    let end = Infinity;
    let start = Infinity;
    for (const stop of this.stops) {
      const at = all.indexOf(stop);
      if (at < 0) continue;
      if (at + stop.length < end || (at + stop.length === end && at < start)) {
        start = at;
        end = at + stop.length;
      }
    }
    if (end !== Infinity) {
      this.#stopped = true;
      this.#held = '';
      return all.slice(0, start);
    }
    const keep = all.length - this.#undecided(all);
    this.#held = all.slice(keep);
    return all.slice(0, keep);
  }

  /** What was held back, now that no more text comes. */
  end(): string {
    const rest = this.#held;
    this.#held = '';
    return rest;
  }

  /** Length of the longest end of `text` that begins a stop string. */
  #undecided(text: string): number {
    let longest = 0;
    for (const stop of this.stops) {
      for (let length = Math.min(stop.length - 1, text.length); length > longest; length--) {
        if (text.endsWith(stop.slice(0, length))) longest = length;
      }
    }
    return longest;
  }
}
