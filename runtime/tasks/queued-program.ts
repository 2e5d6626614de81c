// An encoder's program for several callers: their steps wait for one another, so a long call does not keep a short one waiting
// for its end; a lost device is replaced, and the step that met it runs again.

import type { EncoderProgram } from '../backends/backend.ts';
import { throwIfAborted, WpError } from '../errors.ts';

export class QueuedProgram {
  #program: EncoderProgram;
  #isDisposed = false;
  #lastStep: Promise<unknown> = Promise.resolve();

  constructor(
    program: EncoderProgram,
    /** Makes a new program after a lost device; undefined where none can be lost. */
    private readonly recover: (() => Promise<EncoderProgram>) | undefined,
  ) {
    this.#program = program;
  }

  /** The one that runs now. */
  get current(): EncoderProgram {
    return this.#program;
  }

  /** As `EncoderProgram.run`; rejects with an AbortError when the signal has aborted before the step's turn, and with `disposed`. */
  run(
    inputs: Parameters<EncoderProgram['run']>[0],
    signal: AbortSignal | undefined,
  ): ReturnType<EncoderProgram['run']> {
    const step = this.#lastStep
      .catch(() => undefined)
      .then(async () => {
        throwIfAborted(signal);
        if (this.#isDisposed)
          throw new WpError('disposed', 'This model has been disposed.', 'Load it again with loadModel().');
        try {
          return await this.#program.run(inputs);
        } catch (thrown) {
          if (!(thrown instanceof WpError && thrown.code === 'device-lost') || !this.recover) throw thrown;
          this.#program.dispose();
          this.#program = await this.recover();
          return this.#program.run(inputs);
        }
      });
    this.#lastStep = step;
    return step;
  }

  /** After the step that runs. Idempotent. */
  async dispose(): Promise<void> {
    if (this.#isDisposed) return;
    this.#isDisposed = true;
    await this.#lastStep.catch(() => undefined); // its caller hears of it
    this.#program.dispose();
  }
}
