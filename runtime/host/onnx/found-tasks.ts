// The tasks that were found for an ONNX export, whatever it reads.

import { WpError } from '../../errors.ts';
import type { ModelFiles } from '../../loading/model-files.ts';
import type { OnnxHeader } from '../../onnx/header.ts';
import type { OnnxSession } from '../../onnx/session.ts';
import type { EncodeCall, EncodeResult } from '../../protocol/messages.ts';
import type { RunOptions } from '../../tasks/encoder-session.ts';
import type { EncoderInfo } from '../../types.ts';
import type { Config } from './companion-files.ts';

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

/** For a call that the model has no output for. */
export function cannotDo(task: string, { tasks }: EncoderInfo): WpError {
  return new WpError(
    'unsupported-operation',
    `This ONNX model cannot do ${task}; it can ${tasks.join(' and ')}.`,
    'Load the model as safetensors, or call model.run().',
    { actual: task, allowed: tasks },
  );
}
