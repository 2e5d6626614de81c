// The WebNN backend: encoders on the browser's own machine-learning service, which may have an NPU, a GPU or the CPU behind it.
// Read emitter.ts for how a graph becomes WebNN's, rectangles.ts for its fixed shapes, program.ts for how it runs.

import { WpError } from '../../errors.ts';
import type { Graph } from '../../graph/types.ts';
import type { WebNnDevice } from '../../types.ts';
import type { Backend, EncoderCompileOptions, EncoderProgram, Program } from '../backend.ts';
import type { Real } from './checked-builder.ts';
import { type MLContext, type MLContextOptions, webNn } from './ml-api.ts';
import { WebNnEncoderProgram } from './program.ts';
import { Support, unsupported } from './support.ts';

export interface WebNnBackendOptions {
  /** What is asked for; the browser may have something else. */
  device: WebNnDevice;
  /**
   * Weights stay in their planned bits where the context can (`dequantizeLinear`, f16 constants). Default: on a GPU and an NPU; a
   * CPU context takes the codes apart again in each run.
   */
  isCompact?: boolean | undefined;
  /** What numbers are computed in. Default: f32 where the context has products of it, else f16. */
  real?: Real | undefined;
}

/** `accelerated` and `powerPreference` say since 2025 what `deviceType` said before: browsers take what they know. */
const CONTEXT_OPTIONS: Readonly<Record<WebNnDevice, MLContextOptions>> = {
  cpu: { deviceType: 'cpu', accelerated: false },
  gpu: { deviceType: 'gpu', accelerated: true, powerPreference: 'high-performance' },
  npu: { deviceType: 'npu', accelerated: true, powerPreference: 'low-power' },
};

class WebNnBackend implements Backend {
  readonly name = 'webnn';
  readonly description: string;
  readonly lost: Promise<{ message: string }>;
  readonly #programs = new Set<EncoderProgram>();
  readonly #waiting = new Set<(error: unknown) => void>();
  readonly #support: Support;
  #lossError: WpError | undefined;
  #isDisposed = false;

  constructor(
    private readonly context: MLContext,
    private readonly Builder: NonNullable<ReturnType<typeof webNn>>['MLGraphBuilder'],
    private readonly options: WebNnBackendOptions,
    private readonly real: Real,
  ) {
    this.#support = new Support(context.opSupportLimits());
    const { device } = options;
    const isWithout = device !== 'cpu' && context.accelerated === false;
    this.description = `WebNN on the ${device.toUpperCase()}${isWithout ? ' (the browser gave its CPU)' : ''}`;
    this.lost = new Promise((resolve) => {
      void context.lost.then(({ message = '' }) => {
        this.#lossError = lostError(message);
        for (const reject of this.#waiting) reject(this.#lossError);
        if (!this.#isDisposed) resolve({ message });
      });
    });
  }

  async compile(): Promise<Program> {
    throw unsupported('no KV cache, which models that write need');
  }

  async compileEncoder(graph: Graph, options: EncoderCompileOptions): Promise<EncoderProgram> {
    this.#check();
    const { device, isCompact = device !== 'cpu' && this.context.accelerated !== false } = this.options;
    const program = new WebNnEncoderProgram(
      {
        context: this.context,
        Builder: this.Builder,
        support: this.#support,
        real: this.real,
        isCompact,
        guard: (promise) => this.#guard(promise),
        check: () => this.#check(),
        onDispose: (disposed) => this.#programs.delete(disposed),
      },
      graph,
      options,
    );
    this.#programs.add(program);
    return program;
  }

  dispose(): void {
    if (this.#isDisposed) return;
    this.#isDisposed = true;
    for (const program of this.#programs) program.dispose();
    this.context.destroy();
  }

  #check(): void {
    if (this.#isDisposed) throw new WpError('disposed', 'The WebNN backend was disposed and used again.');
    if (this.#lossError) throw this.#lossError;
  }

  #guard<T>(promise: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#waiting.add(reject);
      promise.then(resolve, reject).finally(() => this.#waiting.delete(reject));
    });
  }
}

/**
 * A backend on this browser's WebNN. Throws `backend-unavailable` where there is none or it gives no context, and
 * `unsupported-operation` where the context multiplies no matrices of real numbers.
 */
export async function createWebNnBackend(options: WebNnBackendOptions): Promise<Backend> {
  const browser = webNn();
  if (!browser) throw unavailable('This browser has no WebNN (navigator.ml is missing), or the page is not secure.');
  const context = await browser.ml.createContext(CONTEXT_OPTIONS[options.device]).catch((cause: unknown) => {
    const message = cause instanceof Error ? cause.message : String(cause);
    throw unavailable(`WebNN gives no context for the ${options.device.toUpperCase()}: ${message}`, cause);
  });
  try {
    const real = options.real ?? chooseReal(new Support(context.opSupportLimits()));
    return new WebNnBackend(context, browser.MLGraphBuilder, options, real);
  } catch (thrown) {
    context.destroy();
    throw thrown;
  }
}

function chooseReal(support: Support): Real {
  for (const dataType of ['float32', 'float16'] as const) {
    if (support.has('matmul', { a: { dataType, rank: 3 }, b: { dataType, rank: 3 } })) return dataType;
  }
  throw unsupported('no matmul of float32 or float16');
}

function unavailable(message: string, cause?: unknown): WpError {
  return new WpError('backend-unavailable', message, 'Use backend "auto".', { backend: 'webnn' }, { cause });
}

function lostError(message: string): WpError {
  return new WpError(
    'device-lost',
    `The WebNN context was lost: ${message || 'the browser gives no reason'}`,
    'Load the model again, with backend "auto" if it happens often.',
    { reason: message },
  );
}
