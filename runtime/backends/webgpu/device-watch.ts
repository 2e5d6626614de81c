// The ways in which a device fails outside of the call that caused it: it is lost, or an error was caught by no scope.
// Programs ask here before they start a step and while they wait for one.

import { WpError } from '../../errors.ts';

/** What a step throws when its device is gone. */
export function deviceLostError(message: string): WpError {
  return new WpError(
    'device-lost',
    `The GPU device was lost: ${message || 'the browser gives no reason'}`,
    'Load the model again; if it happens often, close other GPU programs or use a smaller model.',
    { reason: message },
  );
}

const LOSS_DELAY_MS = 200;

export class DeviceWatch {
  /** Resolves when the device is lost for a reason other than `expectLoss`. */
  readonly lost: Promise<{ message: string }>;
  /** Rejects with `device-lost` when the device is gone, whoever ended it; never resolves. */
  readonly failure: Promise<never>;
  #uncaptured: WpError | undefined;
  #lossError: WpError | undefined;
  #isLossExpected = false;
  readonly #waiting = new Set<(error: unknown) => void>();
  /** When a step was begun or ended last. */
  lastUse = 0;

  /** For how long no step has run: 0 in the midst of one. */
  get idleMs(): number {
    return this.#waiting.size > 0 ? 0 : performance.now() - this.lastUse;
  }

  constructor(device: GPUDevice) {
    this.lost = new Promise((resolve) => {
      void device.lost.then(({ message }) => {
        if (!this.#isLossExpected) resolve({ message });
      });
    });
    this.failure = device.lost.then(({ message }) => {
      this.#lossError = deviceLostError(message);
      throw this.#lossError;
    });
    this.failure.catch((error: unknown) => {
      for (const reject of this.#waiting) reject(error);
    });
    device.addEventListener('uncapturederror', (event) => {
      event.preventDefault();
      this.#uncaptured ??= uncapturedError(event.error);
    });
  }

  /** From now on the loss of the device is our own doing. */
  expectLoss(): void {
    this.#isLossExpected = true;
  }

  /**
   * Waits a moment for the device's loss to be told: some browsers first fail what the loss broke. Throws as `check` does.
   */
  async settle(): Promise<void> {
    const moment = new Promise((resolve) => setTimeout(resolve, LOSS_DELAY_MS));
    await Promise.race([this.failure.catch(() => undefined), moment]);
    this.check();
  }

  /** Settles as the promise does, or rejects when the device is gone. A race with `failure` would leave a handler there for each. */
  guard<T>(promise: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#waiting.add(reject);
      this.lastUse = performance.now();
      promise.then(resolve, reject).finally(() => {
        this.#waiting.delete(reject);
        this.lastUse = performance.now();
      });
    });
  }

  /** Throws if the device is gone, or once for an error that no scope caught. */
  check(): void {
    if (this.#lossError) throw this.#lossError;
    const error = this.#uncaptured;
    this.#uncaptured = undefined;
    if (error) throw error;
  }
}

function uncapturedError(error: GPUError): WpError {
  const isMemory = error instanceof GPUOutOfMemoryError;
  return new WpError(
    isMemory ? 'out-of-memory' : 'internal',
    `The GPU reported an error: ${error.message}`,
    isMemory ? 'Use a smaller model, fewer bits a weight, or a shorter context.' : 'Please report this message.',
  );
}
