// What a command sees of the terminal, as an interface: tests give it strings, main.ts gives it the process.

import type { LoadProgress } from '../runtime/index.ts';

export interface Terminal {
  /** Whether a person types: a command then may converse, colour and show progress. */
  readonly isInteractive: boolean;
  /** Answers and results. */
  write(text: string): void;
  /** Progress, notices and errors: beside the result, never in it. */
  note(text: string): void;
  /** One line that replaces itself; '' clears it. Shown only where a person can see it. */
  status(text: string): void;
  /** The next line that a person types; undefined when they ended the input or asked to leave. */
  readLine(prompt: string): Promise<string | undefined>;
  /** Everything that is piped in. */
  readAll(): Promise<string>;
  /** Called at each Ctrl-C while `action` runs; without one, Ctrl-C ends the program. */
  onInterrupt(action: (() => void) | undefined): void;
  close(): void;
}

/** `12.3 MB`; powers of ten, as browsers and disks count. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'KB', 'MB', 'GB', 'TB'];
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[unit]!}`;
}

/** One line about a load that is under way. */
export function formatProgress(progress: LoadProgress): string {
  if (progress.phase === 'ready') return '';
  if (progress.phase === 'resolving') return 'Looking the model up …';
  if (progress.phase === 'compiling') return 'Preparing the model …';
  const { loadedBytes, totalBytes, bytesPerSecond, secondsLeft } = progress;
  const parts = [`Loading ${progress.file ?? 'the model'}: ${formatBytes(loadedBytes)}`];
  if (totalBytes) parts.push(`of ${formatBytes(totalBytes)} (${Math.floor((100 * loadedBytes) / totalBytes)} %)`);
  if (bytesPerSecond) parts.push(`at ${formatBytes(bytesPerSecond)}/s`);
  if (secondsLeft !== undefined) parts.push(`${Math.ceil(secondsLeft)} s left`);
  return parts.join(' ');
}
