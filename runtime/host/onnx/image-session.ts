// Images through an ONNX encoder, a few at a time: decoded, processed as the files beside it say, [batch, 3, height, width].

import { throwIfAborted, WpError } from '../../errors.ts';
import { nextTask } from '../../generation/event-loop.ts';
import { toF16 } from '../../half.ts';
import type { ImagePayload } from '../../model.ts';
import type { OnnxSession } from '../../onnx/session.ts';
import { decodeImage } from '../../processing/images/decode-image.ts';
import { processImage } from '../../processing/images/process-image.ts';
import type { ImageProcessorConfig, PixelSize } from '../../processing/images/processor-config.ts';
import type { RunOptions } from '../../tasks/encoder-session.ts';
import type { Tensor } from '../../tensors.ts';
import { floats } from './text-session.ts';

export interface OnnxImageSessionParts {
  session: OnnxSession;
  processor: ImageProcessorConfig;
  size: PixelSize;
  type: 'float32' | 'float16';
  /** Where the graph takes no other number of images. */
  batch: number | undefined;
  /** [images, width], or [images, rows, width], of which the first row is taken; undefined for a model of logits only. */
  embeddingOutput: string | undefined;
  /** What the graph takes beside images. */
  others?: Readonly<Record<string, Tensor>> | undefined;
}

/** An abort waits for so many images at most. */
const BATCH_IMAGES = { webgpu: 8, webnn: 2, wasm: 2 };

export class OnnxImageSession {
  constructor(private readonly parts: OnnxImageSessionParts) {}

  /**
   * `embedding` or an output of that name, [images × width]. `others`: for this call, instead of those of all. Rejects with an
   * AbortError, and as `decodeImage`, `processImage` and `OnnxSession.run`.
   */
  async run(
    images: readonly ImagePayload[],
    output: string,
    { signal, onProgress }: RunOptions = {},
    others = this.parts.others,
  ): Promise<Float32Array<ArrayBuffer>> {
    const { session, processor, size, embeddingOutput } = this.parts;
    const name = output === 'embedding' ? embeddingOutput : output;
    if (name === undefined) throw new WpError('internal', `The model has no output for ${output}.`);
    const most = this.parts.batch ?? BATCH_IMAGES[session.provider];
    const numbersOfImage = 3 * size.width * size.height;
    let rows = new Float32Array(0);
    for (let start = 0; start < images.length; start += most) {
      const step = images.slice(start, start + most);
      const pixels = new Float32Array((this.parts.batch ?? step.length) * numbersOfImage);
      for (const [i, image] of step.entries()) {
        throwIfAborted(signal);
        const place = { offset: i * numbersOfImage, layout: 'channels-first' as const };
        processImage(await decodeImage(image, start + i, signal), processor, size, pixels, place);
      }
      const inputs = { ...others, pixel_values: this.tensor(pixels) };
      const result = (await session.run({ inputs, outputs: [name] }, signal))[name] as Tensor;
      const [batch = 1, ...rest] = result.dims;
      const numbers = floats(result);
      const whole = numbers.length / batch;
      const width = rest.length > 1 ? rest.at(-1)! : whole;
      if (start === 0) rows = new Float32Array(images.length * width);
      step.forEach((_, i) => rows.set(numbers.subarray(i * whole, i * whole + width), (start + i) * width));
      onProgress?.(start + step.length, images.length);
      // Where an abort arrives.
      await nextTask();
      throwIfAborted(signal);
    }
    return rows;
  }

  /** As many images as `pixels` has numbers for. */
  tensor(pixels: Float32Array): Tensor {
    const { size, type } = this.parts;
    const dims = [pixels.length / (3 * size.width * size.height), 3, size.height, size.width];
    return type === 'float16' ? { type, dims, data: toF16(pixels) } : { type, dims, data: pixels };
  }
}
