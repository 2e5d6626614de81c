// What people may ask of an ONNX export beyond tensors: told by the names of its inputs and outputs, and by the files beside it.

import { isRecord } from '../../processing/json.ts';
import { countIn, partOf, readOptional } from './companion-files.ts';
import type { OnnxTasks, TasksRequest } from './found-tasks.ts';
import { createTextTasks } from './text-tasks.ts';

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
    : await createTextTasks({ ...request, config });
  const part = partOf(config, readsTexts ? 'text_config' : 'vision_config');
  return {
    modelType: typeof config.model_type === 'string' ? config.model_type : undefined,
    vocabularySize: readsTexts ? countIn(part, 'vocab_size') : undefined,
    layers: countIn(part, 'num_hidden_layers', 'n_layers'),
    ...(typeof found === 'string' ? { tasks: undefined, note: `${found}: tensors only.` } : found),
  };
}
