// Loading an encoder: what load.ts does for a model that writes, for one that reads. Reached by a dynamic import when config.json
// names no decoder; vision-model.ts goes on for what reads images.

import type { EncoderProgram } from '../backends/backend.ts';
import { throwIfAborted, WpError } from '../errors.ts';
import { readGenerationDefaults } from '../generation/options.ts';
import { countParameters } from '../graph/sizes.ts';
import type { ModelFiles } from '../loading/model-files.ts';
import type { LoadProgressTracker } from '../loading/progress.ts';
import { ENCODER_MODEL_TYPES, readEncoder, type EncoderModel, type TextEncoder } from '../models/encoders/index.ts';
import { FAMILIES, modelTypeOf } from '../models/index.ts';
import { readSequenceTemplate } from '../processing/sequence-template.ts';
import { createTokenizer } from '../processing/tokenizer.ts';
import { libraryFor } from '../processing/tokenizer-library.ts';
import type { LoadRequest } from '../protocol/messages.ts';
import { plainEmbeddings, type EmbeddingConfig } from '../tasks/embedding-config.ts';
import { EncoderSession } from '../tasks/encoder-session.ts';
import { entails } from '../tasks/zero-shot-text.ts';
import type { Capabilities, EncoderInfo, ModelInfo } from '../types.ts';
import { openCheckpoint, type Checkpoint } from '../weights/checkpoint.ts';
import { createWeightSource, type WeightSource } from '../weights/weight-source.ts';
import { longestText, precisionName, readLabels } from './encoder-options.ts';
import { planEncoder, planSteps } from './encoder-plan.ts';
import { fillProgram } from './fill-program.ts';
import type { OpenedGguf } from './gguf-model.ts';
import type { LoadContext } from './load.ts';
import { LoadedEncoder } from './loaded-encoder.ts';
import type { HostedModel } from './loaded-model.ts';
import type { ModelDescription } from './model-description.ts';
import { encoderCapabilities } from './webnn-refusal.ts';
import { readSentenceFiles } from './sentence-files.ts';

export interface EncoderLoad {
  request: LoadRequest;
  context: LoadContext;
  description: ModelDescription;
  /** Where the source is a GGUF file. */
  gguf: OpenedGguf | undefined;
  files: ModelFiles;
  progress: LoadProgressTracker;
  /** The source's files again, after a lost device. */
  openFiles: () => Promise<ModelFiles>;
  openWeights: (files: ModelFiles) => Promise<Checkpoint>;
  /** Why WebNN cannot run this model, once that is known. */
  webnnRefusal?: string | undefined;
}

/** Loads an encoder of texts, images or both. Rejects as `load` does. */
export async function loadEncoder(load: EncoderLoad): Promise<HostedModel> {
  const { modelType, text, vision, similarity } = readAnyEncoder(load.description.config);
  if (text && !vision) return loadTextEncoder(load, modelType, text);
  const { loadVision } = await import('./vision-model.ts');
  return loadVision(load, { modelType, text, vision: vision!, similarity });
}

async function loadTextEncoder(load: EncoderLoad, modelType: string, encoder: TextEncoder): Promise<LoadedEncoder> {
  const { request, context, description, gguf, files, progress } = load;
  const { signal } = context;
  const detecting = encoderCapabilities(load.webnnRefusal);
  void detecting.then((capabilities) => fetchCode(request, capabilities));
  // Together: each asks the server whether what is stored still stands, and the tokenizer is made while it answers. A folder
  // without weights says that first.
  const tokenizing = libraryFor(description.tokenizer).then((library) =>
    createTokenizer(description.tokenizer, description.tokenizerConfig, library),
  );
  tokenizing.catch(() => undefined);
  const [sentences, checkpoint] = await Promise.all([
    readSentences(load, encoder),
    gguf?.checkpoint ?? openCheckpoint(files, signal),
  ]);
  const tokenizer = await tokenizing;
  const graph = encoder.graph({
    outputs: encoder.config.head ? ['embedding', 'logits'] : ['embedding'],
    pooling: sentences.pooling,
    // The host does it, after it has cut the vectors to the dimensions that were asked for.
    normalize: false,
    tensorNames: new Set(checkpoint.tensors.keys()),
  });
  gguf?.expectAllUsed(graph);
  const weights = createWeightSource(checkpoint, graph);
  const capabilities = await detecting;
  const modelTokens = longestText(encoder.config.maxTokens, sentences.maxTokens, description.tokenizerConfig);
  const plan = planEncoder({
    graph,
    capabilities,
    wishes: { ...request, precision: precisionName(request) },
    model: {
      maxContextLength: modelTokens,
      storedFormats: new Map(graph.weights.map((weight) => [weight.name, weights.storedFormat(weight)])),
    },
  });
  const maxTokens = request.contextLength ?? modelTokens;
  const padded = encoder.config.paddedLength ?? 0;
  const steps = planSteps(graph, plan, Math.max(maxTokens, padded), capabilities, request.memoryLimitBytes);
  const template = readSequenceTemplate(description.tokenizer);
  throwIfAborted(signal);

  const createProgram = async (from: WeightSource, until: AbortSignal | undefined): Promise<EncoderProgram> => {
    const backend = await context.backends.get({ name: plan.backend, threads: plan.threads, device: plan.device });
    if (!backend.compileEncoder) {
      throw new WpError('unsupported-operation', `The backend ${backend.name} does not run encoders.`, '', {});
    }
    const { maxTokens: tokens, maxOutputs } = steps;
    const program = await backend.compileEncoder(graph, { formats: plan.formats, maxTokens: tokens, maxOutputs });
    return fillProgram(program, from, plan.formats, progress, until);
  };
  const recover = async (): Promise<EncoderProgram> => {
    const again = await load.openFiles();
    try {
      return await createProgram(createWeightSource(await load.openWeights(again), graph), undefined);
    } finally {
      await again.close();
    }
  };

  for (const [name, bytes] of weights.bytesByFile) progress.expect(name, bytes);
  progress.totalIsKnown();
  progress.enter('downloading');
  const program = await createProgram(weights, signal);
  const backend = await context.backends.get({ name: plan.backend, threads: plan.threads, device: plan.device });
  const encoderInfo = describe(encoder, sentences, maxTokens, description.config);
  const { backend: name, precision, bitsPerWeight, threads, reasons } = plan;
  const info: ModelInfo = {
    source: typeof request.source === 'string' ? request.source : files.description,
    modelType,
    parameters: countParameters(graph),
    vocabularySize: encoder.config.vocabularySize,
    layers: encoder.config.layers,
    maxContextLength: modelTokens,
    hasChatTemplate: false,
    encoder: encoderInfo,
    plan: {
      backend: name,
      precision,
      bitsPerWeight,
      contextLength: maxTokens,
      threads,
      memory: steps.memory,
      backendDescription: backend.description,
      downloadBytes: weights.downloadBytes,
      reasons: [
        ...reasons.filter(({ topic }) => topic !== 'memory' && topic !== 'prefill' && topic !== 'context'),
        {
          topic: 'step',
          reason: `Up to ${steps.maxOutputs} texts of ${steps.maxTokens} tokens together make one step.`,
        },
        ...(gguf?.conversions(graph, plan.formats) ?? []),
        ...files.notes(),
      ],
    },
    notice: checkpoint.notice,
    defaults: readGenerationDefaults(undefined),
  };
  progress.enter('ready');
  return new LoadedEncoder(info, {
    info: encoderInfo,
    session: new EncoderSession({
      encoder,
      graph,
      pooling: sentences.pooling,
      program,
      maxTokens: steps.maxTokens,
      maxOutputs: steps.maxOutputs,
      recover: name === 'wasm' ? undefined : recover,
    }),
    tokenizer,
    template,
    lowerCase: sentences.lowerCase,
  });
}

/**
 * The code of the first call, and that which the plan will most likely want, while files come. What fails here fails again, and is
 * told, where it is needed.
 */
function fetchCode({ backend }: LoadRequest, { webgpu }: Capabilities): void {
  const code: Promise<unknown>[] = [import('./encoder-answer.ts')];
  const isOnCpu = backend === 'wasm' || (backend === 'auto' && (!webgpu.available || webgpu.isFallback));
  if (isOnCpu) code.push(import('../backends/wasm/index.ts'), import('../backends/wasm/encoder/program.ts'));
  for (const chunk of code) chunk.catch(() => undefined);
}

/**
 * A GGUF file says how its vectors are pooled; the rest is as without files of sentence-transformers, which a classifier has not
 * either: each file that is not there is an error in the page's console.
 */
async function readSentences({ gguf, files, context }: EncoderLoad, { config }: TextEncoder): Promise<EmbeddingConfig> {
  if (gguf) return { ...plainEmbeddings(), pooling: gguf.encoder?.pooling };
  if (config.head) return plainEmbeddings();
  return readSentenceFiles(files, context.signal);
}

function readAnyEncoder(config: unknown): EncoderModel {
  const modelType = modelTypeOf(config);
  if (ENCODER_MODEL_TYPES.includes(modelType)) return readEncoder(config);
  const allowed = [...FAMILIES.flatMap((family) => family.modelTypes), ...ENCODER_MODEL_TYPES];
  throw new WpError(
    'unsupported-architecture',
    `The model type ${JSON.stringify(modelType)} is not supported; supported: ${allowed.join(', ')}.`,
    'Choose a model of one of these types.',
    { actual: modelType, allowed },
  );
}

function describe(
  { config, widths }: TextEncoder,
  { pooling, normalize, prompts, defaultPrompt, similarity }: EmbeddingConfig,
  maxTokens: number,
  configJson: unknown,
): EncoderInfo {
  const { labels, isMultiLabel } = readLabels(configJson, config.head?.labels ?? 0);
  const labelsTokens = config.head?.of === 'token';
  const classifies = labelsTokens || labels.length > 1;
  return {
    tasks: [
      'embed',
      ...(classifies ? ['classify' as const] : labels.length === 1 ? ['rerank' as const] : []),
      ...(!labelsTokens && entails(labels) ? ['zeroShot' as const] : []),
    ],
    dimensions: pooling ? widths.hidden : widths.embedding,
    maxTokens,
    pooling:
      pooling ?? (widths.embedding === widths.pooled && config.pooler?.activation === undefined ? 'pooler' : 'mean'),
    normalize,
    prompts,
    defaultPrompt,
    similarity,
    labels,
    ...(labelsTokens && { labelsTokens }),
    isMultiLabel,
  };
}
