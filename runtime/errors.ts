// Every failure that a caller can meet is a WpError with a stable code. The message says what failed, the actual
// and the allowed value; `hint` says what to do next; `details` carries the values as data. A cancelled operation is
// not a failure: it is an AbortError (see `abortError`).

/** Stable codes: they may be added to, never renamed. */
export type WpErrorCode =
  | 'invalid-argument' // an option or argument is out of its range
  | 'invalid-source' // the src cannot be understood as a model
  | 'not-found' // a file of the model does not exist
  | 'network' // a download failed
  | 'not-a-model' // the address answered, but with something else (an HTML page, say)
  | 'corrupt-file' // a file's bytes contradict its format
  | 'missing-tensor' // the checkpoint lacks a tensor that the architecture needs
  | 'missing-tokenizer' // no tokenizer.json beside the weights
  | 'unsupported-architecture' // the model_type is not one of ours
  | 'unsupported-config' // a config field would change the mathematics and is not understood
  | 'unsupported-format' // a file type, dtype or quantisation that this version does not read
  | 'unsupported-operation' // the backend has no kernel for an operation or shape
  | 'backend-unavailable' // the asked-for backend does not exist here
  | 'out-of-memory' // the plan does not fit, or an allocation failed
  | 'context-overflow' // the prompt is longer than the context
  | 'device-lost' // the GPU went away and could not be recovered
  | 'shader-compilation' // a shader did not compile on this device
  | 'disposed' // the model was disposed and used again
  | 'busy' // one generation at a time, and one is running
  | 'worker-failed' // the worker could not start or died
  | 'quota-exceeded' // the browser's storage is full
  | 'internal'; // a defect of ours: please report it

/** A WpError as plain data, as it crosses a worker's port. */
export interface WpErrorData {
  code: WpErrorCode;
  message: string;
  hint: string;
  details: Record<string, unknown>;
  stack?: string | undefined;
}

export class WpError extends Error {
  override readonly name = 'WpError';

  constructor(
    /** Stable, machine-readable. */
    readonly code: WpErrorCode,
    message: string,
    /** What the caller, or the person at the page, can do next. */
    readonly hint = '',
    /** The values involved: `actual`, `allowed`, `url`, … */
    readonly details: Record<string, unknown> = {},
    options?: ErrorOptions,
  ) {
    super(message, options);
  }

  toData(): WpErrorData {
    return { code: this.code, message: this.message, hint: this.hint, details: this.details, stack: this.stack };
  }

  static fromData(data: WpErrorData): WpError {
    const error = new WpError(data.code, data.message, data.hint, data.details);
    if (data.stack) error.stack = data.stack;
    return error;
  }

  /** Anything that was thrown, as a WpError; an unknown error becomes `internal` and keeps its cause. */
  static from(thrown: unknown): WpError {
    if (thrown instanceof WpError) return thrown;
    const message = thrown instanceof Error ? thrown.message : String(thrown);
    return new WpError(
      'internal',
      message,
      'This is a defect of wp-models: please report it with the steps that led here.',
      {},
      { cause: thrown },
    );
  }
}

/** The error of a cancelled operation: `name === 'AbortError'`, as everywhere on the web. */
export function abortError(reason?: unknown): Error {
  if (reason instanceof Error && reason.name === 'AbortError') return reason;
  return new DOMException('The operation was aborted.', 'AbortError');
}

export function isAbortError(thrown: unknown): boolean {
  return thrown instanceof Error && thrown.name === 'AbortError';
}

/** Throws an AbortError if `signal` has been aborted. */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw abortError(signal.reason);
}

/** Marks a place that the types say cannot be reached. */
export function unreachable(value: never): never {
  throw new WpError('internal', `Unexpected value: ${JSON.stringify(value)}`);
}
