// Numbers as people read them.

/** `12.1 MB`: decimal units, as download sizes are usually given. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let value = bytes;
  let unit = 0;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${formatNumber(value, value < 10 && unit > 0 ? 1 : value < 100 && unit > 1 ? 1 : 0)} ${units[unit]}`;
}

export function formatNumber(value: number, fractionDigits = 0): string {
  return value.toLocaleString(undefined, {
    minimumFractionDigits: fractionDigits,
    maximumFractionDigits: fractionDigits,
  });
}

/** `8 s`, `2 min`, `1 h 5 min`. */
export function formatDuration(seconds: number): string {
  if (seconds < 60) return `${Math.max(1, Math.round(seconds))} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** `31 tokens/s`, with a decimal where it matters. */
export function formatRate(tokensPerSecond: number): string {
  return `${formatNumber(tokensPerSecond, tokensPerSecond < 10 ? 1 : 0)} tokens/s`;
}

/** `20.7 M` parameters, `1.2 B`. */
export function formatCount(count: number): string {
  if (count >= 1e9) return `${formatNumber(count / 1e9, 1)} B`;
  if (count >= 1e6) return `${formatNumber(count / 1e6, count < 1e8 ? 1 : 0)} M`;
  if (count >= 1e3) return `${formatNumber(count / 1e3)} k`;
  return formatNumber(count);
}

/** A short name for a source: `fable-25m` of `wp:fable-25m`, the last part of an id or address. */
export function nameOfSource(source: unknown): string {
  if (Array.isArray(source)) return source[0] instanceof File ? source[0].name : 'files';
  const path = String(source ?? '')
    .replace(/^wp:/, '')
    .replace(/[?#].*$/, '')
    .replace(/\/+$/, '');
  return path.slice(path.lastIndexOf('/') + 1) || 'model';
}
