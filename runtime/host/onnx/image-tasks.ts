// The tasks of image encoders over an ONNX export: vectors, classes, and (one file of two towers) labels that it was never taught.

import type { OnnxHeader } from '../../onnx/header.ts';
import type { Classification, ImagePayload } from '../../model.ts';
import { MAX_IMAGE_PIXELS } from '../../processing/images/decode-image.ts';
import {
  readImageProcessor,
  type ImageProcessorConfig,
  type PixelSize,
} from '../../processing/images/processor-config.ts';
import { isRecord } from '../../processing/json.ts';
import type { EncodeCall, EncodeResult } from '../../protocol/messages.ts';
import { embed } from '../../tasks/embed.ts';
import type { RunOptions } from '../../tasks/encoder-session.ts';
import { classifyImages, DEFAULT_TEMPLATE, embedImages, fillTemplate, ranked } from '../../tasks/image-tasks.ts';
import { sigmoid, softmax } from '../../tasks/probabilities.ts';
import { prepareText, requireTask, type EncoderTextModel } from '../../tasks/text-model.ts';
import type { TensorInfo } from '../../tensors.ts';
import type { EncoderInfo } from '../../types.ts';
import { countIn, labelNames, partOf, readOptional, readTexts, type Config } from './companion-files.ts';
import { OnnxImageSession } from './image-session.ts';
import { cannotDo, type FoundTasks, type TasksRequest } from './found-tasks.ts';
import { OnnxTextSession } from './text-session.ts';
import { towersOf, type TowerTraits } from './towers.ts';

interface ImageModel {
  info: EncoderInfo;
  session: OnnxImageSession;
  texts: (EncoderTextModel & { session: OnnxTextSession }) | undefined;
  probabilities: TowerTraits['probabilities'];
}

const TOWER_INPUTS = ['pixel_values', 'input_ids', 'attention_mask'];
const LABEL_LOGITS = 'logits_per_image';

/** Tasks of a file that reads images, alone or with texts beside them. */
export async function createImageTasks(request: TasksRequest): Promise<FoundTasks> {
  const { files, header, session, config, contextLength, signal } = request;
  const input = (name: string): TensorInfo | undefined => header.inputs.find((info) => info.name === name);
  const pixels = input('pixel_values')!;
  const type = pixels.type === 'float16' ? 'float16' : 'float32';
  const head = findHead(header, config);
  if (!head || pixels.type !== type || !header.inputs.every(({ name }) => TOWER_INPUTS.includes(name)))
    return 'Its inputs and outputs are not those of an image encoder';
  const processor = await readProcessor(request);
  if (!processor) return 'No preprocessor_config.json lies beside it';
  const size = imageSize(pixels, config, processor);
  if (!size) return 'It is not said how large its images are';
  const tower = towersOf(config);
  const ids = input('input_ids');
  const reader =
    ids &&
    (await readTexts({
      files,
      config: partOf(config, 'text_config'),
      ids,
      positions: tower?.maxTokens ?? 77,
      declaredTokens: undefined,
      contextLength,
      signal,
    }));
  if (ids && !reader) return 'No tokenizer.json lies beside it';

  const labels = head.classes === undefined ? [] : labelNames(config, head.classes || undefined);
  const labelsTexts = reader !== undefined && header.outputs.some(({ name }) => name === LABEL_LOGITS);
  const info: EncoderInfo = {
    tasks: [
      ...(head.vectors ? ['embed' as const] : []),
      ...(labels.length > 0 ? ['classify' as const] : []),
      ...(labelsTexts ? ['zeroShot' as const] : []),
    ],
    images: { ...size, maxPixels: MAX_IMAGE_PIXELS, readsTexts: reader !== undefined },
    dimensions: head.width ?? countIn(config, 'projection_dim', 'hidden_size') ?? 0,
    maxTokens: reader?.maxTokens ?? 0,
    pooling: head.vectors === 'last_hidden_state' ? 'first' : 'pooler',
    normalize: true,
    prompts: {},
    defaultPrompt: undefined,
    similarity: 'cosine',
    labels,
    isMultiLabel: config.problem_type === 'multi_label_classification' || labels.length === 1,
  };
  const batch = typeof pixels.dims?.[0] === 'number' ? pixels.dims[0] : undefined;
  const parts = { session, processor, size, type, batch, embeddingOutput: head.vectors } as const;
  const model: ImageModel = {
    info,
    session: new OnnxImageSession(parts),
    texts: undefined,
    probabilities: tower?.probabilities ?? 'softmax',
  };
  if (reader) {
    // The graph runs whole: what is asked of one tower comes with something small for the other.
    const blank = model.session.tensor(new Float32Array((batch ?? 1) * 3 * size.width * size.height));
    const texts = new OnnxTextSession({
      session,
      inputs: header.inputs,
      embeddingOutput: header.outputs.find(({ name }) => name === 'text_embeds')?.name,
      pooling: 'first',
      padId: reader.padId,
      length: reader.fixedTokens ?? (tower?.padsToEnd ? reader.modelTokens : undefined),
      others: { pixel_values: blank },
    });
    const { tokenizer, template } = reader;
    model.texts = { info, session: texts, tokenizer, template, lowerCase: false };
    const { inputs } = texts.feeds([prepareText(model.texts, 'a', 0)]);
    model.session = new OnnxImageSession({ ...parts, others: inputs });
  }
  return {
    maxTokens: reader?.modelTokens ?? 0,
    tasks: {
      info,
      encode: (call, run) => encode(model, call, run),
      tokenize: reader && ((text) => reader.tokenizer.encode(text, { addSpecialTokens: false })),
    },
  };
}

async function encode(model: ImageModel, call: EncodeCall, run: RunOptions): Promise<EncodeResult> {
  switch (call.task) {
    case 'embedImages':
      requireTask(model.info, 'embed');
      return embedImages(model, call.images, call.options, run);
    case 'classifyImages':
      return classifyImages(model, call.images, run);
    case 'zeroShot':
      return zeroShot(model, call.images, call.labels, call.template, run);
    case 'embed':
      if (model.texts) return embed(model.texts, call.texts, call.options, run);
      throw cannotDo('embed texts', model.info);
    default:
      throw cannotDo(call.task, model.info);
  }
}

/** For each image the labels, best first, by the file's own logits. */
async function zeroShot(
  { info, session, texts, probabilities }: ImageModel,
  images: readonly ImagePayload[],
  labels: readonly string[],
  template: string | undefined,
  { signal, onProgress }: RunOptions,
): Promise<Classification[][]> {
  requireTask(info, 'zeroShot');
  const prepared = fillTemplate(labels, template ?? DEFAULT_TEMPLATE).map((text, i) => prepareText(texts!, text, i));
  const logits = images.map(() => [] as number[]);
  // More labels than fit a step: the images are read again for each so many.
  const most = texts!.session.mostTexts;
  for (let start = 0; start < prepared.length; start += most) {
    const step = prepared.slice(start, start + most);
    const { inputs, shape } = texts!.session.feeds(step);
    const isLast = start + most >= prepared.length;
    const rows = await session.run(images, LABEL_LOGITS, { signal, ...(isLast && { onProgress }) }, inputs);
    logits.forEach((row, i) => row.push(...rows.subarray(i * shape.batch, i * shape.batch + step.length)));
  }
  return logits.map((row) => ranked(labels, probabilities === 'softmax' ? softmax(row) : row.map(sigmoid)));
}

interface Head {
  /** The output that vectors are made from. */
  vectors: string | undefined;
  width: number | undefined;
  /** Of the output `logits`; 0 where the file leaves their number open. */
  classes: number | undefined;
}

/** Model types whose pooler is one more layer, which only pre-training used: their vector is the class token's. */
const POOLERS_APART = ['vit', 'deit'];

function findHead({ outputs }: OnnxHeader, { model_type: type }: Config): Head | undefined {
  const find = (name: string, rank: number) =>
    outputs.find((output) => output.name === name && (output.dims?.length ?? rank) === rank);
  const pooled = POOLERS_APART.includes(String(type)) ? undefined : find('pooler_output', 2);
  const vectors = find('image_embeds', 2) ?? pooled ?? find('last_hidden_state', 3);
  const logits = find('logits', 2);
  if (!vectors && !logits) return undefined;
  const [width, classes] = [vectors?.dims?.at(-1), logits?.dims?.[1]];
  return {
    vectors: vectors?.name,
    width: typeof width === 'number' ? width : undefined,
    classes: logits && (typeof classes === 'number' ? classes : 0),
  };
}

/** preprocessor_config.json, or the part of processor_config.json that newer versions of transformers write. */
async function readProcessor({ files, signal }: TasksRequest): Promise<ImageProcessorConfig | undefined> {
  const config = await readOptional(files, 'preprocessor_config.json', signal);
  if (config !== undefined) return readImageProcessor(config);
  const whole = await readOptional(files, 'processor_config.json', signal);
  return isRecord(whole) ? readImageProcessor(whole.image_processor) : undefined;
}

/** As the graph says, else its processor, else config.json. */
function imageSize(
  { dims }: TensorInfo,
  config: Config,
  { crop, resize }: ImageProcessorConfig,
): PixelSize | undefined {
  const [, , height, width] = dims ?? [];
  if (typeof height === 'number' && typeof width === 'number') return { width, height };
  if (crop) return crop;
  if (resize && !('shortestEdge' in resize)) return resize;
  const size = partOf(config, 'vision_config').image_size;
  return typeof size === 'number' ? { width: size, height: size } : undefined;
}
