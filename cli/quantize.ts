// `wp-models quantize`: a model in fewer bits, as one GGUF file or a folder of safetensors. What is written goes to a file that
// ends with .part until it is whole: an interrupted run goes on there when it is started again with the same options.

import { closeSync, existsSync, mkdirSync, openSync, readFileSync, writeSync } from 'node:fs';
import { dirname, join } from 'node:path';
import {
  WpError,
  type ModelSource,
  type QuantizationBits,
  type QuantizedModel,
  type QuantizeOptions,
  type QuantizePlan,
  type QuantizeProgress,
} from '../runtime/index.ts';
import { localSource } from './local-source.ts';
import { describeOptions, parseOptions, type OptionTable, type OptionValues } from './options.ts';
import { PartFile } from './part-file.ts';
import { formatBytes, type Terminal } from './terminal.ts';
import { UsageError } from './usage-error.ts';

export type Quantize = (source: ModelSource, options: QuantizeOptions) => Promise<QuantizedModel>;

const table = {
  output: {
    kind: 'text',
    short: 'o',
    value: '<path>',
    description: 'a file that ends with .gguf, or a folder for safetensors (default: <name>-<bits>bit.gguf)',
  },
  bits: { kind: 'integer', short: 'b', value: '<bits>', description: 'bits a weight: 2, 3, 4, 8 or 16 (default 4)' },
  mixed: { kind: 'flag', description: 'embedding, queries, keys, values and output keep 8 bits' },
  role: { kind: 'texts', value: '<role=bits>', description: 'bits of a role, with --mixed: embedding=8, ffn-out=4, …' },
  layer: { kind: 'texts', value: '<name=bits>', description: 'bits of tensors; * stands for anything' },
  scheme: {
    kind: 'text',
    value: '<name>',
    choices: ['symmetric', 'asymmetric'],
    description: 'symmetric or asymmetric',
  },
  'group-size': { kind: 'integer', value: '<count>', description: 'weights that share a scale: 16, 32, 64 or 128' },
  calibrate: { kind: 'text', value: '<file>', description: 'a text like those that the model will meet' },
  method: {
    kind: 'text',
    value: '<name>',
    choices: ['search', 'hqq', 'importance', 'gptq', 'gptq-layers'],
    description:
      'search, hqq; with --calibrate importance, gptq, gptq-layers (each layer on what those before it give: best for few bits) (default gptq with a text, else search)',
  },
  budget: {
    kind: 'text',
    value: '<size>',
    description:
      'with --calibrate: bytes of all matrices (9.5MB), for which bits are measured and chosen; or "device": they keep --bits, and precision "auto" chooses by what was measured, for the bytes of each device',
  },
  force: { kind: 'flag', description: 'write over what is there, and do not go on with an interrupted run' },
  json: { kind: 'flag', description: 'print one JSON object instead of text' },
  help: { kind: 'flag', short: 'h', description: 'print this help' },
} as const satisfies OptionTable;

export const quantizeHelp = `Usage: wp-models quantize <hub id, folder or file> [options]

Quantises a model. Run it again with the same options to go on after an interruption: what was calibrated is kept beside the file
(<output>.part.state) until it is whole. Other options, another method or another text begin anew.

${describeOptions(table)}
`;

export async function quantizeCommand(
  args: readonly string[],
  terminal: Terminal,
  quantize: Quantize,
): Promise<number> {
  const { values, operands } = parseOptions('quantize', args, table, 1);
  if (values.help) {
    terminal.write(quantizeHelp);
    return 0;
  }
  const source = operands[0];
  if (source === undefined) throw new UsageError('Which model? Name a hub id, a folder or a file.', 'quantize');
  const options = readOptions(values);
  const name = nameOf(source);
  const path = values.output ?? `${name}-${options.bits}bit.gguf`;
  const isGguf = /\.gguf$/i.test(path);
  const target = isGguf ? path : join(path, 'model.safetensors');
  if (existsSync(target) && !values.force) {
    throw new WpError(
      'invalid-argument',
      `${target} is there already.`,
      'Name another output, or write over it with --force.',
    );
  }
  mkdirSync(isGguf ? dirname(path) : path, { recursive: true });
  const output = new PartFile(target);
  const state = values.force ? undefined : output.readState();
  const controller = new AbortController();
  terminal.onInterrupt(() => controller.abort());
  let plan: QuantizePlan | undefined;
  try {
    const result = await quantize(localSource(source), {
      ...options,
      name,
      output: isGguf ? 'gguf' : 'safetensors',
      signal: controller.signal,
      onProgress: (progress) => terminal.status(describeProgress(progress)),
      onPlan: (planned) => {
        plan = planned;
        const why = planned.restart ?? (state ? undefined : 'nothing says how it was made');
        const { done, anew } = output.begin(planned.header, values.force ? 'it is written over' : why);
        if (anew !== undefined && !values.force) terminal.note(`The interrupted run begins anew: ${anew}.\n`);
        if (done > 0)
          terminal.note(`Going on: ${formatBytes(done)} of ${formatBytes(planned.totalBytes)} are there.\n`);
        return done;
      },
      state,
      onState: (latest) => output.writeState(latest),
      write: (file, start, bytes) => {
        if (file === plan?.file) output.write(start, bytes);
        else writeWhole(join(path, file), bytes, start);
      },
    });
    output.finish(result.totalBytes);
    terminal.status('');
    const report = {
      output: path,
      bytes: result.totalBytes,
      bitsPerWeight: result.bitsPerWeight,
      formats: result.formats,
      reasons: result.reasons,
    };
    terminal.write(values.json ? `${JSON.stringify(report, null, 2)}\n` : describe(report));
    return 0;
  } catch (thrown) {
    output.close();
    throw thrown;
  } finally {
    terminal.status('');
    terminal.onInterrupt(undefined);
  }
}

function writeWhole(path: string, bytes: Uint8Array, start: number): void {
  const handle = openSync(path, start === 0 ? 'w' : 'r+');
  writeSync(handle, bytes, 0, bytes.length, start);
  closeSync(handle);
}

function readOptions(values: OptionValues<typeof table>): QuantizeOptions {
  const roles = readPairs('role', values.role ?? []);
  if (values.role && !values.mixed) throw new UsageError('--role needs --mixed.', 'quantize');
  return {
    bits: (values.bits ?? 4) as QuantizationBits,
    scheme: values.scheme as QuantizeOptions['scheme'],
    groupSize: values['group-size'] as QuantizeOptions['groupSize'],
    mixedPrecision: values.mixed ? (Object.keys(roles).length > 0 ? roles : true) : false,
    perLayer: readPairs('layer', values.layer ?? []),
    method: values.method as QuantizeOptions['method'],
    calibration: values.calibrate === undefined ? undefined : readText(values.calibrate),
    budgetBytes: values.budget === undefined ? undefined : readBudget(values.budget),
  };
}

function readPairs(option: string, pairs: readonly string[]): Record<string, QuantizationBits> {
  return Object.fromEntries(
    pairs.map((pair) => {
      const match = /^(.+)=(\d+)$/.exec(pair);
      if (!match) throw new UsageError(`--${option} is "${pair}"; name=bits is needed.`, 'quantize');
      return [match[1]!, Number(match[2]) as QuantizationBits];
    }),
  );
}

/** `9.5MB`, `800kB`, `1.2 GB`, or bytes; or `device`. */
function readBudget(text: string): number | 'device' {
  if (text === 'device') return text;
  const match = /^\s*(\d+(?:\.\d+)?)\s*([kKmMgG]?)[bB]?\s*$/.exec(text);
  if (!match) throw new UsageError(`--budget is "${text}"; a size such as 9.5MB is needed, or device.`, 'quantize');
  const units: Record<string, number> = { '': 1, k: 1e3, m: 1e6, g: 1e9 };
  return Math.round(Number(match[1]) * units[match[2]!.toLowerCase()]!);
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    throw new WpError('not-found', `The calibration text ${path} cannot be read.`, '', { path }, { cause });
  }
}

function nameOf(source: string): string {
  const last =
    source
      .replace(/[/\\]+$/, '')
      .split(/[/\\:]/)
      .at(-1) ?? 'model';
  return last.replace(/\.(?:gguf|safetensors)$/i, '') || 'model';
}

const PHASES = {
  resolving: 'Looking the model up …',
  calibrating: 'Calibrating',
  measuring: 'Measuring',
  quantizing: 'Quantising',
} as const;

function describeProgress({ phase, done, total, tensor }: QuantizeProgress): string {
  if (phase === 'resolving' || total === 0) return PHASES[phase];
  const width = 24;
  const filled = Math.round((width * done) / total);
  const bar = `${'█'.repeat(filled)}${'░'.repeat(width - filled)}`;
  return `${PHASES[phase]} ${bar} ${Math.floor((100 * done) / total)} % (${done} of ${total})${tensor ? ` ${tensor}` : ''}`;
}

function describe(report: {
  output: string;
  bytes: number;
  bitsPerWeight: number;
  formats: Readonly<Record<string, string>>;
  reasons: readonly string[];
}): string {
  const counts = new Map<string, number>();
  for (const format of Object.values(report.formats)) counts.set(format, (counts.get(format) ?? 0) + 1);
  const formats = [...counts].sort((a, b) => b[1] - a[1]).map(([format, count]) => `${count} × ${format}`);
  return [
    `${report.output}: ${formatBytes(report.bytes)}, ${report.bitsPerWeight.toFixed(2)} bits a weight`,
    `matrices: ${formats.join(', ')}`,
    ...report.reasons.map((reason) => `  ${reason}`),
    '',
  ].join('\n');
}
