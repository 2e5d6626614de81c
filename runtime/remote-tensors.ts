// The page's side of `model.run`: a chunk of its own, fetched with the first call.

import { unwrap, type Connection } from './connection.ts';
import { abortError, throwIfAborted, WpError } from './errors.ts';
import type { ModelId, TensorCall, TensorResult } from './protocol/messages.ts';
import type { DeviceTensor, Tensor, TensorRunOptions } from './tensors.ts';

export class RemoteTensors {
  constructor(
    private readonly link: Connection,
    private readonly model: ModelId,
  ) {}

  async run(
    inputs: Readonly<Record<string, Tensor | DeviceTensor>>,
    { outputs, keep, signal }: TensorRunOptions = {},
  ): Promise<TensorResult> {
    throwIfAborted(signal);
    const result = this.#call({ do: 'run', inputs, outputs, keep });
    if (!signal) return result;
    return new Promise<TensorResult>((resolve, reject) => {
      const abort = (): void => {
        reject(abortError(signal.reason));
        // What was kept for nobody is freed.
        result.then((late) => this.#releaseAll(late), ignore);
      };
      signal.addEventListener('abort', abort);
      result.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
    });
  }

  async read({ device }: DeviceTensor): Promise<Tensor> {
    return (await this.#call({ do: 'read', device }))['tensor'] as Tensor;
  }

  async release({ device }: DeviceTensor): Promise<void> {
    await this.#call({ do: 'release', device });
  }

  #releaseAll(tensors: TensorResult): void {
    for (const tensor of Object.values(tensors)) if ('device' in tensor) this.release(tensor).catch(ignore);
  }

  #call(call: TensorCall): Promise<TensorResult> {
    const reply = this.link.service.run(this.model, call).catch((thrown: unknown) => {
      if (!(thrown instanceof DOMException && thrown.name === 'DataCloneError')) throw thrown;
      throw new WpError(
        'invalid-argument',
        `The inputs cannot be sent to the worker: ${thrown.message}`,
        'Pass plain { type, dims, data }.',
        {},
        { cause: thrown },
      );
    });
    return unwrap(this.link, reply);
  }
}

/** An aborted run's own failure: its caller has heard of the abort. */
const ignore = (): void => undefined;
