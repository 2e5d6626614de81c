// A model in ONNX Runtime. Runs wait for one another: the runtime computes one at a time, whichever model it is.

import { throwIfAborted, WpError } from '../errors.ts';
import type { DeviceTensor, Tensor, TensorInfo, TensorType } from '../tensors.ts';
import { checkInputs, checkOutputs } from './check-inputs.ts';
import { ortError } from './errors.ts';
import { loadOrt, type Ort, type OrtSession, type OrtTensor } from './ort.ts';
import type { Provider } from './providers.ts';

export interface OnnxSource {
  /** For messages. */
  file: string;
  bytes: Uint8Array;
  /** By the name that the model gives to them. */
  external: readonly { path: string; data: Uint8Array }[];
  inputs: readonly TensorInfo[];
  outputs: readonly TensorInfo[];
}

export interface SessionRun {
  inputs: unknown;
  outputs?: readonly string[] | undefined;
  keep?: readonly string[] | undefined;
}

/** What WebGPU buffers can hold; other outputs come to the CPU. */
const DEVICE_TYPES: readonly TensorType[] = ['float32', 'float16', 'int32', 'uint32', 'int64', 'uint8', 'bool'];

let lastCall: Promise<unknown> = Promise.resolve();

function inTurn<T>(work: () => Promise<T>): Promise<T> {
  const call = lastCall.catch(() => undefined).then(work);
  lastCall = call;
  return call;
}

/** Rejects with a WpError: `unsupported-operation`, `corrupt-file`, `out-of-memory`, `worker-failed`. */
export async function createOnnxSession(source: OnnxSource, provider: Provider, threads: number): Promise<OnnxSession> {
  const ort = await loadOrt(provider, threads);
  try {
    const session = await inTurn(() =>
      ort.InferenceSession.create(source.bytes, {
        executionProviders: [provider],
        logSeverityLevel: 3,
        ...(source.external.length > 0 ? { externalData: source.external } : {}),
        ...(provider === 'webgpu' ? { preferredOutputLocation: outputLocations(source.outputs) } : {}),
      }),
    );
    return new OnnxSession(ort, session, source, provider);
  } catch (thrown) {
    throw ortError(thrown, 'load', source.file);
  }
}

function outputLocations(outputs: readonly TensorInfo[]): Record<string, 'gpu-buffer' | 'cpu'> {
  return Object.fromEntries(
    outputs.map(({ name, type }) => [name, DEVICE_TYPES.includes(type) ? ('gpu-buffer' as const) : ('cpu' as const)]),
  );
}

export class OnnxSession {
  readonly #kept = new Map<number, OrtTensor>();
  #nextId = 1;
  #isDisposed = false;

  constructor(
    private readonly ort: Ort,
    private readonly session: OrtSession,
    private readonly source: Pick<OnnxSource, 'file' | 'inputs' | 'outputs'>,
    readonly provider: Provider,
  ) {}

  /** Bytes of results that were kept on the device. */
  get keptBytes(): number {
    return [...this.#kept.values()].reduce((sum, { dims, type }) => sum + elements(dims) * (BYTES[type] ?? 4), 0);
  }

  /**
   * Outputs by name, those of `keep` as handles. Rejects with `invalid-argument` for inputs that do not fit the model, `disposed`,
   * `device-lost`, and an AbortError while the run waits for its turn.
   */
  run(
    { inputs, outputs, keep = [] }: SessionRun,
    signal?: AbortSignal,
  ): Promise<Record<string, Tensor | DeviceTensor>> {
    checkInputs(inputs, this.source.inputs);
    checkOutputs(outputs, this.source.outputs);
    checkOutputs(keep, this.source.outputs);
    const feeds = Object.entries(inputs);
    return inTurn(async () => {
      throwIfAborted(signal);
      this.#assertUsable();
      const made: OrtTensor[] = [];
      try {
        const tensors = Object.fromEntries(
          feeds.map(([name, tensor]) => {
            if ('device' in tensor) return [name, this.#find(tensor.device)];
            const own = new this.ort.Tensor(tensor.type, tensor.data as never, tensor.dims);
            made.push(own);
            return [name, own];
          }),
        );
        const results = await this.session
          .run(tensors, outputs ?? this.source.outputs.map(({ name }) => name))
          .catch((thrown: unknown) => {
            throw ortError(thrown, 'run', this.source.file);
          });
        const values: Record<string, Tensor | DeviceTensor> = {};
        for (const [name, tensor] of Object.entries(results)) {
          values[name] = keep.includes(name)
            ? this.#keep(tensor as OrtTensor)
            : await this.#read(tensor as OrtTensor, true);
        }
        return values;
      } finally {
        for (const tensor of made) tensor.dispose();
      }
    });
  }

  /** The numbers of a result that was kept. */
  read(device: number): Promise<Tensor> {
    return inTurn(() => {
      this.#assertUsable();
      return this.#read(this.#find(device), false);
    });
  }

  /** Frees a result that was kept. Idempotent. */
  release(device: number): void {
    this.#kept.get(device)?.dispose();
    this.#kept.delete(device);
  }

  dispose(): Promise<void> {
    if (this.#isDisposed) return Promise.resolve();
    this.#isDisposed = true;
    return inTurn(async () => {
      for (const id of [...this.#kept.keys()]) this.release(id);
      await this.session.release();
    });
  }

  #keep(tensor: OrtTensor): DeviceTensor {
    const device = this.#nextId++;
    this.#kept.set(device, tensor);
    return { type: tensor.type as TensorType, dims: [...tensor.dims], device };
  }

  async #read(tensor: OrtTensor, release: boolean): Promise<Tensor> {
    const { type, dims } = tensor;
    const data: unknown = tensor.location === 'cpu' ? tensor.data : await tensor.getData(release);
    if (release && tensor.location === 'cpu') tensor.dispose();
    return { type, dims: [...dims], data: type === 'float16' ? bitsOf(data as ArrayBufferView) : data } as Tensor;
  }

  #find(device: number): OrtTensor {
    const tensor = this.#kept.get(device);
    if (tensor) return tensor;
    throw new WpError(
      'invalid-argument',
      'A tensor on the device belongs to another model, or has been released.',
      'Keep it with `keep` in an earlier run of this model.',
      {
        actual: device,
      },
    );
  }

  #assertUsable(): void {
    if (this.#isDisposed)
      throw new WpError('disposed', 'This model has been disposed.', 'Load it again with loadModel().');
  }
}

/** Engines with Float16Array get one from the runtime. */
function bitsOf(data: ArrayBufferView): Uint16Array {
  return new Uint16Array(data.buffer as ArrayBuffer, data.byteOffset, data.byteLength / 2);
}

const elements = (dims: readonly number[]): number => dims.reduce((product, size) => product * size, 1);

const BYTES: Readonly<Record<string, number>> = {
  float16: 2,
  uint8: 1,
  int8: 1,
  bool: 1,
  int64: 8,
  uint64: 8,
  float64: 8,
  int16: 2,
  uint16: 2,
};
