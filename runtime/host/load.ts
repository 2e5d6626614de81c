// What loading a model is, from a source to one that answers: read what it is, decide how it will run here, and only then
// download the weights, tensor by tensor, into a program whose pipelines compile meanwhile. The composition root of the
// worker: each step below is one module's work.

import { detectCapabilities } from '../capabilities/detect.ts';
import type { Program } from '../backends/backend.ts';
import { throwIfAborted, WpError } from '../errors.ts';
import { DecoderSession } from '../generation/decode-loop.ts';
import { ignoredGenerationOptions, readEndTokens, readGenerationDefaults } from '../generation/options.ts';
import { GraphBuilder } from '../graph/builder.ts';
import { lower } from '../graph/passes/index.ts';
import type { Graph } from '../graph/types.ts';
import { countParameters } from '../graph/sizes.ts';
import type { ModelFiles } from '../loading/model-files.ts';
import { openModelFiles } from '../loading/open-files.ts';
import { openStore } from '../loading/opfs-store.ts';
import { LoadProgressTracker } from '../loading/progress.ts';
import { parseSource } from '../loading/source.ts';
import { findFamily, isDecoder, modelTypeOf, rotaryRows } from '../models/index.ts';
import { planModel } from '../planning/plan.ts';
import { withKinds } from '../planning/weight-kinds.ts';
import { createChatTemplate } from '../processing/chat-template.ts';
import { createTokenizer } from '../processing/tokenizer.ts';
import { libraryFor } from '../processing/tokenizer-library.ts';
import type { LoadRequest } from '../protocol/messages.ts';
import type { LoadProgress, ModelInfo, PlanReport, PrecisionName, QuantizationOptions } from '../types.ts';
import { openCheckpoint, sensitivityKey, type Checkpoint } from '../weights/checkpoint.ts';
import { createWeightSource, type WeightSource } from '../weights/weight-source.ts';
import type { BackendPool } from './backend-pool.ts';
import { fillProgram } from './fill-program.ts';
import type { OpenedGguf } from './gguf-model.ts';
import { LoadedModel, type HostedModel } from './loaded-model.ts';
import { readModelFiles } from './model-description.ts';
import type { DeviceTuning } from './tuning.ts';

export interface LoadContext {
  backends: BackendPool;
  signal: AbortSignal;
  onProgress: (progress: LoadProgress) => void;
}

/** Loads a model. Rejects with a WpError, or an AbortError; then nothing of it is left on any device. */
export async function load(request: LoadRequest, context: LoadContext): Promise<HostedModel> {
  const { signal } = context;
  const progress = new LoadProgressTracker({ report: context.onProgress });
  progress.enter('resolving');
  const source = parseSource(request.source, { embeddedBase: request.embeddedBase });
  const store = source.kind === 'http' ? await openStore() : undefined;
  /** The source's files: for the load, and again after a lost device. */
  const openFiles = (): Promise<ModelFiles> =>
    openModelFiles(source, { store, progress, http: { headers: request.headers } });
  const files = await openFiles();
  /** As a graph for ONNX Runtime, the code of which comes with the first one. */
  const asOnnx = async (refusal?: unknown): Promise<HostedModel> =>
    (await import('./onnx/load-onnx.ts')).loadOnnx({ request, context, files, progress, refusal });
  try {
    if (files.weightsName && /\.onnx$/i.test(files.weightsName)) return await asOnnx();
    const gguf = await openIfGguf(files, signal);
    const description = gguf?.description ?? (await readModelFiles(files, signal));
    if (!isDecoder(modelTypeOf(description.config))) {
      const { loadEncoder } = await import('./encoder-fallback.ts');
      return await loadEncoder({ request, context, description, gguf, files, progress, openFiles, openWeights });
    }
    const family = findFamily(modelTypeOf(description.config));
    const config = family.config(description.config);
    const builder = new GraphBuilder();
    family.build(builder, config);
    const authored = builder.build();

    gguf?.expectAllUsed(authored);
    const checkpoint = gguf?.checkpoint ?? (await openCheckpoint(files, signal));
    const { precision } = request;
    const policy = typeof precision === 'object' ? await loadPolicy(precision, authored) : undefined;
    const costs = precision === 'auto' && checkpoint.metadata.get(sensitivityKey);
    const measured = costs && (await import('../planning/measured-precision.ts')).measuredPrecision(costs);
    const stored = createWeightSource(checkpoint, authored);
    const graph = lower(withKinds(authored, (weight) => stored.storedFormat(weight), policy?.bitsOf));
    const weights = createWeightSource(checkpoint, graph);
    const capabilities = await detectCapabilities();
    const plan = planModel({
      graph,
      capabilities,
      wishes: { ...request, precision: measured || (policy ?? (precision as PrecisionName)) },
      model: {
        maxContextLength: config.maxContextLength,
        storedFormats: new Map(graph.weights.map((weight) => [weight.name, weights.storedFormat(weight)])),
      },
    });
    const tokenizer = createTokenizer(
      description.tokenizer,
      description.tokenizerConfig,
      await libraryFor(description.tokenizer),
    );
    const template = createChatTemplate(description);
    throwIfAborted(signal);

    // Fetched while the device is.
    const tuningCode = plan.backend === 'webgpu' && request.tuning !== 'off' ? import('./tuning.ts') : undefined;
    let tuning: DeviceTuning | undefined;
    const compileOptions = {
      formats: plan.formats,
      contextLength: plan.contextLength,
      maxTokens: plan.maxTokens,
      maxOutputs: plan.maxOutputs,
    };
    /** Compiles and fills a program; again, from the store, after a lost device. */
    const createProgram = async (from: WeightSource, until: AbortSignal | undefined): Promise<Program> => {
      const backend = await context.backends.get({ name: plan.backend, threads: plan.threads });
      tuning ??= await (await tuningCode)?.DeviceTuning.of(backend, capabilities.browser, request.tuning);
      const program = await backend.compile(graph, { ...compileOptions, tuned: tuning?.choices });
      return fillProgram(program, from, plan.formats, progress, until);
    };
    const recover = async (): Promise<Program> => {
      const again = await openFiles();
      try {
        return await createProgram(createWeightSource(await openWeights(again), graph), undefined);
      } finally {
        await again.close();
      }
    };

    for (const [name, bytes] of weights.bytesByFile) progress.expect(name, bytes);
    progress.totalIsKnown();
    progress.enter('downloading');
    const program = await createProgram(weights, signal);
    if (request.tuning === 'now') await tuning?.tune(program, {}, signal);
    const backend = await context.backends.get({ name: plan.backend, threads: plan.threads });
    const rows = (past: number, tokens: number): Float32Array => rotaryRows(config, past, tokens);
    const info: ModelInfo = {
      source: typeof request.source === 'string' ? request.source : source.description,
      modelType: modelTypeOf(description.config),
      parameters: countParameters(graph),
      vocabularySize: config.vocabularySize,
      layers: config.layers,
      maxContextLength: config.maxContextLength,
      hasChatTemplate: template !== undefined,
      plan: {
        ...reportOf(plan),
        backendDescription: backend.description,
        downloadBytes: weights.downloadBytes,
        reasons: [
          ...plan.reasons,
          ...(gguf?.conversions(graph, plan.formats) ?? []),
          ...(template?.reasons ?? []).map((reason) => ({ topic: 'chat template', reason })),
          ...ignoredGenerationOptions(description.generationConfig).map((name) => ({
            topic: 'generation_config.json',
            reason: `${name} is not supported and has no effect.`,
          })),
          ...files.notes(),
        ],
      },
      notice: checkpoint.notice,
      defaults: readGenerationDefaults(description.generationConfig),
    };
    const session = new DecoderSession({
      program,
      rotaryRows: rows,
      contextLength: plan.contextLength,
      maxTokens: plan.maxTokens,
      maxOutputs: plan.maxOutputs,
      vocabularySize: config.vocabularySize,
      recover: plan.backend === 'webgpu' ? recover : undefined,
    });
    const model = new LoadedModel({
      info,
      session,
      tune: async (wish, until) => {
        tuning ??= await (await import('./tuning.ts')).DeviceTuning.of(backend, capabilities.browser, 'now');
        return tuning.tune(session.program, wish, until);
      },
      tokenizer,
      template,
      defaults: info.defaults,
      eosIds: readEndTokens({ generationConfig: description.generationConfig, config: description.config, tokenizer }),
    });
    if (request.tuning === 'auto') tuning?.tuneInBackground(session, model.tuningSignal);
    progress.enter('ready');
    return model;
  } catch (thrown) {
    if (files.weightsName === undefined && isNoCheckpoint(thrown)) return await asOnnx(thrown);
    throw thrown;
  } finally {
    await files.close();
  }
}

/** A folder that holds no checkpoint of ours may hold an ONNX file. */
function isNoCheckpoint(thrown: unknown): boolean {
  return (
    thrown instanceof WpError && ['not-found', 'unsupported-architecture', 'missing-tokenizer'].includes(thrown.code)
  );
}

/** The weights of a source that is opened again. */
async function openWeights(files: ModelFiles): Promise<Checkpoint> {
  return (await openIfGguf(files))?.checkpoint ?? openCheckpoint(files);
}

/** A GGUF file holds all that a folder of other files says; the code that reads it comes with the first one. */
async function openIfGguf(files: ModelFiles, signal?: AbortSignal): Promise<OpenedGguf | undefined> {
  if (!files.weightsName || !/\.gguf$/i.test(files.weightsName)) return undefined;
  const { openGgufModel } = await import('./gguf-model.ts');
  return openGgufModel(files, signal);
}

/** Bits a role and a layer: the code that reads such wishes comes with the first one. */
async function loadPolicy(options: QuantizationOptions, graph: Graph) {
  const { quantizationPolicy } = await import('../planning/quantization-options.ts');
  return quantizationPolicy(options, graph);
}

type Plan = ReturnType<typeof planModel>;

function reportOf(plan: Plan): Omit<PlanReport, 'backendDescription' | 'downloadBytes'> {
  const { backend, precision, bitsPerWeight, contextLength, threads, memory, reasons } = plan;
  return { backend, precision, bitsPerWeight, contextLength, threads, memory, reasons };
}
