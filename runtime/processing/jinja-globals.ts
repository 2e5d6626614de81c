// The names that every chat template may use, as transformers defines them. They are ours and not the interpreter's own,
// because its dates follow the browser's language (a template means English), its `range` has no limit, and its
// `raise_exception` cannot be told from a defect.

/** Python's strftime in the C locale, for the fields that templates use. */
export function formatDate(date: Date, format: string): string {
  return format.replace(/%([-a-zA-Z%])([a-zA-Z]?)/g, (whole, first: string, second: string) => {
    // %-d is %d without its leading zero.
    if (first === '-') return field(date, second)?.replace(/^0(?=.)/, '') ?? whole;
    const value = field(date, first);
    return value === undefined ? whole : value + second;
  });
}

function field(date: Date, letter: string): string | undefined {
  const two = (n: number): string => String(n).padStart(2, '0');
  const english = (options: Intl.DateTimeFormatOptions): string =>
    new Intl.DateTimeFormat('en-US', options).format(date);
  switch (letter) {
    case 'Y':
      return String(date.getFullYear());
    case 'y':
      return two(date.getFullYear() % 100);
    case 'm':
      return two(date.getMonth() + 1);
    case 'd':
      return two(date.getDate());
    case 'b':
      return english({ month: 'short' });
    case 'B':
      return english({ month: 'long' });
    case 'a':
      return english({ weekday: 'short' });
    case 'A':
      return english({ weekday: 'long' });
    case 'H':
      return two(date.getHours());
    case 'I':
      return two(date.getHours() % 12 || 12);
    case 'p':
      return date.getHours() < 12 ? 'AM' : 'PM';
    case 'M':
      return two(date.getMinutes());
    case 'S':
      return two(date.getSeconds());
    case '%':
      return '%';
    default:
      return undefined;
  }
}

/** The limit of Jinja's own sandbox. */
const MAX_RANGE = 100_000;

/** Python's range, as a list. */
export function range(start: number, stop?: number, step = 1): number[] {
  const [from, to] = stop === undefined ? [0, start] : [start, stop];
  const length = Math.max(0, Math.ceil((to - from) / step));
  if (!Number.isFinite(length) || length > MAX_RANGE)
    throw new Error(`range() of ${length} numbers; at most ${MAX_RANGE}`);
  return Array.from({ length }, (_, i) => from + i * step);
}
