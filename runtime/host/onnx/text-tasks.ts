// The tasks of text encoders over an ONNX export: the files beside it say how texts become ids, and its outputs what it can do.

import { isAbortError, throwIfAborted, WpError } from '../../errors.ts';
import type { ModelFiles } from '../../loading/model-files.ts';
import type { OnnxHeader } from '../../onnx/header.ts';
import type { OnnxSession } from '../../onnx/session.ts';
import { isRecord } from '../../processing/json.ts';
import { readSequenceTemplate } from '../../processing/sequence-template.ts';
import { createTokenizer } from '../../processing/tokenizer.ts';
import { libraryFor } from '../../processing/tokenizer-library.ts';
import type { EncodeCall, EncodeResult } from '../../protocol/messages.ts';
import { classify, rerank } from '../../tasks/classify.ts';
import { embed } from '../../tasks/embed.ts';
import type { RunOptions } from '../../tasks/encoder-session.ts';
import type { EncoderTextModel } from '../../tasks/text-model.ts';
import type { EncoderInfo } from '../../types.ts';
import { readSentenceFiles } from '../sentence-files.ts';
import { OnnxTextSession } from './text-session.ts';

export interface OnnxTasks {
  info: EncoderInfo;
  encode(call: EncodeCall, run: RunOptions): Promise<EncodeResult>;
  tokenize(text: string): number[];
}

export interface TextTasks {
  tasks: OnnxTasks | undefined;
  /** Why there are none. */
  note?: string | undefined;
  modelType?: string | undefined;
  vocabularySize?: number | undefined;
  layers?: number | undefined;
  maxTokens?: number | undefined;
}

interface TextTasksRequest {
  files: ModelFiles;
  header: OnnxHeader;
  session: OnnxSession;
  contextLength: number | undefined;
  signal: AbortSignal;
}

/** Undefined for a model that reads no token ids: only then nothing is looked for beside it. */
export async function createTextTasks({
  files,
  header,
  session,
  contextLength,
  signal,
}: TextTasksRequest): Promise<TextTasks | undefined> {
  if (!header.inputs.some(({ name }) => name === 'input_ids')) return undefined;
  const json = (name: string): Promise<unknown> => readOptional(files, name, signal);
  const config = await json('config.json');
  if (!isRecord(config)) return { tasks: undefined, note: 'No config.json lies beside it: tensors only.' };
  const count = (name: string): number | undefined => (typeof config[name] === 'number' ? config[name] : undefined);
  const facts = {
    modelType: typeof config.model_type === 'string' ? config.model_type : undefined,
    vocabularySize: count('vocab_size'),
    layers: count('num_hidden_layers') ?? count('n_layers'),
  };
  const head = findHead(header);
  if (!head)
    return {
      tasks: undefined,
      ...facts,
      note: 'Its inputs and outputs are not those of a text encoder: tensors only.',
    };
  const [tokenizerJson, tokenizerConfig] = await Promise.all([json('tokenizer.json'), json('tokenizer_config.json')]);
  if (tokenizerJson === undefined)
    return { tasks: undefined, ...facts, note: 'No tokenizer.json lies beside it: tensors only.' };
  const sentences = await readSentenceFiles(files, signal);
  const tokenizer = createTokenizer(tokenizerJson, tokenizerConfig, await libraryFor(tokenizerJson));
  throwIfAborted(signal);

  const tokenizerLimit = isRecord(tokenizerConfig) ? tokenizerConfig.model_max_length : undefined;
  const fixedTokens = header.inputs.find(({ name }) => name === 'input_ids')?.dims?.[1];
  const maxTokens = Math.min(
    count('max_position_embeddings') ?? 512,
    sentences.maxTokens ?? (typeof tokenizerLimit === 'number' && tokenizerLimit >= 1 ? tokenizerLimit : Infinity),
    typeof fixedTokens === 'number' ? fixedTokens : Infinity,
  );
  if (
    contextLength !== undefined &&
    !(Number.isInteger(contextLength) && contextLength >= 1 && contextLength <= maxTokens)
  ) {
    throw new WpError(
      'invalid-argument',
      `contextLength is ${contextLength}; the model takes 1 to ${maxTokens} tokens.`,
      '',
      {
        actual: contextLength,
        allowed: [1, maxTokens],
      },
    );
  }
  const labels = head.logits === undefined ? [] : labelNames(config, head.logits);
  const info: EncoderInfo = {
    tasks: [
      ...(head.hidden ? ['embed' as const] : []),
      ...(labels.length > 1 ? ['classify' as const] : labels.length === 1 ? ['rerank' as const] : []),
    ],
    dimensions: head.width ?? count('hidden_size') ?? count('dim') ?? 0,
    maxTokens: contextLength ?? maxTokens,
    pooling: sentences.pooling ?? 'mean',
    normalize: sentences.normalize,
    prompts: sentences.prompts,
    defaultPrompt: sentences.defaultPrompt,
    similarity: sentences.similarity,
    labels,
    isMultiLabel: config.problem_type === 'multi_label_classification',
  };
  const model: EncoderTextModel = {
    info,
    session: new OnnxTextSession({
      session,
      inputs: header.inputs,
      embeddingOutput: head.hidden,
      pooling: sentences.pooling ?? 'mean',
      padId: count('pad_token_id') ?? 0,
    }),
    tokenizer,
    template: readSequenceTemplate(tokenizerJson),
    lowerCase: sentences.lowerCase,
  };
  return {
    ...facts,
    maxTokens,
    tasks: {
      info,
      encode: (call, run) => encode(model, call, run),
      tokenize: (text) => tokenizer.encode(text, { addSpecialTokens: false }),
    },
  };
}

async function encode(model: EncoderTextModel, call: EncodeCall, run: RunOptions): Promise<EncodeResult> {
  switch (call.task) {
    case 'embed':
      return embed(model, call.texts, call.options, run);
    case 'classify':
      return classify(model, call.texts, run);
    case 'rerank':
      return rerank(model, call.query, call.documents, run);
    default: {
      const { task } = call as { task: string };
      throw new WpError(
        'unsupported-operation',
        `This ONNX model cannot do ${task}; it can ${model.info.tasks.join(' and ')}.`,
        'Load the model as safetensors, or call model.run().',
        { actual: task, allowed: model.info.tasks },
      );
    }
  }
}

/** Of vectors for texts, the output that holds them whole comes before the one that has yet to be pooled. */
const EMBEDDING_OUTPUTS = ['sentence_embedding', 'last_hidden_state', 'token_embeddings'];
const TEXT_INPUTS = ['input_ids', 'attention_mask', 'token_type_ids', 'position_ids'];

interface Head {
  /** The output that vectors are made from. */
  hidden: string | undefined;
  width: number | undefined;
  /** Classes of the output `logits`: their number, or 0 where the file leaves it open. */
  logits: number | undefined;
}

function findHead({ inputs, outputs }: OnnxHeader): Head | undefined {
  if (!inputs.every(({ name, type }) => TEXT_INPUTS.includes(name) && (type === 'int64' || type === 'int32')))
    return undefined;
  const hidden = EMBEDDING_OUTPUTS.map((wanted) => outputs.find(({ name }) => name === wanted)).find(Boolean);
  const logits = outputs.find(({ name, dims }) => name === 'logits' && dims?.length === 2);
  if (!hidden && !logits) return undefined;
  const width = hidden?.dims?.at(-1);
  const classes = logits?.dims?.[1];
  return {
    hidden: hidden?.name,
    width: typeof width === 'number' ? width : undefined,
    logits: logits && (typeof classes === 'number' ? classes : 0),
  };
}

function labelNames(config: Record<string, unknown>, declared: number): string[] {
  const names = isRecord(config.id2label) ? config.id2label : {};
  const count = declared || Object.keys(names).length || 2;
  return Array.from({ length: count }, (_, i) => String(names[i] ?? `LABEL_${i}`));
}

/** Also undefined where a server answers with a page, or refuses, for what does not exist. */
async function readOptional(files: ModelFiles, name: string, signal: AbortSignal): Promise<unknown> {
  try {
    return await (await files.open(name, signal))?.readJson(signal);
  } catch (thrown) {
    const isNoFile = thrown instanceof WpError && (thrown.code === 'not-a-model' || thrown.details['status'] === 403);
    if (isAbortError(thrown) || !isNoFile) throw thrown;
    return undefined;
  }
}
