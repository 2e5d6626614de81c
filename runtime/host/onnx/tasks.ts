// What people may ask of an ONNX export beyond tensors: told by the names of its inputs and outputs, and by the files beside it.

import { WpError } from '../../errors.ts';
import type { ModelFiles } from '../../loading/model-files.ts';
import type { OnnxHeader } from '../../onnx/header.ts';
import type { OnnxSession } from '../../onnx/session.ts';
import { isRecord } from '../../processing/json.ts';
import type { EncodeCall, EncodeResult } from '../../protocol/messages.ts';
import type { RunOptions } from '../../tasks/encoder-session.ts';
import type { EncoderInfo } from '../../types.ts';
import { countIn, partOf, readOptional, type Config } from './companion-files.ts';

export interface OnnxTasks {
  info: EncoderInfo;
  encode(call: EncodeCall, run: RunOptions): Promise<EncodeResult>;
  /** Undefined for a model that reads no texts. */
  tokenize: ((text: string) => number[]) | undefined;
}

/** `maxTokens`: of the model itself. A text in the place of tasks: why there are none. */
export type FoundTasks = { tasks: OnnxTasks; maxTokens: number } | string;

export interface TasksRequest {
  files: ModelFiles;
  header: OnnxHeader;
  session: OnnxSession;
  config: Config;
  contextLength: number | undefined;
  signal: AbortSignal;
}

export interface ModelFacts {
  tasks: OnnxTasks | undefined;
  /** Why there are none. */
  note?: string | undefined;
  modelType?: string | undefined;
  vocabularySize?: number | undefined;
  layers?: number | undefined;
  maxTokens?: number | undefined;
}

/** Undefined for a model that reads neither token ids nor images: only then nothing is looked for beside it. */
export async function createTasks(request: Omit<TasksRequest, 'config'>): Promise<ModelFacts | undefined> {
  const { files, header, signal } = request;
  const takes = (name: string): boolean => header.inputs.some((input) => input.name === name);
  const [readsTexts, readsImages] = [takes('input_ids'), takes('pixel_values')];
  if (!readsTexts && !readsImages) return undefined;
  const config = await readOptional(files, 'config.json', signal);
  if (!isRecord(config)) return { tasks: undefined, note: 'No config.json lies beside it: tensors only.' };
  const found = readsImages
    ? await (await import('./image-tasks.ts')).createImageTasks({ ...request, config })
    : await (await import('./text-tasks.ts')).createTextTasks({ ...request, config });
  const part = partOf(config, readsTexts ? 'text_config' : 'vision_config');
  return {
    modelType: typeof config.model_type === 'string' ? config.model_type : undefined,
    vocabularySize: readsTexts ? countIn(part, 'vocab_size') : undefined,
    layers: countIn(part, 'num_hidden_layers', 'n_layers'),
    ...(typeof found === 'string' ? { tasks: undefined, note: `${found}: tensors only.` } : found),
  };
}

/** For a call that the model has no output for. */
export function cannotDo(task: string, { tasks }: EncoderInfo): WpError {
  return new WpError(
    'unsupported-operation',
    `This ONNX model cannot do ${task}; it can ${tasks.join(' and ')}.`,
    'Load the model as safetensors, or call model.run().',
    { actual: task, allowed: tasks },
  );
}
