// Images through an encoder's program, one after another: each is decoded and made ready in the worker, and leaves no more than
// its row behind. An image is hundreds of rows to the program: more of them together would gain little, and hold up an abort.

import type { EncoderProgram } from '../backends/backend.ts';
import { throwIfAborted, WpError } from '../errors.ts';
import { nextTask } from '../generation/event-loop.ts';
import type { ImagePayload } from '../model.ts';
import type { VisionEncoder } from '../models/encoders/index.ts';
import { decodeImage } from '../processing/images/decode-image.ts';
import { processImage } from '../processing/images/process-image.ts';
import type { ImageProcessorConfig } from '../processing/images/processor-config.ts';
import type { RunOptions } from './encoder-session.ts';
import { QueuedProgram } from './queued-program.ts';

export interface ImageSessionParts {
  encoder: VisionEncoder;
  /** For one image. */
  graph: ReturnType<VisionEncoder['graph']>;
  processor: ImageProcessorConfig;
  program: EncoderProgram;
  /** Makes a new program after a lost device; undefined where none can be lost. */
  recover: (() => Promise<EncoderProgram>) | undefined;
}

export class ImageSession {
  readonly #parts: ImageSessionParts;
  readonly #program: QueuedProgram;

  constructor(parts: ImageSessionParts) {
    this.#parts = parts;
    this.#program = new QueuedProgram(parts.program, parts.recover);
  }

  get program(): EncoderProgram {
    return this.#program.current;
  }

  /**
   * An output of one row an image, [images × width]. Rejects with an AbortError, what `decodeImage` and `processImage` throw,
   * `disposed` and `device-lost`.
   */
  async run(
    images: readonly ImagePayload[],
    output: string,
    { signal, onProgress }: RunOptions = {},
  ): Promise<Float32Array<ArrayBuffer>> {
    const { encoder, graph, processor } = this.#parts;
    const size = { width: encoder.config.imageWidth, height: encoder.config.imageHeight };
    let rows = new Float32Array(0);
    for (const [i, image] of images.entries()) {
      throwIfAborted(signal);
      const pixels = new Float32Array(size.width * size.height * 3);
      processImage(await decodeImage(image, i, signal), processor, size, pixels);
      const numbers = (await this.#program.run(encoder.inputs(graph, pixels), signal))[output];
      if (!numbers) throw new WpError('internal', `The program has no output ${output}.`);
      if (i === 0) rows = new Float32Array(images.length * numbers.length);
      rows.set(numbers, i * numbers.length);
      onProgress?.(i + 1, images.length);
      // Where an abort arrives.
      await nextTask();
      throwIfAborted(signal);
    }
    return rows;
  }

  dispose(): Promise<void> {
    return this.#program.dispose();
  }
}
