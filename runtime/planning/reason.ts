// A plan says why. Reasons are sentences for people, so numbers in them are written for people too.

export interface Reason {
  topic: 'backend' | 'precision' | 'context' | 'memory' | 'threads' | 'prefill' | 'device';
  reason: string;
}

/** '1.2 GB', '340 MB', '12 kB': decimal units, as stores and browsers show them. */
export function describeBytes(bytes: number): string {
  const units: readonly [string, number][] = [
    ['GB', 1e9],
    ['MB', 1e6],
    ['kB', 1e3],
  ];
  const [unit, size] = units.find(([, least]) => bytes >= least) ?? ['bytes', 1];
  const count = bytes / size;
  const digits = size > 1 && count < 10 ? 1 : 0;
  return `${count.toFixed(digits)} ${unit}`;
}

/** '32,768'. Not by `toLocaleString`, whose first call takes 20 ms and more. */
export function describeCount(count: number): string {
  return String(count).replace(/\B(?=(\d{3})+$)/g, ',');
}
