// Quantising a model into files: which format each matrix gets, which calibration is run, and the tensors one by one from the
// checkpoint to the output, so that the peak is about one tensor. A chunk of its own.

import { WpError, throwIfAborted } from '../../errors.ts';
import { GraphBuilder } from '../../graph/builder.ts';
import { lower } from '../../graph/passes/index.ts';
import type { Graph, Weight } from '../../graph/types.ts';
import { openModelFiles } from '../../loading/open-files.ts';
import { openStore } from '../../loading/opfs-store.ts';
import { parseSource } from '../../loading/source.ts';
import { findFamily, modelTypeOf, rotaryRows } from '../../models/index.ts';
import { chooseFormats, type PrecisionPolicy, type StoredFormat } from '../../planning/precision-policy.ts';
import { quantizationPolicy } from '../../planning/quantization-options.ts';
import { averageBits } from '../../planning/weight-bytes.ts';
import { withKinds } from '../../planning/weight-kinds.ts';
import { chatTemplateText } from './template-text.ts';
import { createTokenizer } from '../../processing/tokenizer.ts';
import { libraryFor } from '../../processing/tokenizer-library.ts';
import type { QuantizeRequest } from '../../protocol/messages.ts';
import {
  assignBits,
  calibrate,
  measureSensitivity,
  quantizeWeights,
  textWindows,
  type Calibration,
  type CalibrationModel,
} from '../../quantization/calibration/index.ts';
import { FORMATS, isQuantized, type FormatName, type WeightFormat } from '../../quantization/formats.ts';
import type { QuantizePlan, QuantizeProgress } from '../../types.ts';
import { openCheckpoint } from '../../weights/checkpoint.ts';
import { createWeightSource, type WeightSource } from '../../weights/weight-source.ts';
import type { BackendPool } from '../backend-pool.ts';
import { openGgufModel } from '../gguf-model.ts';
import { readModelFiles } from '../model-description.ts';
import { ggufOutput, isWritable } from './gguf-output.ts';
import type { Output, PlannedTensor } from './output.ts';
import { safetensorsOutput } from './safetensors-output.ts';

/** Windows of the calibration text, and the tokens of each. */
const CALIBRATION = { count: 64, length: 512 };
/** Windows over which a matrix's sensitivity is measured. */
const PROBED_WINDOWS = 4;
/** What adaptive precision chooses from. */
const ADAPTIVE = [FORMATS.q2k, FORMATS.q3k, FORMATS.q4k, FORMATS.q5k, FORMATS.q6k, FORMATS.q8g32];

export interface QuantizeContext {
  backends: BackendPool;
  signal: AbortSignal;
  onProgress: (progress: QuantizeProgress) => void;
  /** Shows what will be written; answers how many bytes of the large file are there already. */
  plan: (plan: QuantizePlan) => Promise<number>;
  write: (file: string, start: number, bytes: Uint8Array) => Promise<void>;
}

/** Rejects with a WpError, or an AbortError; what was written stays. */
export async function quantizeModel(request: QuantizeRequest, context: QuantizeContext): Promise<void> {
  const { signal, onProgress } = context;
  const source = parseSource(request.source, { embeddedBase: request.embeddedBase });
  const store = source.kind === 'http' ? await openStore() : undefined;
  onProgress({ phase: 'resolving', done: 0, total: 0, tensor: undefined });
  const files = await openModelFiles(source, { store, http: { headers: request.headers } });
  try {
    const isGguf = /\.gguf$/i.test(files.weightsName ?? '');
    const gguf = isGguf ? await openGgufModel(files, signal) : undefined;
    const description = gguf?.description ?? (await readModelFiles(files, signal));
    const family = findFamily(modelTypeOf(description.config));
    const config = family.config(description.config);
    const builder = new GraphBuilder();
    family.build(builder, config);
    const authored = builder.build();
    gguf?.expectAllUsed(authored);
    const checkpoint = gguf?.checkpoint ?? (await openCheckpoint(files, signal));
    const weights = createWeightSource(checkpoint, authored);

    const model: CalibrationModel = {
      graph: authored,
      backend: await context.backends.get({ name: 'wasm', threads: request.threads }),
      weights: (graph, formats, until) => createWeightSource(checkpoint, graph).stream(formats, until),
      rotaryRows: (past, tokens) => rotaryRows(config, past, tokens),
    };
    const library = await libraryFor(description.tokenizer);
    const calibration = await calibrateOn(request, model, context, () =>
      createTokenizer(description.tokenizer, description.tokenizerConfig, library),
    );
    const choice = await chooseAll(request, authored, weights, model, calibration, context);

    // In the order in which the checkpoint gives them, so that each is read once and written at once.
    const place = ({ parts }: Weight) => {
      const tensors = [...checkpoint.tensors.values()];
      const name = parts[0]!.tensor;
      return tensors.findIndex((tensor) => tensor.name === name || tensor.name.startsWith(`${name}.`));
    };
    const ordered = authored.weights
      .map((weight) => ({ weight, at: place(weight) }))
      .sort((a, b) => a.at - b.at)
      .map(({ weight }) => weight);
    const planned = ordered.map((weight): PlannedTensor => ({
      name: weight.name,
      shape: weight.shape,
      format: choice.byTensor.get(weight.name) ?? FORMATS.f16,
    }));
    const output: Output =
      request.output === 'gguf'
        ? ggufOutput({
            name: request.name,
            tensors: planned,
            description,
            config,
            entries: await gguf?.readEntries(signal),
            chatTemplate: chatTemplateText(description),
          })
        : safetensorsOutput(planned, description, checkpoint.notice);
    const formats = Object.fromEntries(choice.byTensor);
    const done = await context.plan({
      file: output.name,
      header: output.header,
      totalBytes: output.totalBytes,
      bitsPerWeight: averageBits(
        authored,
        new Map(
          authored.weights.map(({ name, shape }) => [
            name,
            shape.length > 1 ? choice.byTensor.get(name)! : FORMATS.f32,
          ]),
        ),
      ),
      formats: Object.fromEntries(Object.entries(formats).map(([name, format]) => [name, format.name])),
      reasons: choice.reasons,
    });
    await writeAll(
      { output, planned, done, request, model, calibration, weights, authored, checkpointWeights: ordered },
      context,
    );
  } finally {
    await files.close();
  }
}

interface Writing {
  output: Output;
  planned: readonly PlannedTensor[];
  done: number;
  request: QuantizeRequest;
  model: CalibrationModel;
  calibration: Calibration | undefined;
  weights: WeightSource;
  authored: Graph;
  checkpointWeights: readonly Weight[];
}

async function writeAll(writing: Writing, context: QuantizeContext): Promise<void> {
  const { output, planned, done, request, model, calibration, weights, authored, checkpointWeights } = writing;
  for (const { name, bytes } of output.smallFiles) await context.write(name, 0, bytes);
  const isThere = (end: number): boolean => done >= end;
  if (!isThere(output.header.length)) await context.write(output.name, 0, output.header);
  const byName = new Map(output.tensors.map((tensor) => [tensor.name, tensor]));
  // Tensors that no weight of the checkpoint holds (rotary divisors) are known as they are.
  const known = new Set(planned.map(({ name }) => name));
  let end = output.header.length;
  for (const tensor of output.tensors) {
    if (known.has(tensor.name)) continue;
    if (!isThere(tensor.start + tensor.bytes))
      await context.write(output.name, tensor.start, tensor.encode(undefined as never));
    end = tensor.start + tensor.bytes;
  }
  const waiting = checkpointWeights.filter(({ name }) => {
    const { start, bytes } = byName.get(name)!;
    return !isThere(start + bytes);
  });
  let count = planned.length - waiting.length;
  const formats = new Map(planned.map(({ name, format }) => [name, format]));
  for (const run of runsOf(waiting, (weight) => isKept(weight, formats, weights))) {
    throwIfAborted(context.signal);
    const graph: Graph = { ...authored, weights: run.weights };
    const stream = run.isKept
      ? model.weights(
          graph,
          new Map(run.weights.map((weight) => [weight.name, keptFormat(weight, formats)])),
          context.signal,
        )
      : quantizeWeights(
          { ...model, weights: (_, wanted, until) => model.weights(graph, wanted, until) },
          { formats, method: request.method, calibration, signal: context.signal },
        );
    for await (const { name, matrix } of stream) {
      const tensor = byName.get(name)!;
      const bytes = tensor.encode(matrix);
      if (bytes.length !== tensor.bytes) {
        throw new WpError('internal', `${name} takes ${bytes.length} bytes; ${tensor.bytes} were planned.`);
      }
      if (tensor.start < end && end !== output.header.length)
        throw new WpError('internal', `${name} came out of order.`);
      await context.write(output.name, tensor.start, bytes);
      end = tensor.start + tensor.bytes;
      context.onProgress({ phase: 'quantizing', done: ++count, total: planned.length, tensor: name });
    }
  }
}

/** A vector, or a matrix that keeps what the checkpoint stores: passed on without being quantised again. */
function isKept(weight: Weight, formats: ReadonlyMap<string, WeightFormat>, weights: WeightSource): boolean {
  if (weight.shape.length < 2) return true;
  const format = formats.get(weight.name)!;
  return !isQuantized(format) || weights.storedFormat(weight) === format.name;
}

function keptFormat(weight: Weight, formats: ReadonlyMap<string, WeightFormat>): WeightFormat {
  return weight.shape.length < 2 ? FORMATS.f16 : formats.get(weight.name)!;
}

function* runsOf(
  weights: readonly Weight[],
  keeps: (weight: Weight) => boolean,
): Generator<{ isKept: boolean; weights: Weight[] }> {
  let run: Weight[] = [];
  for (const weight of weights) {
    if (run.length > 0 && keeps(run[0]!) !== keeps(weight)) {
      yield { isKept: keeps(run[0]!), weights: run };
      run = [];
    }
    run.push(weight);
  }
  if (run.length > 0) yield { isKept: keeps(run[0]!), weights: run };
}

async function calibrateOn(
  { calibration, method, budgetBytes }: QuantizeRequest,
  model: CalibrationModel,
  { signal, onProgress }: QuantizeContext,
  tokenizer: () => { encode(text: string): number[] },
): Promise<(Calibration & { windows?: number[][] }) | undefined> {
  if (calibration === undefined) {
    if (method === 'search' || method === 'hqq') {
      if (budgetBytes === undefined) return undefined;
      throw new WpError(
        'invalid-argument',
        'budgetBytes needs a calibration text.',
        'Name one, or leave the budget out.',
      );
    }
    throw new WpError(
      'invalid-argument',
      `The method ${method} needs a calibration text.`,
      'Name one, or take "search".',
    );
  }
  const windows = textWindows(tokenizer().encode(calibration), CALIBRATION);
  if (windows.length === 0)
    throw new WpError('invalid-argument', 'The calibration text is empty.', 'Name another text.');
  const result: Calibration & { windows?: number[][] } = await calibrate(model, windows, {
    gather: method === 'gptq' ? 'moments' : 'squares',
    signal,
    onProgress: (done, total) => onProgress({ phase: 'calibrating', done, total, tensor: undefined }),
  });
  result.windows = windows;
  return result;
}

async function chooseAll(
  request: QuantizeRequest,
  authored: Graph,
  weights: WeightSource,
  model: CalibrationModel,
  calibration: (Calibration & { windows?: number[][] }) | undefined,
  { signal, onProgress }: QuantizeContext,
): Promise<{ byTensor: Map<string, WeightFormat>; reasons: string[] }> {
  const policy = quantizationPolicy(request.options, authored);
  const wished: PrecisionPolicy = request.output === 'gguf' ? expressible(policy) : policy;
  // As a load would stack them: gate and up share a format; queries, keys and values may differ.
  const lowered = lower(withKinds(authored, (weight) => weights.storedFormat(weight), policy.bitsOf));
  const stored = new Map<string, StoredFormat>();
  for (const weight of lowered.weights) {
    const names = weight.parts.map(({ tensor }) => authored.weights.find(({ name }) => name === tensor)!);
    const formats = new Set(names.map((part) => weights.storedFormat(part)));
    if (formats.size === 1) stored.set(weight.name, [...formats][0]!);
  }
  const choice = chooseFormats(lowered, stored, wished)[0]!;
  const chosen = new Map(choice.formats);
  const reasons = choice.reasons.map(({ reason }) => reason);
  if (request.output === 'gguf') {
    for (const [name, format] of chosen) {
      if (isWritable(format)) continue;
      // Stored in a format that GGUF has no type for: the nearest with no fewer bits.
      chosen.set(name, FORMATS[nearestWritable(format)]);
      reasons.push(`${name} becomes ${nearestWritable(format)}: GGUF has no type for ${format.name}.`);
    }
  }
  if (request.budgetBytes !== undefined && calibration?.windows) {
    const units = await measureSensitivity(model, calibration.windows.slice(0, PROBED_WINDOWS), calibration, {
      candidates: ADAPTIVE,
      signal,
      onProgress: (done, total) => onProgress({ phase: 'measuring', done, total, tensor: undefined }),
    });
    const assigned = assignBits(units, request.budgetBytes);
    for (const [name, format] of assigned.formats) chosen.set(name, format);
    reasons.push(`Bits were measured and chosen for ${assigned.bytes} bytes of matrices.`);
  }
  const byTensor = new Map<string, WeightFormat>();
  for (const weight of lowered.weights) {
    if (weight.shape.length < 2) continue;
    for (const { tensor } of weight.parts) byTensor.set(tensor, chosen.get(weight.name) ?? chosen.get(tensor)!);
  }
  return { byTensor, reasons };
}

/** Only what GGUF can hold; where the width allows none of it, more bits. */
function expressible(policy: PrecisionPolicy): PrecisionPolicy {
  return {
    ...policy,
    formatsFor(weight) {
      const wanted = policy.formatsFor(weight);
      const writable = wanted.filter((name) => isWritable(FORMATS[name]));
      if (writable.length > 0 && wanted[0] === writable[0])
        return [...writable, nearestWritable(FORMATS[wanted[0]!]), 'q8g32'];
      throw new WpError(
        'unsupported-format',
        `GGUF has no type for ${wanted[0]}.`,
        'Leave scheme and groupSize out, or write safetensors.',
        { actual: wanted[0], weight: weight.name },
      );
    },
  };
}

/** With rows of 32, and no fewer bits. */
function nearestWritable(format: WeightFormat): FormatName {
  if (!isQuantized(format)) return 'f16';
  const bits = format.planes.reduce<number>((sum, plane) => sum + plane, 0);
  return bits <= 4 ? 'q4g32' : bits === 5 ? 'q5g32' : 'q8g32';
}
