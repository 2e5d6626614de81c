// Loading a model that reads images, and (CLIP, SigLIP) texts beside them: one program for each tower, planned together.

import type { EncoderProgram } from '../backends/backend.ts';
import { throwIfAborted, WpError } from '../errors.ts';
import { readGenerationDefaults } from '../generation/options.ts';
import { countParameters } from '../graph/sizes.ts';
import type { Graph } from '../graph/types.ts';
import type { ModelFiles } from '../loading/model-files.ts';
import type { EncoderModel, TextEncoder, VisionEncoder } from '../models/encoders/index.ts';
import { memoryLimit } from '../planning/memory-limit.ts';
import { MAX_IMAGE_PIXELS } from '../processing/images/decode-image.ts';
import { readImageProcessor, type ImageProcessorConfig } from '../processing/images/processor-config.ts';
import { isRecord } from '../processing/json.ts';
import { readSequenceTemplate } from '../processing/sequence-template.ts';
import { createTokenizer } from '../processing/tokenizer.ts';
import { libraryFor } from '../processing/tokenizer-library.ts';
import { EncoderSession } from '../tasks/encoder-session.ts';
import { ImageSession } from '../tasks/image-session.ts';
import type { EncoderImageModel, Towers } from '../tasks/image-tasks.ts';
import type { EncoderInfo, ModelInfo } from '../types.ts';
import { openCheckpoint, type Checkpoint } from '../weights/checkpoint.ts';
import { toFloats } from '../weights/convert.ts';
import { createWeightSource, type WeightSource } from '../weights/weight-source.ts';
import type { EncoderLoad } from './encoder-model.ts';
import { longestText, precisionName, readLabels } from './encoder-options.ts';
import { type EncoderPlan, planEncoder, planSteps, type StepPlan } from './encoder-plan.ts';
import { fillProgram } from './fill-program.ts';
import { LoadedVision } from './loaded-vision.ts';
import { encoderCapabilities } from './webnn-refusal.ts';

/** Rejects as `load` does. */
export async function loadVision(
  load: EncoderLoad,
  { modelType, text, vision, similarity }: EncoderModel & { vision: VisionEncoder },
): Promise<LoadedVision> {
  const { request, context, description, files, progress } = load;
  const { signal } = context;
  const { config } = vision;
  const processor = await readProcessor(files, config.channels, signal);
  const checkpoint = await openCheckpoint(files, signal);
  const tensorNames = new Set(checkpoint.tensors.keys());
  // The host makes vectors' length 1, after it has cut them to the dimensions that were asked for.
  const imageGraph = vision.graph({
    outputs: config.head ? ['embedding', 'logits'] : ['embedding'],
    normalize: false,
    tensorNames,
  });
  const textGraph = text?.graph({ outputs: ['embedding'], normalize: false, tensorNames });
  const modelTokens = text ? longestText(text.config.maxTokens, undefined, description.tokenizerConfig) : 0;
  const maxTokens = text ? Math.min(request.contextLength ?? modelTokens, modelTokens) : 0;

  const image = await planTower(load, checkpoint, imageGraph, undefined, 1, 1);
  const longest = Math.max(maxTokens, text?.config.paddedLength ?? 0);
  const words = textGraph ? await planTower(load, checkpoint, textGraph, image, modelTokens, longest) : undefined;
  const towers = words ? [image, words] : [image];
  const scores = similarity && {
    scale: Math.exp(await readNumber(checkpoint, similarity.scaleTensor, signal)),
    bias: similarity.biasTensor === undefined ? 0 : await readNumber(checkpoint, similarity.biasTensor, signal),
    probabilities: similarity.probabilities,
  };
  const reader = text && {
    tokenizer: createTokenizer(
      description.tokenizer,
      description.tokenizerConfig,
      await libraryFor(description.tokenizer),
    ),
    template: readSequenceTemplate(description.tokenizer),
  };
  throwIfAborted(signal);

  for (const [name, bytes] of bytesByFile(towers, checkpoint)) progress.expect(name, bytes);
  progress.totalIsKnown();
  progress.enter('downloading');
  const encoder = describe(vision, text, maxTokens, description.config);
  const imageProgram = await createProgram(load, image, image.weights, signal);
  let wordProgram: EncoderProgram | undefined;
  try {
    wordProgram = words && (await createProgram(load, words, words.weights, signal));
  } catch (thrown) {
    imageProgram.dispose();
    throw thrown;
  }

  const info = await modelInfo(load, modelType, vision, towers, encoder, checkpoint);
  const model: EncoderImageModel = {
    info: encoder,
    session: new ImageSession({
      encoder: vision,
      graph: imageGraph,
      processor,
      program: imageProgram,
      recover: recovery(load, image),
    }),
    towers: undefined,
  };
  if (text && textGraph && words && wordProgram && scores && reader) {
    const session = new EncoderSession({
      encoder: text,
      graph: textGraph,
      pooling: undefined,
      program: wordProgram,
      maxTokens: words.steps.maxTokens,
      maxOutputs: words.steps.maxOutputs,
      recover: recovery(load, words),
    });
    model.towers = { text: { info: encoder, session, ...reader, lowerCase: false }, ...scores } satisfies Towers;
  }
  progress.enter('ready');
  return new LoadedVision(info, model);
}

/** A tower with what was decided for it. */
interface Tower {
  graph: Graph;
  weights: WeightSource;
  plan: EncoderPlan;
  steps: StepPlan;
}

/** The second tower runs where the first one does, in the memory that it leaves. */
async function planTower(
  { request, webnnRefusal }: EncoderLoad,
  checkpoint: Checkpoint,
  graph: Graph,
  first: Tower | undefined,
  maxContextLength: number,
  longest: number,
): Promise<Tower> {
  const weights = createWeightSource(checkpoint, graph);
  const capabilities = await encoderCapabilities(webnnRefusal);
  const left = first && memoryLimit(first.plan.backend, capabilities, request.memoryLimitBytes);
  const memoryLimitBytes = left ? Math.max(1, left.bytes - first.steps.memory.total) : request.memoryLimitBytes;
  const plan = planEncoder({
    graph,
    capabilities,
    wishes: {
      ...request,
      contextLength: undefined,
      memoryLimitBytes,
      precision: precisionName(request),
      backend: first?.plan.backend ?? request.backend,
    },
    model: {
      maxContextLength,
      storedFormats: new Map(graph.weights.map((weight) => [weight.name, weights.storedFormat(weight)])),
    },
  });
  return { graph, weights, plan, steps: planSteps(graph, plan, longest, capabilities, memoryLimitBytes) };
}

async function createProgram(
  { context, progress }: EncoderLoad,
  { graph, plan, steps }: Tower,
  from: WeightSource,
  until: AbortSignal | undefined,
): Promise<EncoderProgram> {
  const backend = await context.backends.get({ name: plan.backend, threads: plan.threads, device: plan.device });
  if (!backend.compileEncoder) {
    throw new WpError('unsupported-operation', `The backend ${backend.name} does not run encoders.`, '', {});
  }
  const { maxTokens, maxOutputs } = steps;
  const program = await backend.compileEncoder(graph, { formats: plan.formats, maxTokens, maxOutputs });
  return fillProgram(program, from, plan.formats, progress, until);
}

function recovery(load: EncoderLoad, tower: Tower): (() => Promise<EncoderProgram>) | undefined {
  if (tower.plan.backend === 'wasm') return undefined;
  return async () => {
    const again = await load.openFiles();
    try {
      const source = createWeightSource(await openCheckpoint(again), tower.graph);
      return await createProgram(load, tower, source, undefined);
    } finally {
      await again.close();
    }
  };
}

/** preprocessor_config.json, or the part of processor_config.json that newer versions of transformers write. */
async function readProcessor(files: ModelFiles, channels: number, signal: AbortSignal): Promise<ImageProcessorConfig> {
  const json = async (name: string): Promise<unknown> => (await files.open(name, signal))?.readJson(signal);
  let config = await json('preprocessor_config.json');
  if (config === undefined) {
    const whole = await json('processor_config.json');
    config = isRecord(whole) ? whole.image_processor : undefined;
  }
  if (config === undefined) {
    throw new WpError(
      'not-found',
      `${files.description} has no preprocessor_config.json.`,
      'Add the file of the model that tells how its images are resized and normalised.',
      { source: files.description },
    );
  }
  if (channels !== 3) {
    throw new WpError('unsupported-config', `config.json: num_channels is ${channels}; supported: 3.`, '', {
      field: 'num_channels',
      actual: channels,
      allowed: 3,
    });
  }
  return readImageProcessor(config);
}

/** A tensor of one number. */
async function readNumber(checkpoint: Checkpoint, name: string, signal: AbortSignal): Promise<number> {
  const bytes = await checkpoint.read(name, signal);
  const dtype = checkpoint.tensors.get(name)!.dtype.toLowerCase();
  if (dtype === 'f32' || dtype === 'f16' || dtype === 'bf16') {
    const numbers = toFloats(bytes, dtype);
    if (numbers.length === 1 && Number.isFinite(numbers[0])) return numbers[0]!;
  }
  throw new WpError('corrupt-file', `The tensor ${name} is no single number.`, 'Download the weights again.', {
    tensor: name,
    actual: dtype,
  });
}

/** Tensors are read once for each tower that uses them; the header once. */
function bytesByFile(towers: readonly Tower[], { files }: Checkpoint): Map<string, number> {
  const bytes = new Map([...files].map(([name, { headerBytes }]) => [name, headerBytes]));
  for (const { weights } of towers) {
    for (const [name, count] of weights.bytesByFile) {
      bytes.set(name, (bytes.get(name) ?? 0) + count - (files.get(name)?.headerBytes ?? 0));
    }
  }
  return bytes;
}

function describe(
  { config, widths }: VisionEncoder,
  text: TextEncoder | undefined,
  maxTokens: number,
  configJson: unknown,
): EncoderInfo {
  const { labels, isMultiLabel } = readLabels(configJson, config.head?.labels ?? 0);
  const others = [...(labels.length > 0 ? ['classify' as const] : []), ...(text ? ['zeroShot' as const] : [])];
  return {
    tasks: ['embed', ...others],
    images: {
      width: config.imageWidth,
      height: config.imageHeight,
      maxPixels: MAX_IMAGE_PIXELS,
      readsTexts: text !== undefined,
    },
    dimensions: widths.embedding,
    maxTokens,
    pooling: config.pooler === 'tanh' || config.pooler === 'none' ? 'first' : 'pooler',
    normalize: true,
    prompts: {},
    defaultPrompt: undefined,
    similarity: 'cosine',
    labels,
    isMultiLabel: isMultiLabel || labels.length === 1,
  };
}

async function modelInfo(
  { request, context, files }: EncoderLoad,
  modelType: string,
  vision: VisionEncoder,
  towers: readonly Tower[],
  encoder: EncoderInfo,
  checkpoint: Checkpoint,
): Promise<ModelInfo> {
  const { plan } = towers[0]!;
  const backend = await context.backends.get({ name: plan.backend, threads: plan.threads, device: plan.device });
  const total = (count: (tower: Tower) => number) => towers.reduce((sum, tower) => sum + count(tower), 0);
  const parameters = (tower: Tower) => countParameters(tower.graph);
  return {
    source: typeof request.source === 'string' ? request.source : files.description,
    modelType,
    parameters: total(parameters),
    vocabularySize: 0,
    layers: vision.config.layers,
    maxContextLength: encoder.maxTokens,
    hasChatTemplate: false,
    encoder,
    plan: {
      backend: plan.backend,
      precision: plan.precision,
      bitsPerWeight: total((tower) => tower.plan.bitsPerWeight * parameters(tower)) / total(parameters),
      contextLength: encoder.maxTokens,
      threads: plan.threads,
      memory: {
        weights: total(({ steps }) => steps.memory.weights),
        keyValueCache: 0,
        activations: total(({ steps }) => steps.memory.activations),
        total: total(({ steps }) => steps.memory.total),
      },
      backendDescription: backend.description,
      downloadBytes: [...bytesByFile(towers, checkpoint).values()].reduce((sum, bytes) => sum + bytes, 0),
      reasons: [
        ...plan.reasons.filter(({ topic }) => topic !== 'memory' && topic !== 'prefill' && topic !== 'context'),
        { topic: 'step', reason: 'One image makes one step: an abort waits for no more than that.' },
        ...files.notes(),
      ],
    },
    notice: checkpoint.notice,
    defaults: readGenerationDefaults(undefined),
  };
}
