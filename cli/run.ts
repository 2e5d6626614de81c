// Chooses the command and turns what it throws into words and an exit code: 1 for a failure, 2 for a mistake in the command
// line, 3 for a limit that `validate` found exceeded, 130 for Ctrl-C.

import { readFileSync } from 'node:fs';
import { isAbortError, quantize, WpError } from '../runtime/index.ts';
import { chat, chatHelp, type LoadModel } from './chat.ts';
import { plan, planHelp } from './plan.ts';
import { quantizeCommand, quantizeHelp, type Quantize } from './quantize.ts';
import { suggest } from './suggest.ts';
import type { Terminal } from './terminal.ts';
import { UsageError } from './usage-error.ts';
import { validate, validateHelp } from './validate.ts';

type Command = (
  args: readonly string[],
  terminal: Terminal,
  load: LoadModel,
  quantizeModel: Quantize,
) => Promise<number>;

const commands: Readonly<Record<string, { run: Command; help: string; description: string }>> = {
  chat: { run: chat, help: chatHelp, description: 'talk with a model in this terminal' },
  plan: { run: plan, help: planHelp, description: 'print how a model runs on this machine, and why' },
  quantize: {
    run: (args, terminal, _load, quantizeModel) => quantizeCommand(args, terminal, quantizeModel),
    help: quantizeHelp,
    description: 'write a model in fewer bits, as GGUF or safetensors',
  },
  validate: { run: validate, help: validateHelp, description: 'measure what fewer bits cost, beside a reference' },
};

const help = `Usage: wp-models <command> [options]

Runs machine-learning models on this machine.

Commands:
${Object.entries(commands)
  .map(([name, { description }]) => `  ${name.padEnd(10)}${description}`)
  .join('\n')}

  --help     print this help, or a command's after its name
  --version  print the version
`;

/** package.json is one folder up from the sources (cli/) and from the bundle (dist/) alike. */
function version(): string {
  const file = readFileSync(new URL('../package.json', import.meta.url), 'utf8');
  return (JSON.parse(file) as { version: string }).version;
}

/** @returns the exit code */
export async function run(
  args: readonly string[],
  terminal: Terminal,
  load: LoadModel,
  quantizeModel: Quantize = quantize,
): Promise<number> {
  try {
    return await dispatch(args, terminal, load, quantizeModel);
  } catch (thrown) {
    terminal.status('');
    if (isAbortError(thrown)) {
      terminal.note('Stopped.\n');
      return 130;
    }
    if (thrown instanceof UsageError) {
      const command = thrown.command ? `${thrown.command} ` : '';
      terminal.note(`${thrown.message}\nSee: wp-models ${command}--help\n`);
      return 2;
    }
    const error = WpError.from(thrown);
    terminal.note(`${error.code}: ${error.message}\n${error.hint ? `${error.hint}\n` : ''}`);
    // A defect needs its stack to be found; a caller's mistake does not.
    if (error.code === 'internal') terminal.note(`${stackOf(thrown)}\n`);
    return 1;
  }
}

function stackOf(thrown: unknown): string {
  return thrown instanceof Error ? (thrown.stack ?? '') : '';
}

async function dispatch(
  args: readonly string[],
  terminal: Terminal,
  load: LoadModel,
  quantizeModel: Quantize,
): Promise<number> {
  const [name, ...rest] = args;
  if (name === undefined) {
    terminal.note(help);
    return 2;
  }
  if (name === '--version' || name === '-v') {
    terminal.write(`${version()}\n`);
    return 0;
  }
  if (name === '--help' || name === '-h' || name === 'help') {
    const topic = rest[0] === undefined ? undefined : find(rest[0]);
    terminal.write(topic ? topic.help : help);
    return 0;
  }
  return find(name).run(rest, terminal, load, quantizeModel);
}

function find(name: string): (typeof commands)[string] {
  const command = Object.hasOwn(commands, name) ? commands[name] : undefined;
  if (command) return command;
  const near = suggest(name, Object.keys(commands));
  const kind = name.startsWith('-') ? 'option' : 'command';
  throw new UsageError(`Unknown ${kind} "${name}".${near ? ` Did you mean "${near}"?` : ''}`);
}
