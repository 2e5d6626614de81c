// `wp-models chat`: a conversation in the terminal, or one answer to a prompt that was given or piped in. It uses the same
// public API as a page does; in Node the model runs in a worker thread on the WASM backend.

import {
  isAbortError,
  type ChatMessage,
  type ChatPart,
  type GenerationOptions,
  type LoadOptions,
  type Model,
  type ModelSource,
} from '../runtime/index.ts';
import { describeOptions, modelOptions, parseOptions, type OptionTable, type OptionValues } from './options.ts';
import { formatProgress, type Terminal } from './terminal.ts';
import { UsageError } from './usage-error.ts';

export type LoadModel = (source: ModelSource, options?: LoadOptions) => Promise<Model>;

export const defaultModel = 'wp:fable-25m';

const chatOptions = {
  prompt: {
    kind: 'text',
    short: 'p',
    value: '<text>',
    description: 'answer this once and exit; "-" reads the prompt from stdin',
  },
  system: { kind: 'text', short: 's', value: '<text>', description: 'system prompt' },
  complete: { kind: 'flag', description: 'continue the prompt as plain text, without a chat template' },
  'max-tokens': { kind: 'integer', value: '<count>', description: 'longest answer, in tokens' },
  temperature: { kind: 'number', value: '<number>', description: '0 always takes the likeliest token' },
  'top-k': { kind: 'integer', value: '<count>', description: 'keep the k likeliest tokens; 0 keeps all' },
  'top-p': { kind: 'number', value: '<number>', description: 'keep the likeliest tokens whose probabilities sum to p' },
  'min-p': {
    kind: 'number',
    value: '<number>',
    description: 'drop tokens less likely than this share of the likeliest',
  },
  'repetition-penalty': {
    kind: 'number',
    value: '<number>',
    description: 'above 1, words that were said become less likely',
  },
  seed: { kind: 'integer', value: '<integer>', description: 'the same seed gives the same answer' },
  stop: { kind: 'texts', value: '<text>', description: 'end the answer before this text; may be repeated' },
  ...modelOptions,
} as const satisfies OptionTable;

type ChatValues = OptionValues<typeof chatOptions>;

export const chatHelp = `Usage: wp-models chat [options]

Talks with a model in this terminal. Ctrl-C stops an answer; at the prompt it leaves.
With --prompt, or with text piped in, it answers once and exits.

${describeOptions(chatOptions)}

In a conversation: /clear forgets it, /exit leaves.

Examples:
  wp-models chat
  wp-models chat --prompt "Tell me a story about a fox." --temperature 0
  echo "Describe a harbour." | wp-models chat --json
`;

/** Exit code: 0 answered, 130 stopped by Ctrl-C. */
export async function chat(args: readonly string[], terminal: Terminal, load: LoadModel): Promise<number> {
  const { values } = parseOptions('chat', args, chatOptions);
  if (values.help) {
    terminal.write(chatHelp);
    return 0;
  }
  const readsPrompt = values.prompt === '-' || (values.prompt === undefined && !terminal.isInteractive);
  const prompt = readsPrompt ? (await terminal.readAll()).replace(/\r?\n$/, '') : values.prompt;
  if (prompt === undefined && values.json)
    throw new UsageError('--json needs a prompt: give one, or pipe one in.', 'chat');
  if (prompt === undefined && values.complete) {
    throw new UsageError('--complete needs a prompt: give one, or pipe one in.', 'chat');
  }
  if (prompt?.trim() === '') throw new UsageError('The prompt is empty.', 'chat');

  const model = await loadWithProgress(values, terminal, load);
  try {
    return prompt === undefined
      ? await converse(model, values, terminal)
      : await answerOnce(model, prompt, values, terminal);
  } finally {
    await model.dispose();
  }
}

async function loadWithProgress(values: ChatValues, terminal: Terminal, load: LoadModel): Promise<Model> {
  const controller = new AbortController();
  terminal.onInterrupt(() => controller.abort());
  try {
    return await load(values.model ?? defaultModel, {
      ...loadOptions(values),
      signal: controller.signal,
      onProgress: (progress) => terminal.status(formatProgress(progress)),
    });
  } finally {
    terminal.onInterrupt(undefined);
    terminal.status('');
  }
}

/** The options of a command that the runtime's `loadModel` understands. */
export function loadOptions(values: OptionValues<typeof modelOptions>): LoadOptions {
  return {
    precision: values.precision as LoadOptions['precision'],
    contextLength: values.context,
    threads: values.threads,
  };
}

function generationOptions(values: ChatValues): GenerationOptions {
  return {
    maxTokens: values['max-tokens'],
    temperature: values.temperature,
    topK: values['top-k'],
    topP: values['top-p'],
    minP: values['min-p'],
    repetitionPenalty: values['repetition-penalty'],
    seed: values.seed,
    stop: values.stop,
  };
}

interface Answer {
  text: string;
  /** Undefined when Ctrl-C stopped it. */
  end: Extract<ChatPart, { done: true }> | undefined;
}

/** Streams one answer; Ctrl-C stops it and keeps what was said. */
async function stream(
  start: (signal: AbortSignal) => AsyncIterable<ChatPart>,
  terminal: Terminal,
  onText: (text: string) => void,
): Promise<Answer> {
  const controller = new AbortController();
  terminal.onInterrupt(() => controller.abort());
  const answer: Answer = { text: '', end: undefined };
  try {
    for await (const part of start(controller.signal)) {
      if (part.done) {
        answer.end = part;
      } else {
        answer.text += part.text;
        onText(part.text);
      }
    }
  } catch (thrown) {
    if (!isAbortError(thrown) || !controller.signal.aborted) throw thrown;
  } finally {
    terminal.onInterrupt(undefined);
  }
  return answer;
}

async function answerOnce(model: Model, prompt: string, values: ChatValues, terminal: Terminal): Promise<number> {
  const messages: ChatMessage[] = [{ role: 'user', content: prompt }];
  if (values.system !== undefined) messages.unshift({ role: 'system', content: values.system });
  const options = generationOptions(values);
  const { text, end } = await stream(
    (signal) =>
      values.complete ? model.complete(prompt, { ...options, signal }) : model.chat(messages, { ...options, signal }),
    terminal,
    values.json ? () => undefined : (piece) => terminal.write(piece),
  );
  if (values.json) {
    const result = {
      model: model.info.source,
      text,
      finishReason: end?.finishReason ?? 'abort',
      usage: end?.usage,
      timing: end?.timing,
    };
    terminal.write(`${JSON.stringify(result, null, 2)}\n`);
  } else {
    terminal.write('\n');
  }
  return end ? 0 : 130;
}

async function converse(model: Model, values: ChatValues, terminal: Terminal): Promise<number> {
  const { info } = model;
  terminal.note(
    `${info.source} on ${info.plan.backendDescription}. Ctrl-C stops an answer; /clear forgets, /exit leaves.\n`,
  );
  if (info.notice) terminal.note(`${info.notice}\n`);
  const opening: ChatMessage[] = values.system === undefined ? [] : [{ role: 'system', content: values.system }];
  let messages = [...opening];
  for (;;) {
    const line = (await terminal.readLine('\n> '))?.trim();
    if (line === undefined || line === '/exit' || line === '/quit') break;
    if (line === '') continue;
    if (line === '/clear') {
      messages = [...opening];
      terminal.note('The conversation is forgotten.\n');
      continue;
    }
    const asked: ChatMessage[] = [...messages, { role: 'user', content: line }];
    const { text, end } = await stream(
      (signal) => model.chat(asked, { ...generationOptions(values), signal }),
      terminal,
      (piece) => terminal.write(piece),
    );
    terminal.write('\n');
    if (end) terminal.note(`[${describeEnd(end)}]\n`);
    else terminal.note('[stopped]\n');
    // A stopped answer stays in the conversation, as far as it was said; an empty one would confuse the template.
    messages = text === '' ? messages : [...asked, { role: 'assistant', content: text }];
  }
  terminal.note('\n');
  return 0;
}

function describeEnd({ finishReason, usage, timing }: Extract<ChatPart, { done: true }>): string {
  const figures = `${usage.completionTokens} tokens, ${timing.tokensPerSecond.toFixed(1)} a second`;
  return finishReason === 'length' ? `${figures}; cut off at the longest answer allowed` : figures;
}
