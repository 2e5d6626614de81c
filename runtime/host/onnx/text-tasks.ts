// The tasks of text encoders over an ONNX export: its outputs say what it can do.

import { WpError } from '../../errors.ts';
import type { OnnxHeader } from '../../onnx/header.ts';
import { isRecord } from '../../processing/json.ts';
import type { EncodeCall, EncodeResult } from '../../protocol/messages.ts';
import { classify, rerank } from '../../tasks/classify.ts';
import { classifyTokens } from '../../tasks/classify-tokens.ts';
import { embed } from '../../tasks/embed.ts';
import type { RunOptions } from '../../tasks/encoder-session.ts';
import type { EncoderTextModel } from '../../tasks/text-model.ts';
import { entails, zeroShotTexts } from '../../tasks/zero-shot-text.ts';
import type { EncoderInfo } from '../../types.ts';
import { readSentenceFiles } from '../sentence-files.ts';
import { countIn, labelNames, partOf, readTexts, type Config } from './companion-files.ts';
import { cannotDo, type FoundTasks, type TasksRequest } from './found-tasks.ts';
import { OnnxTextSession } from './text-session.ts';
import { towersOf } from './towers.ts';

/** Tasks of a file that reads token ids and no images. */
export async function createTextTasks(request: TasksRequest): Promise<FoundTasks> {
  const { files, header, session, config, contextLength, signal } = request;
  const head = findHead(header, config);
  if (!head) return 'Its inputs and outputs are not those of a text encoder';
  const tower = towersOf(config);
  const sentences = await readSentenceFiles(files, signal);
  const textConfig = partOf(config, 'text_config');
  const reader = await readTexts({
    files,
    config: textConfig,
    ids: header.inputs.find(({ name }) => name === 'input_ids')!,
    positions: tower?.maxTokens ?? 512,
    declaredTokens: sentences.maxTokens,
    contextLength,
    signal,
  });
  if (!reader) return 'No tokenizer.json lies beside it';
  const labels = head.labels ? labelNames(config, head.classes) : [];
  const labelsTokens = head.labels === 'tokens';
  const isRanker = labels.length === 1 && !labelsTokens;
  const info: EncoderInfo = {
    tasks: [
      ...(head.hidden ? ['embed' as const] : []),
      ...(labels.length === 0 ? [] : isRanker ? ['rerank' as const] : ['classify' as const]),
      ...(!labelsTokens && entails(labels) ? ['zeroShot' as const] : []),
    ],
    dimensions: head.width ?? countIn(textConfig, 'hidden_size', 'dim') ?? 0,
    maxTokens: reader.maxTokens,
    pooling: tower ? 'pooler' : (sentences.pooling ?? 'mean'),
    normalize: tower !== undefined || sentences.normalize,
    prompts: sentences.prompts,
    defaultPrompt: sentences.defaultPrompt,
    similarity: sentences.similarity,
    labels,
    ...(labelsTokens && { labelsTokens }),
    isMultiLabel: config.problem_type === 'multi_label_classification',
  };
  const model = {
    info,
    session: new OnnxTextSession({
      session,
      inputs: header.inputs,
      embeddingOutput: head.hidden,
      pooling: sentences.pooling ?? 'mean',
      padId: reader.padId,
      length: reader.fixedTokens ?? (tower?.padsToEnd ? reader.modelTokens : undefined),
    }),
    tokenizer: reader.tokenizer,
    template: reader.template,
    lowerCase: sentences.lowerCase,
  };
  return {
    maxTokens: reader.modelTokens,
    tasks: {
      info,
      encode: (call, run) => encode(model, call, run),
      tokenize: (text) => reader.tokenizer.encode(text, { addSpecialTokens: false }),
    },
  };
}

async function encode(
  model: EncoderTextModel & { session: OnnxTextSession },
  call: EncodeCall,
  run: RunOptions,
): Promise<EncodeResult> {
  switch (call.task) {
    case 'embed':
      return embed(model, call.texts, call.options, run);
    case 'classify':
      if (model.info.labelsTokens) return classifyTokens(model, call.texts, call.aggregation, run);
      if (call.aggregation === undefined) return classify(model, call.texts, run);
      throw new WpError('invalid-argument', 'aggregation is for models that label tokens.', 'Leave it out.', {
        actual: call.aggregation,
      });
    case 'zeroShotTexts':
      return zeroShotTexts(model, call.texts, call.labels, call.options, run);
    case 'rerank':
      return rerank(model, call.query, call.documents, run);
    default:
      throw cannotDo(call.task, model.info);
  }
}

/** Of vectors for texts, the output that holds them whole comes before the one that has yet to be pooled. */
const EMBEDDING_OUTPUTS = ['sentence_embedding', 'text_embeds', 'last_hidden_state', 'token_embeddings'];
const TEXT_INPUTS = ['input_ids', 'attention_mask', 'token_type_ids', 'position_ids'];

interface Head {
  /** The output that vectors are made from. */
  hidden: string | undefined;
  width: number | undefined;
  /** What the output `logits` labels. */
  labels: 'texts' | 'tokens' | undefined;
  /** Undefined where the file leaves it open. */
  classes: number | undefined;
}

function findHead({ inputs, outputs }: OnnxHeader, config: Config): Head | undefined {
  if (!inputs.every(({ name, type }) => TEXT_INPUTS.includes(name) && (type === 'int64' || type === 'int32')))
    return undefined;
  const vectors = towersOf(config)?.padsToEnd ? ['text_embeds', 'pooler_output'] : EMBEDDING_OUTPUTS;
  const hidden = vectors.map((wanted) => outputs.find(({ name }) => name === wanted)).find(Boolean);
  const logits = outputs.find(({ name }) => name === 'logits')?.dims;
  const classes = logits?.at(-1);
  const labels = logits?.length === 2 ? 'texts' : labelsTokens(logits, config) ? 'tokens' : undefined;
  if (!hidden && !labels) return undefined;
  const width = hidden?.dims?.at(-1);
  return {
    hidden: hidden?.name,
    width: typeof width === 'number' ? width : undefined,
    labels,
    classes: typeof classes === 'number' ? classes : undefined,
  };
}

/** Logits of one row a token are labels, or those of words: of a model that fills in or goes on. */
function labelsTokens(logits: readonly unknown[] | undefined, config: Config): boolean {
  if (logits?.length !== 3) return false;
  const { architectures, id2label } = config;
  if (Array.isArray(architectures)) return architectures.some((name) => /ForTokenClassification$/.test(String(name)));
  return isRecord(id2label) && Object.keys(id2label).length === logits[2];
}
