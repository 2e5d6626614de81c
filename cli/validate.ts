// `wp-models validate`: what a model in few bits lost beside its reference, on a text: perplexity, divergence, agreement, and what
// both say. Exit code 3 when a limit that was asked for is exceeded.

import { readFileSync, writeFileSync } from 'node:fs';
import { compareModels, WpError, type LoadOptions, type Model } from '../runtime/index.ts';
import type { LoadModel } from './chat.ts';
import { localSource } from './local-source.ts';
import { describeOptions, parseOptions, type OptionTable, type OptionValues } from './options.ts';
import { formatProgress, type Terminal } from './terminal.ts';
import { UsageError } from './usage-error.ts';
import { megabytes, validationHtml, type ValidationReport } from './validate-report.ts';

const PRECISIONS = ['auto', '2bit', '3bit', '4bit', '8bit', 'f16'] as const;

const table = {
  model: { kind: 'text', short: 'm', value: '<source>', description: 'the model to judge' },
  reference: { kind: 'text', short: 'r', value: '<source>', description: 'the model to hold it against' },
  text: { kind: 'text', short: 't', value: '<file>', description: 'the text to measure on' },
  precision: { kind: 'text', value: '<name>', choices: PRECISIONS, description: 'of the model (default auto)' },
  'reference-precision': {
    kind: 'text',
    value: '<name>',
    choices: PRECISIONS,
    description: 'of the reference (default f16)',
  },
  window: {
    kind: 'integer',
    value: '<tokens>',
    description: 'tokens of a window; its second half counts (default 512)',
  },
  windows: { kind: 'integer', value: '<count>', description: 'the most windows to read (default: all)' },
  prompt: {
    kind: 'texts',
    short: 'p',
    value: '<text>',
    description: 'a sample: both models continue it; may be repeated',
  },
  'max-tokens': { kind: 'integer', value: '<count>', description: 'tokens of a sample (default 48)' },
  'max-loss': {
    kind: 'number',
    value: '<percent>',
    description: 'exit code 3 when perplexity rises by more than this',
  },
  html: { kind: 'text', value: '<file>', description: 'write a report with plots, one file that needs no other' },
  threads: { kind: 'integer', value: '<count>', description: 'threads (default: all cores)' },
  json: { kind: 'flag', description: 'print one JSON object instead of text' },
  help: { kind: 'flag', short: 'h', description: 'print this help' },
} as const satisfies OptionTable;

export const validateHelp = `Usage: wp-models validate --model <source> --reference <source> --text <file> [options]

Measures as llama.cpp does: whole windows of the raw text without a beginning token, the second half of each.

${describeOptions(table)}
`;

export async function validate(args: readonly string[], terminal: Terminal, load: LoadModel): Promise<number> {
  const { values } = parseOptions('validate', args, table);
  if (values.help) {
    terminal.write(validateHelp);
    return 0;
  }
  const report = await measure(values, terminal, load);
  if (values.html !== undefined) writeFileSync(values.html, validationHtml(report));
  terminal.write(values.json ? `${JSON.stringify(report, null, 2)}\n` : describe(report));
  const rise = 100 * (report.comparison.model.perplexity / report.comparison.reference.perplexity - 1);
  if (values['max-loss'] === undefined || rise <= values['max-loss']) return 0;
  terminal.note(`Perplexity rises by ${rise.toFixed(2)} %; --max-loss allows ${values['max-loss']} %.\n`);
  return 3;
}

async function measure(
  values: OptionValues<typeof table>,
  terminal: Terminal,
  load: LoadModel,
): Promise<ValidationReport> {
  const needed = (name: 'model' | 'reference' | 'text'): string => {
    const value = values[name];
    if (value === undefined) throw new UsageError(`--${name} is missing.`, 'validate');
    return value;
  };
  const sources = { model: needed('model'), reference: needed('reference') };
  const text = readText(needed('text'));
  const window = values.window ?? 512;
  const controller = new AbortController();
  terminal.onInterrupt(() => controller.abort());
  const open = (source: string, precision: LoadOptions['precision']): Promise<Model> =>
    load(localSource(source), {
      precision,
      contextLength: window,
      threads: values.threads,
      signal: controller.signal,
      onProgress: (progress) => terminal.status(formatProgress(progress)),
    });
  const opened: Model[] = [];
  try {
    const model = await open(sources.model, values.precision as LoadOptions['precision']);
    opened.push(model);
    const reference = await open(
      sources.reference,
      (values['reference-precision'] ?? 'f16') as LoadOptions['precision'],
    );
    opened.push(reference);
    const tokens = await model.tokenize(text);
    const theirs = await reference.tokenize(text.slice(0, 2000));
    if (theirs.slice(0, -8).some((token, i) => token !== tokens[i])) {
      throw new WpError(
        'invalid-argument',
        'The two models cut the text into other tokens.',
        'Name two of one family.',
      );
    }
    const all = Math.min(values.windows ?? Infinity, Math.floor(tokens.length / window));
    const comparison = await compareModels(
      (part) => model.logits(part),
      (part) => reference.logits(part),
      tokens,
      {
        window,
        windows: values.windows,
        signal: controller.signal,
        onProgress: (sofar) => terminal.status(describeProgress(sofar.windows, all, sofar.perplexity)),
      },
    );
    const samples: { prompt: string; model: string; reference: string }[] = [];
    for (const prompt of values.prompt ?? []) {
      const say = (one: Model): Promise<string> => complete(one, prompt, values['max-tokens'] ?? 48, controller.signal);
      samples.push({ prompt, model: await say(model), reference: await say(reference) });
    }
    return {
      model: { source: sources.model, ...facts(model) },
      reference: { source: sources.reference, ...facts(reference) },
      text: needed('text'),
      comparison,
      samples,
    };
  } finally {
    terminal.status('');
    terminal.onInterrupt(undefined);
    for (const one of opened) await one.dispose();
  }
}

async function complete(model: Model, prompt: string, maxTokens: number, signal: AbortSignal): Promise<string> {
  let text = '';
  const options = { maxTokens: Math.max(1, maxTokens), temperature: 0, repetitionPenalty: 1, signal };
  for await (const part of model.complete(prompt, options)) text += part.text;
  signal.throwIfAborted();
  return text;
}

function facts({ info }: Model): Omit<ValidationReport['model'], 'source'> {
  const { precision, bitsPerWeight, memory } = info.plan;
  return { precision, bitsPerWeight, weightBytes: memory.weights };
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    throw new WpError('not-found', `The text ${path} cannot be read.`, '', { path }, { cause });
  }
}

function describeProgress(done: number, total: number, perplexity: number): string {
  const filled = Math.round((24 * done) / total);
  return `Measuring ${'█'.repeat(filled)}${'░'.repeat(24 - filled)} ${done} of ${total} windows, perplexity ${perplexity.toFixed(2)}`;
}

function describe({ model, reference, comparison, samples }: ValidationReport): string {
  const rise = 100 * (comparison.model.perplexity / comparison.reference.perplexity - 1);
  const { divergence } = comparison;
  const line = (name: string, one: ValidationReport['model'], perplexity: number): string =>
    `${name.padEnd(12)}${one.source}: ${one.bitsPerWeight.toFixed(2)} bits a weight, ${megabytes(one.weightBytes)}, perplexity ${perplexity.toFixed(3)}`;
  return [
    line('model', model, comparison.model.perplexity),
    line('reference', reference, comparison.reference.perplexity),
    `difference  ${rise >= 0 ? '+' : ''}${rise.toFixed(2)} % (standard error of the perplexity: ${comparison.model.standardError.toFixed(3)})`,
    `divergence  ${divergence.mean.toFixed(4)} nats a token; 99 % below ${divergence.p99.toFixed(4)}`,
    `agreement   ${(100 * comparison.agreement).toFixed(1)} % of ${comparison.model.tokens} tokens`,
    ...samples.flatMap((sample) => [
      '',
      `> ${sample.prompt}`,
      `model:     ${sample.model}`,
      `reference: ${sample.reference}`,
    ]),
    '',
  ].join('\n');
}
