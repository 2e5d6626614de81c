// Quantising a model into files: which format each matrix gets, which calibration is run, and what an interrupted run keeps. A chunk
// of its own.

import { WpError } from '../../errors.ts';
import { GraphBuilder } from '../../graph/builder.ts';
import type { Graph, Weight } from '../../graph/types.ts';
import { openModelFiles } from '../../loading/open-files.ts';
import { openStore } from '../../loading/opfs-store.ts';
import { parseSource } from '../../loading/source.ts';
import { findFamily, modelTypeOf, rotaryRows } from '../../models/index.ts';
import { describeBytes } from '../../planning/reason.ts';
import { averageBits } from '../../planning/weight-bytes.ts';
import { createTokenizer } from '../../processing/tokenizer.ts';
import { libraryFor } from '../../processing/tokenizer-library.ts';
import type { QuantizeRequest } from '../../protocol/messages.ts';
import {
  calibrate,
  layerMemory,
  orderByLayers,
  outsideLayers,
  textWindows,
  type Calibration,
  type CalibrationModel,
  type LayerState,
} from '../../quantization/calibration/index.ts';
import { FORMATS, type FormatName, type WeightFormat } from '../../quantization/formats.ts';
import type { QuantizePlan, QuantizeProgress } from '../../types.ts';
import { openCheckpoint, type Checkpoint } from '../../weights/checkpoint.ts';
import { createWeightSource } from '../../weights/weight-source.ts';
import type { BackendPool } from '../backend-pool.ts';
import { openGgufModel } from '../gguf-model.ts';
import { readModelFiles } from '../model-description.ts';
import { chooseAllFormats, type ChosenFormats } from './choose-formats.ts';
import { ggufOutput } from './gguf-output.ts';
import type { Output, PlannedTensor } from './output.ts';
import { askedFor, readState, whyAnew, writeState, type RunState } from './run-state.ts';
import { safetensorsOutput } from './safetensors-output.ts';
import { chatTemplateText } from './template-text.ts';
import { goesByLayers, writeTensors } from './write-tensors.ts';

/** Windows of the calibration text, and the tokens of each. */
const CALIBRATION = { count: 64, length: 512 };

export interface QuantizeContext {
  backends: BackendPool;
  signal: AbortSignal;
  onProgress: (progress: QuantizeProgress) => void;
  /** Shows what will be written; answers how many bytes of the large file are there already. */
  plan: (plan: QuantizePlan) => Promise<number>;
  /** Takes what a later run needs, when the request wants it kept. */
  state?: (state: Uint8Array) => Promise<void>;
  write: (file: string, start: number, bytes: Uint8Array) => Promise<void>;
}

/** Rejects with a WpError, or an AbortError; what was written stays. */
export async function quantizeModel(request: QuantizeRequest, context: QuantizeContext): Promise<void> {
  const { signal, onProgress } = context;
  expectText(request);
  const asked = askedFor(request);
  const before = request.state && readState(request.state);
  const restart = before && whyAnew(before.asked, asked);
  const resumed = restart === undefined ? before : undefined;

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
    const windows = windowsOf(request, () =>
      createTokenizer(description.tokenizer, description.tokenizerConfig, library),
    );
    const calibration = resumed ? resumed.calibration : await calibrateOn(request, model, windows, context);
    const choice =
      choiceOf(resumed) ??
      (await chooseAllFormats({ request, authored, weights, model, windows, calibration, signal, onProgress }));
    if (!resumed && goesByLayers(request.method)) choice.reasons.push(describeMemory(authored, windows));

    const ordered = orderOf(request, authored, checkpoint);
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
            sensitivity: choice.sensitivity,
          })
        : safetensorsOutput(planned, description, checkpoint.notice, choice.sensitivity);
    const formats = Object.fromEntries([...choice.byTensor].map(([name, format]) => [name, format.name]));
    const { reasons, sensitivity } = choice;
    const answered = await context.plan({
      restart,
      file: output.name,
      header: output.header,
      totalBytes: output.totalBytes,
      bitsPerWeight: averageBits(authored, withVectors(authored, choice)),
      formats,
      reasons,
    });
    const done = restart === undefined ? answered : 0;
    const keep = async (rest: Pick<RunState, 'calibration' | 'layer'>): Promise<void> => {
      if (request.keepsState) await context.state?.(writeState({ asked, formats, reasons, sensitivity, ...rest }));
    };
    const from = reached(resumed?.layer, authored, output, done);
    // Without the layer's state all begins at the tables, whose statistics the state of a layer has not.
    const known = resumed?.layer && !from ? await calibrateOn(request, model, windows, context) : calibration;
    if (!from) await keep({ calibration: known });
    await writeTensors({
      output,
      planned: ordered,
      formats: choice.byTensor,
      done,
      method: request.method,
      model,
      windows,
      calibration: known,
      weights,
      authored,
      from,
      onLayer: (layer) => keep({ layer }),
      write: context.write,
      onProgress,
      signal,
    });
  } finally {
    await files.close();
  }
}

function choiceOf(resumed: RunState | undefined): ChosenFormats | undefined {
  if (!resumed) return undefined;
  const byTensor = Object.entries(resumed.formats).map(([name, format]) => [name, formatOf(format)] as const);
  const { reasons, sensitivity } = resumed;
  return { byTensor: new Map<string, WeightFormat>(byTensor), reasons: [...reasons], sensitivity };
}

function formatOf(name: string): WeightFormat {
  if (Object.hasOwn(FORMATS, name)) return FORMATS[name as FormatName];
  throw new WpError(
    'corrupt-file',
    `The state of the interrupted run names the format ${name.slice(0, 40)}.`,
    'Begin anew.',
  );
}

/** The order of the output: that of the checkpoint, so that each is read once; or tables first, then layer by layer. */
function orderOf({ method }: QuantizeRequest, authored: Graph, checkpoint: Checkpoint): Weight[] {
  const tensors = [...checkpoint.tensors.values()];
  const place = ({ parts }: Weight): number => {
    const name = parts[0]!.tensor;
    return tensors.findIndex((tensor) => tensor.name === name || tensor.name.startsWith(`${name}.`));
  };
  const asStored = (some: readonly Weight[]): Weight[] =>
    some
      .map((weight) => ({ weight, at: place(weight) }))
      .sort((a, b) => a.at - b.at)
      .map(({ weight }) => weight);
  return goesByLayers(method) ? orderByLayers(authored, asStored(outsideLayers(authored))) : asStored(authored.weights);
}

/** A layer's state, if all tensors before that layer are there. */
function reached(state: LayerState | undefined, authored: Graph, output: Output, done: number): LayerState | undefined {
  if (!state) return undefined;
  const layers = [...new Set(authored.weights.map(({ layer }) => layer).filter((layer) => layer !== undefined))];
  const first = layers.sort((a, b) => a - b)[state.layer];
  const inLayer = new Set(authored.weights.filter(({ layer }) => layer === first).map(({ name }) => name));
  const start = output.tensors.find(({ name }) => inLayer.has(name))?.start;
  return start !== undefined && done >= start ? state : undefined;
}

function withVectors(authored: Graph, { byTensor }: ChosenFormats): Map<string, WeightFormat> {
  return new Map(
    authored.weights.map(({ name, shape }) => [name, shape.length > 1 ? byTensor.get(name)! : FORMATS.f32]),
  );
}

function expectText({ calibration, method, budgetBytes }: QuantizeRequest): void {
  if (calibration !== undefined) return;
  if (method !== 'search' && method !== 'hqq') {
    throw new WpError(
      'invalid-argument',
      `The method ${method} needs a calibration text.`,
      'Name one, or take "search".',
    );
  }
  if (budgetBytes === undefined) return;
  throw new WpError('invalid-argument', 'budgetBytes needs a calibration text.', 'Name one, or leave the budget out.');
}

function windowsOf({ calibration }: QuantizeRequest, tokenizer: () => { encode(text: string): number[] }): number[][] {
  if (calibration === undefined) return [];
  const windows = textWindows(tokenizer().encode(calibration), CALIBRATION);
  if (windows.length > 0) return windows;
  throw new WpError('invalid-argument', 'The calibration text is empty.', 'Name another text.');
}

/** Mean squares for all matrices. Moments, which GPTQ needs, are gathered here outside the layers only: the layers' come one at a time. */
async function calibrateOn(
  { method, budgetBytes, calibration }: QuantizeRequest,
  model: CalibrationModel,
  windows: readonly number[][],
  { signal, onProgress }: QuantizeContext,
): Promise<Calibration | undefined> {
  const isNeeded = method === 'importance' || goesByLayers(method) || budgetBytes !== undefined;
  if (calibration === undefined || !isNeeded) return undefined;
  const outside = new Set(outsideLayers(model.graph).map(({ name }) => name));
  return calibrate(model, windows, {
    gather: goesByLayers(method) ? outside : 'squares',
    signal,
    onProgress: (done, total) => onProgress({ phase: 'calibrating', done, total, tensor: undefined }),
  });
}

function describeMemory(authored: Graph, windows: readonly number[][]): string {
  const { moments, matrices, hidden } = layerMemory(authored, windows);
  return (
    `Calibration holds one layer at a time: at most ${describeBytes(moments)} of moments and ${describeBytes(matrices)} ` +
    `of matrices, and ${describeBytes(hidden)} for the text's hidden states.`
  );
}
