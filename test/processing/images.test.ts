// Images as a model reads them, against Pillow and the image processors of transformers: every byte and every number.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { describe, it } from 'node:test';
import { WpError } from '../../runtime/errors.ts';
import { processImage } from '../../runtime/processing/images/process-image.ts';
import { readImageProcessor, type Resampling } from '../../runtime/processing/images/processor-config.ts';
import { resample, type ByteImage } from '../../runtime/processing/images/resample.ts';

interface Goldens {
  sizes: [number, number][];
  filters: Resampling[];
  resized: [number, number][];
  processors: { config: Record<string, unknown>; shape: [number, number, number] }[];
}

const read = (name: string) => readFile(new URL(`../fixtures/images/${name}`, import.meta.url));
const goldens = JSON.parse(String(await read('goldens.json'))) as Goldens;

const images: ByteImage[] = [];
{
  const bytes = await read('images.bin');
  let at = 0;
  for (const [width, height] of goldens.sizes) {
    images.push({ data: new Uint8Array(bytes.subarray(at, (at += 3 * width * height))), width, height, channels: 3 });
  }
}
const nameOf = ({ width, height }: ByteImage) => `${width} × ${height}`;

describe('resampling is Pillow’s, byte for byte', async () => {
  const bytes = await read('resized.bin');
  let at = 0;
  for (const image of images) {
    for (const filter of goldens.filters) {
      for (const [width, height] of goldens.resized) {
        const golden = bytes.subarray(at, (at += 3 * width * height));
        it(`${nameOf(image)} to ${width} × ${height}, ${filter}`, () => {
          const size = { width, height };
          const whole = resample(image, size, { left: 0, top: 0, ...size }, filter);
          assert.deepEqual(Buffer.from(whole), golden);
          // A window is the same bytes.
          const window = { left: 2, top: 3, width: width - 3, height: height - 5 };
          const part = resample(image, size, window, filter);
          for (let y = 0; y < window.height; y++) {
            const from = ((y + window.top) * width + window.left) * 3;
            const row = Buffer.from(part.subarray(y * window.width * 3, (y + 1) * window.width * 3));
            assert.deepEqual(row, golden.subarray(from, from + window.width * 3));
          }
        });
      }
    }
  }
});

describe('processors make transformers’ numbers, exactly', async () => {
  const numbers = new Float32Array(new Uint8Array(await read('pixels.bin')).buffer);
  let at = 0;
  for (const { config, shape } of goldens.processors) {
    const [, height, width] = shape;
    for (const image of images) {
      const golden = numbers.subarray(at, (at += 3 * width * height));
      it(`${String(config['image_processor_type'])}, ${nameOf(image)} to ${width} × ${height}`, () => {
        const processor = readImageProcessor(config);
        const first = new Float32Array(golden.length);
        processImage(image, processor, { width, height }, first, { layout: 'channels-first' });
        assert.deepEqual(first, golden);

        // With transparency, which is dropped; behind another image; channels last, as our graphs read them.
        const data = new Uint8ClampedArray(image.width * image.height * 4).fill(77);
        for (let i = 0; i < data.length; i++) if (i % 4 < 3) data[i] = image.data[(i >> 2) * 3 + (i % 4)]!;
        const last = new Float32Array(5 + golden.length);
        processImage({ ...image, data, channels: 4 }, processor, { width, height }, last, { offset: 5 });
        const area = width * height;
        for (let i = 0; i < golden.length; i++)
          assert.equal(last[5 + (i % area) * 3 + Math.floor(i / area)], golden[i]);
      });
    }
  }
});

describe('preprocessor_config.json', () => {
  const minimal = { image_processor_type: 'CLIPImageProcessor' };

  it('defaults of each processor, names of older versions, sizes in all their forms', () => {
    const clip = readImageProcessor(minimal);
    assert.deepEqual(clip.resize, { shortestEdge: 224 });
    assert.deepEqual(clip.crop, { width: 224, height: 224 });
    assert.equal(clip.resampling, 'bicubic');
    const vit = readImageProcessor({ feature_extractor_type: 'ViTFeatureExtractor', size: 384 });
    assert.deepEqual(vit.resize, { width: 384, height: 384 });
    assert.deepEqual([vit.crop, vit.resampling], [undefined, 'bilinear']);
    const siglip = readImageProcessor({ image_processor_type: 'SiglipImageProcessorFast', size: [256, 128] });
    assert.deepEqual(siglip.resize, { width: 128, height: 256 });
    assert.deepEqual(readImageProcessor({ ...minimal, size: 336 }).resize, { shortestEdge: 336 });
    assert.equal(readImageProcessor({ image_processor_type: 'DeiTImageProcessor' }).crop?.width, 224);
  });

  it('refuses what it does not understand, by name', () => {
    const bad: [unknown, RegExp][] = [
      [null, /object/],
      [{}, /image_processor_type/],
      [{ image_processor_type: 'ConvNextImageProcessor' }, /ViTImageProcessor, .*CLIPImageProcessor/],
      [{ image_processor_type: 'toStringImageProcessor' }, /ViTImageProcessor/],
      [{ ...minimal, resample: 6 }, /resample is 6.*3 \(bicubic\)/],
      [{ ...minimal, size: { longest_edge: 3 } }, /size/],
      [{ ...minimal, size: { shortest_edge: 200, longest_edge: 300 } }, /size/],
      [{ ...minimal, crop_size: 0 }, /crop_size/],
      [{ ...minimal, crop_size: 1e9 }, /8192/],
      [{ ...minimal, image_std: [1, 0, 1] }, /image_std/],
      [{ ...minimal, image_mean: [1, 1] }, /image_mean/],
      [{ ...minimal, do_resize: 'yes' }, /do_resize/],
      [{ ...minimal, rescale_factor: '1/255' }, /rescale_factor/],
      [{ ...minimal, do_pad: true }, /do_pad/],
      [{ ...minimal, a_new_field: 1 }, /a_new_field/],
    ];
    for (const [json, message] of bad) {
      assert.throws(
        () => readImageProcessor(json),
        (error) => error instanceof WpError && error.code === 'unsupported-config' && message.test(error.message),
        JSON.stringify(json),
      );
    }
    assert.ok(readImageProcessor({ ...minimal, do_pad: false, processor_class: 'CLIPProcessor' }));
  });

  it('an image that does not become what the model reads', () => {
    const config = readImageProcessor({ ...minimal, do_center_crop: false, size: 16 });
    assert.throws(
      () => processImage(images[0]!, config, { width: 16, height: 16 }, new Float32Array(768)),
      (error) => error instanceof WpError && error.code === 'invalid-argument' && /25 × 16/.test(error.message),
    );
  });

  it('a line of a million pixels costs no more than what is cut out of it', () => {
    const line: ByteImage = { data: new Uint8Array(3e6).fill(200), width: 1e6, height: 1, channels: 3 };
    const target = new Float32Array(3 * 224 * 224);
    processImage(line, readImageProcessor(minimal), { width: 224, height: 224 }, target);
    assert.ok(target.every(Number.isFinite) && target[0]! > 0);
  });
});
