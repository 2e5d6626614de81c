// A conversation as the text that a model was trained on. The template is the model's own Jinja program; it is untrusted
// text, run by an interpreter (@huggingface/jinja) that reaches nothing of the page. Its output already holds the special
// tokens, so it is encoded with `addSpecialTokens: false`.

import { Environment, Interpreter, parse, tokenize } from '@huggingface/jinja';
import { WpError } from '../errors.ts';
import type { ChatMessage } from '../types.ts';
import { validateMessages } from './chat-messages.ts';
import { formatDate, range } from './jinja-globals.ts';
import { isRecord, tokenContent } from './json.ts';

export interface ChatTemplateFiles {
  /** Parsed tokenizer_config.json: its `chat_template` and the special tokens. */
  tokenizerConfig?: unknown;
  /** The text of chat_template.jinja; goes before the others, as in transformers. */
  templateText?: string | undefined;
  /** Parsed chat_template.json; goes before tokenizer_config.json. */
  templateJson?: unknown;
}

export interface ChatTemplateOptions {
  /** Open the assistant's turn at the end. Default true. */
  addGenerationPrompt?: boolean | undefined;
  /** More variables for the template (`enable_thinking`, `date_string`, …). */
  variables?: Readonly<Record<string, unknown>> | undefined;
}

export interface ChatTemplate {
  /** The program, as found. */
  readonly source: string;
  /**
   * `native`: the template takes a system message. `merged`: it refuses or drops one, so the text of a system message is
   * put at the head of the first user message instead.
   */
  readonly systemRole: 'native' | 'merged';
  /** What was decided about this template, for the plan's reasons. */
  readonly reasons: readonly string[];
  /**
   * The conversation as one text.
   * @throws WpError `invalid-argument` when the messages are malformed or the template refuses them.
   */
  render(messages: readonly ChatMessage[], options?: ChatTemplateOptions): string;
}

/**
 * The chat template of a model, or undefined when it has none.
 * @throws WpError `corrupt-file` or `unsupported-config` when there is one that cannot be read.
 */
export function createChatTemplate(files: ChatTemplateFiles): ChatTemplate | undefined {
  const config = isRecord(files.tokenizerConfig) ? files.tokenizerConfig : {};
  const source = findTemplate(files, config);
  if (source === undefined) return undefined;
  let program: JinjaProgram;
  try {
    // The settings of transformers.
    program = parse(tokenize(source, { lstrip_blocks: true, trim_blocks: true }));
  } catch (error) {
    throw unsupported(error, 'cannot be parsed');
  }
  return new JinjaChatTemplate(source, program, specialTokens(config));
}

/** What to say when a model without a template is asked to chat. */
export function missingTemplate(): WpError {
  return new WpError(
    'unsupported-config',
    'This model has no chat template, so it was not trained to hold a conversation.',
    'Use complete(text) to continue a text, or load an instruction-tuned version of the model.',
  );
}

type JinjaProgram = ReturnType<typeof parse>;

/** Jinja takes both spellings. */
const CONSTANTS = { true: true, false: false, none: null, True: true, False: false, None: null };

class JinjaChatTemplate implements ChatTemplate {
  readonly systemRole: 'native' | 'merged';
  readonly reasons: readonly string[];

  constructor(
    readonly source: string,
    private readonly program: JinjaProgram,
    private readonly special: Readonly<Record<string, string>>,
  ) {
    this.systemRole = this.#probeSystemRole();
    this.reasons =
      this.systemRole === 'native'
        ? []
        : ['The chat template has no system role: a system message is put at the head of the first user message.'];
  }

  render(messages: readonly ChatMessage[], options: ChatTemplateOptions = {}): string {
    const checked = validateMessages(messages);
    return this.#run(this.systemRole === 'merged' ? mergeSystem(checked) : checked, options);
  }

  #run(messages: readonly ChatMessage[], { addGenerationPrompt = true, variables = {} }: ChatTemplateOptions): string {
    let refusal: string | undefined;
    try {
      const scope = new Environment();
      const names: Record<string, unknown> = {
        ...CONSTANTS,
        range,
        strftime_now: (format: string) => formatDate(new Date(), format),
        raise_exception(reason: unknown) {
          refusal = String(reason);
          throw new Error(refusal);
        },
        // transformers always defines these two, and templates test them with `is not none`.
        tools: null,
        documents: null,
        ...this.special,
        ...variables,
        messages,
        add_generation_prompt: addGenerationPrompt,
      };
      for (const [name, value] of Object.entries(names)) scope.set(name, value);
      const output: { value?: unknown } = new Interpreter(scope).run(this.program);
      return String(output.value);
    } catch (error) {
      if (refusal === undefined) throw unsupported(error, 'failed');
      throw new WpError(
        'invalid-argument',
        `The model's chat template refuses this conversation: ${refusal}`,
        'Most templates want user and assistant in turn, beginning with user.',
        { refusal, roles: messages.map((message) => message.role) },
        { cause: error },
      );
    }
  }

  /** Templates without a system role raise an exception or silently leave the message out. */
  #probeSystemRole(): 'native' | 'merged' {
    const user: ChatMessage = { role: 'user', content: 'Hello' };
    const probe = 'Be-brief-7391';
    try {
      return this.#run([{ role: 'system', content: probe }, user], {}).includes(probe) ? 'native' : 'merged';
    } catch {
      // The probe may fail for another reason than the role; then `render` says so with the real conversation.
      return this.#accepts([user]) ? 'merged' : 'native';
    }
  }

  #accepts(messages: readonly ChatMessage[]): boolean {
    try {
      this.#run(messages, {});
      return true;
    } catch {
      return false;
    }
  }
}

/** Leading system messages become the head of the first user message. */
function mergeSystem(messages: readonly ChatMessage[]): ChatMessage[] {
  const firstOther = messages.findIndex((message) => message.role !== 'system');
  if (firstOther === 0) return [...messages];
  const system = messages
    .slice(0, firstOther < 0 ? messages.length : firstOther)
    .map((message) => message.content)
    .filter((content) => content !== '');
  const next = messages[firstOther];
  if (!next) {
    throw new WpError(
      'invalid-argument',
      'The conversation has only system messages, and this model has no system role.',
      'Add a user message.',
    );
  }
  const rest = messages.slice(firstOther + 1);
  if (system.length === 0) return [next, ...rest];
  if (next.role !== 'user') return [{ role: 'user', content: system.join('\n\n') }, next, ...rest];
  return [{ role: 'user', content: [...system, next.content].join('\n\n') }, ...rest];
}

function findTemplate(files: ChatTemplateFiles, config: Record<string, unknown>): string | undefined {
  if (files.templateText !== undefined) return files.templateText;
  if (isRecord(files.templateJson) && files.templateJson.chat_template !== undefined) {
    return chooseTemplate(files.templateJson.chat_template, 'chat_template.json');
  }
  return chooseTemplate(config.chat_template, 'tokenizer_config.json');
}

/** A string, or a list of named templates (`default`, `tool_use`, `rag`) of which the default is meant. */
function chooseTemplate(value: unknown, file: string): string | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value === 'string') return value;
  const entries: unknown[] = Array.isArray(value)
    ? value
    : isRecord(value)
      ? Object.entries(value).map(([name, template]) => ({ name, template }))
      : [];
  const named = entries.filter(
    (entry): entry is { name: string; template: string } =>
      isRecord(entry) && typeof entry.name === 'string' && typeof entry.template === 'string',
  );
  const chosen = named.find((entry) => entry.name === 'default') ?? (named.length === 1 ? named[0] : undefined);
  if (chosen) return chosen.template;
  throw new WpError(
    'corrupt-file',
    `${file} has a chat_template that is neither a text nor a list with one named "default".`,
    'Download the file again, or take it from the original repository of the model.',
    { file, names: named.map((entry) => entry.name) },
  );
}

/** The variables `bos_token`, `eos_token`, … that templates use. */
function specialTokens(config: Record<string, unknown>): Record<string, string> {
  const tokens: Record<string, string> = {};
  for (const [name, value] of Object.entries(config)) {
    const content = name.endsWith('_token') ? tokenContent(value) : undefined;
    if (content !== undefined) tokens[name] = content;
  }
  return tokens;
}

function unsupported(error: unknown, what: string): WpError {
  const reason = error instanceof Error ? error.message : String(error);
  return new WpError(
    'unsupported-config',
    `The model's chat template ${what}: ${reason}`,
    'Use complete(text) instead of chat, or report the model.',
    { reason },
    { cause: error },
  );
}
