// `wp-models plan`: what was decided for a model on this machine, each decision with its reason. The model is loaded for it,
// so what is printed is what really runs.

import type { MemoryReport, ModelInfo, PlanReport } from '../runtime/index.ts';
import { defaultModel, loadOptions, type LoadModel } from './chat.ts';
import { describeOptions, modelOptions, parseOptions } from './options.ts';
import { formatBytes, formatProgress, type Terminal } from './terminal.ts';
import { UsageError } from './usage-error.ts';

export const planHelp = `Usage: wp-models plan [source] [options]

Loads a model and prints what was decided for it on this machine, and why.

${describeOptions(modelOptions)}
`;

export async function plan(args: readonly string[], terminal: Terminal, load: LoadModel): Promise<number> {
  const { values, operands } = parseOptions('plan', args, modelOptions, 1);
  if (values.help) {
    terminal.write(planHelp);
    return 0;
  }
  if (values.model !== undefined && operands[0] !== undefined) {
    throw new UsageError('The model is given twice: as an argument and by --model.', 'plan');
  }
  const controller = new AbortController();
  terminal.onInterrupt(() => controller.abort());
  const model = await load(operands[0] ?? values.model ?? defaultModel, {
    ...loadOptions(values),
    signal: controller.signal,
    onProgress: (progress) => terminal.status(formatProgress(progress)),
  }).finally(() => terminal.status(''));
  try {
    const memory = await model.memory();
    terminal.write(
      values.json ? `${JSON.stringify({ ...model.info, memory }, null, 2)}\n` : describePlan(model.info, memory),
    );
  } finally {
    await model.dispose();
  }
  return 0;
}

function describePlan(info: ModelInfo, memory: MemoryReport): string {
  const { plan: decided } = info;
  const rows: [string, string][] = [
    [
      'model',
      `${info.source} (${info.modelType}, ${(info.parameters / 1e6).toFixed(1)} M parameters, ${info.layers} layers)`,
    ],
    ['backend', `${decided.backend}: ${decided.backendDescription}`],
    ['precision', `${decided.precision}, ${decided.bitsPerWeight.toFixed(2)} bits a weight`],
    ['context', `${decided.contextLength} tokens (the model allows ${info.maxContextLength})`],
    ['threads', String(decided.threads)],
    ['download', formatBytes(decided.downloadBytes)],
    ['memory planned', describeMemory(decided.memory)],
    ['memory actual', `${describeMemory(memory.actual)}, other ${formatBytes(memory.actual.other)}`],
  ];
  const width = Math.max(...rows.map(([name]) => name.length)) + 2;
  const lines = rows.map(([name, value]) => `${name.padEnd(width)}${value}`);
  const reasons = decided.reasons.map(({ topic, reason }) => `  ${topic}: ${reason}`);
  return `${[...lines, '', 'Reasons', ...reasons].join('\n')}\n`;
}

function describeMemory(memory: PlanReport['memory']): string {
  const { weights, keyValueCache, activations, total } = memory;
  return `${formatBytes(total)}: weights ${formatBytes(weights)}, KV cache ${formatBytes(keyValueCache)}, activations ${formatBytes(activations)}`;
}
