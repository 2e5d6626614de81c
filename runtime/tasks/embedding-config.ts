// How a checkpoint wants its texts to become vectors: the files that sentence-transformers writes beside the model, as data.
// Format: https://sbert.net/docs/package_reference/sentence_transformer/models.html

import { WpError } from '../errors.ts';
import { isRecord } from '../processing/json.ts';

/** Parsed files; undefined where the folder has none. */
export interface SentenceFiles {
  modules: unknown;
  /** `config.json` of the Pooling module. */
  pooling: unknown;
  /** config_sentence_transformers.json */
  sentenceTransformers: unknown;
  /** sentence_bert_config.json */
  transformer: unknown;
}

export interface EmbeddingConfig {
  /** Undefined: the architecture's own. */
  pooling: 'mean' | 'first' | 'last' | undefined;
  normalize: boolean;
  /** Tokens of a text, special ones among them; undefined: as many as the model takes. */
  maxTokens: number | undefined;
  lowerCase: boolean;
  /** What is put before a text, by the name of its purpose ("query"). */
  prompts: Readonly<Record<string, string>>;
  defaultPrompt: string | undefined;
  similarity: 'cosine' | 'dot';
}

type ModuleKind = 'Transformer' | 'Pooling' | 'Normalize';

/** The folder of the Pooling module: whose config.json is to be read. */
export function poolingFolder(modules: unknown): string | undefined {
  return readModules(modules)?.find(({ kind }) => kind === 'Pooling')?.path;
}

/** Of a checkpoint that says nothing of sentences. */
export function plainEmbeddings(): EmbeddingConfig {
  return readEmbeddingConfig({
    modules: undefined,
    pooling: undefined,
    sentenceTransformers: undefined,
    transformer: undefined,
  });
}

/** Throws `unsupported-config`, with file and field, for what would change the vectors and is not understood. */
export function readEmbeddingConfig(files: SentenceFiles): EmbeddingConfig {
  const modules = readModules(files.modules);
  const transformer = record(files.transformer);
  const card = record(files.sentenceTransformers);
  const maxTokens = transformer.max_seq_length;
  if (maxTokens !== undefined && maxTokens !== null && !(Number.isInteger(maxTokens) && Number(maxTokens) > 0)) {
    throw unsupported('sentence_bert_config.json', 'max_seq_length', maxTokens, 'a number of tokens');
  }
  const prompts = record(card.prompts);
  for (const [name, prompt] of Object.entries(prompts)) {
    if (typeof prompt !== 'string') throw unsupported(CARD, `prompts.${name}`, prompt, 'a text');
  }
  const defaultPrompt = card.default_prompt_name ?? undefined;
  if (defaultPrompt !== undefined && (typeof defaultPrompt !== 'string' || !Object.hasOwn(prompts, defaultPrompt))) {
    throw unsupported(
      CARD,
      'default_prompt_name',
      defaultPrompt,
      `one of its prompts: ${Object.keys(prompts).join(', ')}`,
    );
  }
  const similarity = card.similarity_fn_name ?? 'cosine';
  if (similarity !== 'cosine' && similarity !== 'dot') {
    throw unsupported(CARD, 'similarity_fn_name', similarity, 'cosine, dot');
  }
  return {
    pooling: readPooling(files.pooling),
    // A checkpoint that says nothing of sentences: vectors of length 1 are what people compare.
    normalize: modules ? modules.some(({ kind }) => kind === 'Normalize') : true,
    maxTokens: typeof maxTokens === 'number' ? maxTokens : undefined,
    lowerCase: transformer.do_lower_case === true,
    prompts: prompts as Record<string, string>,
    defaultPrompt,
    similarity,
  };
}

const CARD = 'config_sentence_transformers.json';

const KINDS: readonly ModuleKind[] = ['Transformer', 'Pooling', 'Normalize'];

function readModules(json: unknown): { kind: ModuleKind; path: string }[] | undefined {
  if (json === undefined) return undefined;
  if (!Array.isArray(json)) throw unsupported('modules.json', '', json, 'a list');
  return json.map((module: unknown, index) => {
    const { type, path } = record(module);
    const kind = KINDS.find((known) => typeof type === 'string' && type.split('.').at(-1) === known);
    if (!kind) throw unsupported('modules.json', `[${index}].type`, type, KINDS.join(', '));
    // A plain folder inside the model's own.
    if (typeof path !== 'string' || !/^(?:[A-Za-z0-9_][\w.-]*)?$/.test(path)) {
      throw unsupported('modules.json', `[${index}].path`, path, 'the name of a folder');
    }
    if (kind === 'Transformer' && path !== '') {
      throw unsupported('modules.json', `[${index}].path`, path, "'': the transformer lies in the model's own folder");
    }
    return { kind, path };
  });
}

const POOLING_MODES = { cls: 'first', mean: 'mean', lasttoken: 'last' } as const;
type PoolingMode = keyof typeof POOLING_MODES;

const POOLING_FLAGS: Readonly<Record<string, PoolingMode | undefined>> = {
  pooling_mode_cls_token: 'cls',
  pooling_mode_mean_tokens: 'mean',
  pooling_mode_lasttoken: 'lasttoken',
};

function readPooling(json: unknown): EmbeddingConfig['pooling'] {
  if (json === undefined) return undefined;
  const fields = record(json);
  if (fields.include_prompt === false) throw unsupported(POOLING, 'include_prompt', false, 'true');
  const flags = Object.keys(fields).filter((name) => name.startsWith('pooling_mode_') && fields[name] === true);
  const modes: unknown[] =
    fields.pooling_mode === undefined ? flags.map((name) => POOLING_FLAGS[name]) : [fields.pooling_mode];
  const [mode] = modes;
  if (modes.length !== 1 || typeof mode !== 'string' || !Object.hasOwn(POOLING_MODES, mode)) {
    const actual = fields.pooling_mode ?? flags;
    throw unsupported(POOLING, 'pooling_mode', actual, `one of ${Object.keys(POOLING_MODES).join(', ')}`);
  }
  return POOLING_MODES[mode as PoolingMode];
}

const POOLING = '1_Pooling/config.json';

function record(json: unknown): Record<string, unknown> {
  return isRecord(json) ? json : {};
}

function unsupported(file: string, field: string, actual: unknown, allowed: string): WpError {
  return new WpError(
    'unsupported-config',
    `${file}: ${field} is ${JSON.stringify(actual)}; supported: ${allowed}.`,
    'Use a checkpoint whose sentence-transformers modules are a transformer, a pooling and perhaps a normalisation.',
    { file, field, actual, allowed },
  );
}
