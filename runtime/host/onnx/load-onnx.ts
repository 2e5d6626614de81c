// Loading an ONNX file: what load.ts does for a checkpoint, for a graph that another program runs. Reached by a dynamic import,
// when the source names such a file or a folder holds nothing else. ONNX Runtime itself comes after the file has been checked.

import { detectCapabilities } from '../../capabilities/detect.ts';
import { isAbortError, throwIfAborted, WpError } from '../../errors.ts';
import { nextTask } from '../../generation/event-loop.ts';
import { readGenerationDefaults } from '../../generation/options.ts';
import type { ModelFiles } from '../../loading/model-files.ts';
import type { LoadProgressTracker } from '../../loading/progress.ts';
import type { OnnxHeader } from '../../onnx/header.ts';
import { whyOneThread } from '../../onnx/ort.ts';
import { chooseProviders, NAMES, type Provider } from '../../onnx/providers.ts';
import { createOnnxSession, type OnnxSession, type OnnxSource } from '../../onnx/session.ts';
import { chooseVariants } from '../../onnx/variants.ts';
import { memoryLimit } from '../../planning/memory-limit.ts';
import { chooseThreads } from '../../planning/threads.ts';
import type { LoadRequest } from '../../protocol/messages.ts';
import type { BackendName, Capabilities, ModelInfo } from '../../types.ts';
import type { LoadContext } from '../load.ts';
import { LoadedOnnx } from './loaded-onnx.ts';
import { findOnnx, readOnnx } from './read-model.ts';
import { createTasks } from './tasks.ts';

export interface OnnxLoad {
  request: LoadRequest;
  context: LoadContext;
  files: ModelFiles;
  progress: LoadProgressTracker;
  /** Why the folder was not loaded as a checkpoint: thrown again when it has no ONNX file either. */
  refusal?: unknown;
}

type Reason = ModelInfo['plan']['reasons'][number];

/** Loads a model of an ONNX file. Rejects as `load` does. */
export async function loadOnnx({ request, context, files, progress, refusal }: OnnxLoad): Promise<LoadedOnnx> {
  const { signal } = context;
  const capabilities = await detectCapabilities();
  const likely = chooseProviders(capabilities, request.backend, undefined)[0]!.provider;
  const found = await findOnnx(files, chooseVariants(request.precision, likely, capabilities), signal);
  if (!found) {
    if (refusal instanceof Error) throw refusal;
    throw new WpError('not-found', `${files.description} has no ONNX file.`, 'Name the file in the address.', {
      folder: files.description,
    });
  }
  const { file, variant, rewriteBits } = found;
  const limit = memoryLimit(likely === 'wasm' ? 'wasm' : 'webgpu', capabilities, request.memoryLimitBytes);
  const read = await readOnnx(found, files, limit, progress, signal);
  const { header } = read;
  const downloadBytes = read.external.reduce((sum, { data }) => sum + data.length, read.bytes.length);
  const reasons: Reason[] = [{ topic: 'file', reason: found.reason }];
  let precision = variant.precision;
  let { bitsPerWeight } = variant;
  let source: OnnxSource = { file: file.name, inputs: header.inputs, outputs: header.outputs, ...read };
  if (rewriteBits !== undefined) {
    const { rewriteMatrices } = await import('../../onnx/quantize/rewrite.ts');
    const rewritten = await rewriteMatrices(read, rewriteBits, file.name, async () => {
      await nextTask();
      throwIfAborted(signal);
    });
    source = { ...source, bytes: rewritten.bytes };
    if (rewritten.matrices > 0) precision = `${rewriteBits}bit`;
    ({ bitsPerWeight } = rewritten);
    reasons.push({ topic: 'precision', reason: rewritten.reason });
  } else if (typeof request.precision === 'string' && request.precision !== 'auto' && request.precision !== precision) {
    reasons.push({
      topic: 'precision',
      reason: `${request.precision} was asked for; ${file.name} is ${precision} and stays so.`,
    });
  }
  throwIfAborted(signal);

  progress.enter('compiling');
  const weightBytes = source.external.reduce((sum, { data }) => sum + data.length, source.bytes.length);
  const threads = threadsFor(capabilities, request.threads);
  const { session, reasons: providerReasons } = await createWith(
    source,
    header,
    request.backend,
    capabilities,
    threads.threads,
  );
  reasons.push(...providerReasons, ...(session.provider === 'wasm' ? [threads.reason] : []));
  try {
    throwIfAborted(signal);
    const facts = await createTasks({ files, header, session, contextLength: request.contextLength, signal });
    throwIfAborted(signal);
    if (facts?.note) reasons.push({ topic: 'tasks', reason: facts.note });
    const memory = { weights: weightBytes, keyValueCache: 0, activations: 0, total: weightBytes };
    const info: ModelInfo = {
      source: typeof request.source === 'string' ? request.source : files.description,
      modelType: facts?.modelType ?? 'onnx',
      parameters: header.parameters,
      vocabularySize: facts?.vocabularySize ?? 0,
      layers: facts?.layers ?? 0,
      maxContextLength: facts?.maxTokens ?? 0,
      hasChatTemplate: false,
      encoder: facts?.tasks?.info,
      onnx: {
        file: file.name,
        producer: header.producer,
        opset: header.opsets.get('') ?? 0,
        inputs: header.inputs,
        outputs: header.outputs,
        provider: session.provider,
      },
      plan: {
        backend: session.provider,
        backendDescription: `ONNX Runtime, ${NAMES[session.provider]}`,
        precision,
        bitsPerWeight,
        contextLength: facts?.tasks?.info.maxTokens ?? 0,
        threads: session.provider === 'wasm' ? threads.threads : 1,
        memory,
        downloadBytes,
        reasons: [...reasons, ...files.notes()],
      },
      notice: '',
      defaults: readGenerationDefaults(undefined),
    };
    progress.enter('ready');
    return new LoadedOnnx(info, session, facts?.tasks);
  } catch (thrown) {
    await session.dispose();
    throw thrown;
  }
}

/** The first provider that makes a session; what the others said is a reason of the plan. */
async function createWith(
  source: OnnxSource,
  header: OnnxHeader,
  wish: BackendName | 'auto',
  capabilities: Capabilities,
  threads: number,
): Promise<{ session: OnnxSession; reasons: Reason[] }> {
  const reasons: Reason[] = [];
  let refusal: unknown;
  for (const { provider, reason } of chooseProviders(capabilities, wish, header)) {
    try {
      const session = await createOnnxSession(source, provider, provider === 'wasm' ? threads : 1);
      return { session, reasons: [{ topic: 'backend', reason }, ...reasons] };
    } catch (thrown) {
      if (isAbortError(thrown)) throw thrown;
      refusal ??= thrown;
      reasons.push({ topic: 'backend', reason: refused(provider, thrown) });
    }
  }
  throw refusal;
}

function refused(provider: Provider, thrown: unknown): string {
  return `${NAMES[provider]} was tried first and refused: ${thrown instanceof Error ? thrown.message : String(thrown)}`;
}

function threadsFor(capabilities: Capabilities, wish: number | undefined): { threads: number; reason: Reason } {
  const planned = chooseThreads(capabilities, wish);
  const why = whyOneThread();
  if (planned.threads === 1 || why === undefined) return planned;
  return { threads: 1, reason: { topic: 'threads', reason: `One thread: ${why}.` } };
}
