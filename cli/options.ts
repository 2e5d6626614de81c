// The options of the commands as data: one table gives the parser, the checks and the help. Numbers are checked here for
// being numbers; what they may be is the runtime's to say.

import { parseArgs, type ParseArgsConfig } from 'node:util';
import { suggest } from './suggest.ts';
import { UsageError } from './usage-error.ts';

export interface OptionDefinition {
  kind: 'text' | 'texts' | 'number' | 'integer' | 'flag';
  short?: string;
  /** In the help, after the name: `--seed <integer>`. */
  value?: string;
  /** Allowed words, where they are few. */
  choices?: readonly string[];
  description: string;
}

export type OptionTable = Readonly<Record<string, OptionDefinition>>;

type OptionValue<Definition extends OptionDefinition> = Definition['kind'] extends 'flag'
  ? boolean
  : Definition['kind'] extends 'number' | 'integer'
    ? number
    : Definition['kind'] extends 'texts'
      ? string[]
      : string;

export type OptionValues<Table extends OptionTable> = { -readonly [Name in keyof Table]?: OptionValue<Table[Name]> };

/** What both commands need to load a model. */
export const modelOptions = {
  model: {
    kind: 'text',
    short: 'm',
    value: '<source>',
    description: 'Hugging Face id, URL, folder or embedded model (default wp:fable-25m)',
  },
  precision: {
    kind: 'text',
    value: '<name>',
    choices: ['auto', '2bit', '3bit', '4bit', '8bit', 'f16'],
    description: 'bits a weight on the device: auto, 2bit, 3bit, 4bit, 8bit or f16 (default auto)',
  },
  context: { kind: 'integer', value: '<tokens>', description: 'tokens of context to make room for' },
  threads: { kind: 'integer', value: '<count>', description: 'threads (default: all cores)' },
  json: { kind: 'flag', description: 'print one JSON object instead of text' },
  help: { kind: 'flag', short: 'h', description: 'print this help' },
} as const satisfies OptionTable;

/**
 * Reads a command's arguments.
 * @param operands how many words besides options the command takes at most
 * @throws UsageError for an unknown option, a missing value or one that is not a number
 */
export function parseOptions<Table extends OptionTable>(
  command: string,
  args: readonly string[],
  table: Table,
  operands = 0,
): { values: OptionValues<Table>; operands: string[] } {
  const options: NonNullable<ParseArgsConfig['options']> = {};
  for (const [name, { kind, short }] of Object.entries(table)) {
    const type = kind === 'flag' ? ('boolean' as const) : ('string' as const);
    options[name] = { type, multiple: kind === 'texts', ...(short ? { short } : {}) };
  }
  refuseUnknown(command, args, table);
  const { values, positionals } = parseStrictly(command, args, options);
  const extra = positionals[operands];
  if (extra !== undefined) throw new UsageError(`Unexpected argument "${extra}".`, command);
  const checked: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(values)) checked[name] = check(command, name, value, table[name]!);
  return { values: checked as OptionValues<Table>, operands: positionals };
}

function parseStrictly(command: string, args: readonly string[], options: NonNullable<ParseArgsConfig['options']>) {
  try {
    return parseArgs({ args: joinNegativeNumbers(args), options, allowPositionals: true, strict: true });
  } catch (thrown) {
    const message = thrown instanceof Error ? thrown.message : String(thrown);
    throw new UsageError(`${message.split('. ')[0]!.replace(/\.$/, '')}.`, command);
  }
}

/** `--seed -1` would read as an option without a value followed by an option `-1`. */
function joinNegativeNumbers(args: readonly string[]): string[] {
  const joined: string[] = [];
  for (const arg of args) {
    const previous = joined[joined.length - 1];
    if (/^-\d/.test(arg) && previous?.startsWith('--') && !previous.includes('=')) {
      joined[joined.length - 1] = `${previous}=${arg}`;
    } else joined.push(arg);
  }
  return joined;
}

/** parseArgs refuses unknown options too, but cannot say which one was meant. */
function refuseUnknown(command: string, args: readonly string[], table: OptionTable): void {
  for (const arg of args) {
    if (arg === '--') return;
    const name = /^--([^=]+)/.exec(arg)?.[1];
    if (name === undefined || name in table) continue;
    const near = suggest(name, Object.keys(table));
    throw new UsageError(`Unknown option --${name}.${near ? ` Did you mean --${near}?` : ''}`, command);
  }
}

function check(command: string, name: string, value: unknown, { kind, choices }: OptionDefinition): unknown {
  if (choices && !choices.includes(String(value))) {
    throw new UsageError(`--${name} is "${String(value)}"; allowed are ${choices.join(', ')}.`, command);
  }
  if (kind !== 'number' && kind !== 'integer') return value;
  const text = String(value).trim();
  const number = Number(text);
  if (text === '' || !Number.isFinite(number) || (kind === 'integer' && !Number.isInteger(number))) {
    throw new UsageError(
      `--${name} is "${String(value)}"; ${kind === 'integer' ? 'an integer' : 'a number'} is needed.`,
      command,
    );
  }
  return number;
}

/** The lines of a help text that describe a table of options. */
export function describeOptions(table: OptionTable): string {
  const rows = Object.entries(table).map(([name, { short, value, description }]) => {
    const names = `${short ? `-${short}, ` : '    '}--${name}${value ? ` ${value}` : ''}`;
    return { names, description };
  });
  const width = Math.max(...rows.map(({ names }) => names.length)) + 2;
  return rows.map(({ names, description }) => `  ${names.padEnd(width)}${description}`).join('\n');
}
