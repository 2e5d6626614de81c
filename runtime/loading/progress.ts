// Bytes that arrive, file by file, summed up into the LoadProgress that people see: rate over the last seconds, time left,
// what came from the store. At most ten reports a second.

import type { LoadProgress } from '../types.ts';

const windowMs = 3000;
const intervalMs = 100;

export interface ProgressOptions {
  report(progress: LoadProgress): void;
  /** Milliseconds; default performance.now. For tests. */
  now?: (() => number) | undefined;
}

interface FileProgress {
  loadedBytes: number;
  cachedBytes: number;
  totalBytes: number;
}

export class LoadProgressTracker {
  private readonly files = new Map<string, FileProgress>();
  private readonly now: () => number;
  private readonly report: (progress: LoadProgress) => void;
  private phase: LoadProgress['phase'] = 'resolving';
  private current: string | undefined;
  private lastReportMs = -Infinity;
  /** Arrivals from the network within the window, oldest first. */
  private arrivals: { atMs: number; bytes: number }[] = [];
  private firstArrivalMs: number | undefined;
  private isTotalKnown = false;

  constructor(options: ProgressOptions) {
    this.report = options.report;
    this.now = options.now ?? (() => performance.now());
  }

  /** Every phase is reported at once, whatever the interval. */
  enter(phase: LoadProgress['phase']): void {
    this.phase = phase;
    this.emit(true);
  }

  /** A file that will be loaded, and how much of it. Again for the same name: corrects its size. */
  expect(name: string, totalBytes: number): void {
    this.file(name).totalBytes = totalBytes;
    this.emit(false);
  }

  /** From now on the sum of the expected files is all that there is to load, and `totalBytes` is told. */
  totalIsKnown(): void {
    this.isTotalKnown = true;
    this.emit(false);
  }

  downloaded(name: string, bytes: number): void {
    const atMs = this.now();
    this.firstArrivalMs ??= atMs;
    const last = this.arrivals[this.arrivals.length - 1];
    // One bucket a tenth of a second keeps the list short at any speed.
    if (last && atMs - last.atMs < intervalMs) last.bytes += bytes;
    else this.arrivals.push({ atMs, bytes });
    this.file(name).loadedBytes += bytes;
    this.current = name;
    this.emit(false);
  }

  cached(name: string, bytes: number): void {
    const file = this.file(name);
    file.loadedBytes += bytes;
    file.cachedBytes += bytes;
    this.current = name;
    this.emit(false);
  }

  snapshot(): LoadProgress {
    let loadedBytes = 0;
    let cachedBytes = 0;
    let totalBytes = 0;
    for (const file of this.files.values()) {
      // Whole blocks are fetched, so a little more than was expected can arrive.
      loadedBytes += Math.min(file.loadedBytes, file.totalBytes);
      cachedBytes += Math.min(file.cachedBytes, file.totalBytes);
      totalBytes += file.totalBytes;
    }
    const bytesPerSecond = this.rate();
    const left = totalBytes - loadedBytes;
    const canTell = this.isTotalKnown && bytesPerSecond !== undefined && bytesPerSecond > 0;
    return {
      phase: this.phase,
      loadedBytes,
      totalBytes: this.isTotalKnown ? totalBytes : undefined,
      bytesPerSecond,
      secondsLeft: this.isTotalKnown && left === 0 ? 0 : canTell ? left / bytesPerSecond : undefined,
      file: this.phase === 'downloading' || this.phase === 'resolving' ? this.current : undefined,
      cachedBytes,
    };
  }

  /** Undefined until half a second of the download can be judged. */
  private rate(): number | undefined {
    if (this.firstArrivalMs === undefined) return undefined;
    const nowMs = this.now();
    const startMs = Math.max(this.firstArrivalMs, nowMs - windowMs);
    while (this.arrivals.length > 0 && this.arrivals[0]!.atMs < startMs) this.arrivals.shift();
    const spanMs = nowMs - startMs;
    if (spanMs < 500) return undefined;
    const bytes = this.arrivals.reduce((sum, arrival) => sum + arrival.bytes, 0);
    return (bytes * 1000) / spanMs;
  }

  private file(name: string): FileProgress {
    let file = this.files.get(name);
    if (!file) this.files.set(name, (file = { loadedBytes: 0, cachedBytes: 0, totalBytes: 0 }));
    return file;
  }

  private emit(always: boolean): void {
    const nowMs = this.now();
    if (!always && nowMs - this.lastReportMs < intervalMs) return;
    this.lastReportMs = nowMs;
    this.report(this.snapshot());
  }
}
