// The worker's end of a call with tensors: results are transferred, failures cross as data.

import * as Comlink from 'comlink';
import { WpError } from '../../errors.ts';
import type { Reply, TensorCall, TensorResult } from '../../protocol/messages.ts';
import type { HostedModel } from '../loaded-model.ts';

export async function answerRun(call: TensorCall, find: () => HostedModel): Promise<Reply<TensorResult>> {
  try {
    const model = find();
    if (!model.run) {
      const { modelType } = model.info;
      throw new WpError('unsupported-operation', `A ${modelType} takes no tensors.`, 'run() is for ONNX files.', {
        modelType,
      });
    }
    const value = await model.run(call);
    return Comlink.transfer({ ok: true, value }, buffersOf(value));
  } catch (thrown) {
    return { ok: false, error: WpError.from(thrown).toData() };
  }
}

function buffersOf(tensors: TensorResult): ArrayBuffer[] {
  const data = Object.values(tensors).map((tensor) => ('data' in tensor ? tensor.data : undefined));
  return [...new Set(data.flatMap((view) => (ArrayBuffer.isView(view) ? [view.buffer as ArrayBuffer] : [])))];
}
