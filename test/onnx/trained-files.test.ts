// Trained files from elsewhere, where a developer has them: what they were made for, against their own goldens and Python's onnxruntime.

import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import type { DeviceTensor, Tensor } from '../../runtime/index.ts';
import { loadDirectly } from '../support/load-directly.ts';
import { assertClose, fixture } from './fixtures.ts';

const shared = fileURLToPath(new URL('../../../shared/models/', import.meta.url));
const at = (path: string): string => `${shared}${path}`;
const skip = (path: string): string | false => (existsSync(at(path)) ? false : `../shared/models/${path} is not there`);

const goldens = JSON.parse(readFileSync(fixture('shared-goldens.json'), 'utf8')) as {
  speech: number[];
  boxes: { dims: number[]; every97th: number[] };
};

interface MagikaExample {
  content_base64: string;
  prediction: { dl: string; score: number };
}

/** The first and the last bytes without white space around them, as magika's `features_extraction` has them. */
function magikaFeatures(content: Uint8Array, padding: number): Int32Array {
  const isSpace = (byte: number | undefined): boolean =>
    byte !== undefined && (byte === 32 || (byte >= 9 && byte <= 13));
  const first = content.subarray(0, 4096);
  let start = 0;
  while (isSpace(first[start])) start++;
  const last = content.subarray(Math.max(0, content.length - 4096));
  let end = last.length;
  while (end > 0 && isSpace(last[end - 1])) end--;
  const features = new Int32Array(2048).fill(padding);
  features.set(first.subarray(start, start + 1024));
  const tail = last.subarray(Math.max(0, end - 1024), end);
  features.set(tail, 2048 - tail.length);
  return features;
}

describe('trained files', () => {
  it('magika tells the types of files', { skip: skip('magika/model.onnx') }, async () => {
    const config = JSON.parse(readFileSync(at('magika/config.min.json'), 'utf8')) as {
      target_labels_space: string[];
      padding_token: number;
    };
    const text = gunzipSync(readFileSync(at('magika/standard_v3_3-inference_examples_by_content.json.gz'))).toString();
    const seen = new Map<string, MagikaExample>();
    for (const example of JSON.parse(text) as MagikaExample[]) {
      if (example.prediction.dl !== 'undefined') seen.set(example.content_base64, example);
    }
    const examples = [...seen.values()].slice(0, 24);
    assert.ok(examples.length >= 20);
    const model = await loadDirectly(at('magika/model.onnx'), {});
    const data = new Int32Array(examples.length * 2048);
    examples.forEach(({ content_base64: content }, i) =>
      data.set(magikaFeatures(Buffer.from(content, 'base64'), config.padding_token), i * 2048),
    );
    const { target_label: scores } = await model.run({ bytes: { type: 'int32', dims: [examples.length, 2048], data } });
    const labels = config.target_labels_space;
    examples.forEach(({ prediction }, i) => {
      const row = [...(scores!.data as Float32Array).subarray(i * labels.length, (i + 1) * labels.length)];
      const best = row.indexOf(Math.max(...row));
      assert.equal(labels[best], prediction.dl, `example ${i}`);
      assertClose([row[best]!], [prediction.score], 1e-4);
    });
    await model.dispose();
  });

  it(
    'silero-vad hears speech, its state kept on the device',
    { skip: skip('silero-vad/silero_vad.onnx') },
    async () => {
      const model = await loadDirectly(at('silero-vad/silero_vad.onnx'), {});
      // 44 bytes of header, 16-bit samples.
      const wave = readFileSync(at('silero-vad/test.wav'));
      const sample = (i: number): number => wave.readInt16LE(44 + 2 * i) / 32768;
      const sr: Tensor = { type: 'int64', dims: [], data: new BigInt64Array([16000n]) };
      let state: Tensor | DeviceTensor = { type: 'float32', dims: [2, 1, 128], data: new Float32Array(256) };
      const speech: number[] = [];
      for (let frame = 0; frame < goldens.speech.length; frame++) {
        const data = Float32Array.from({ length: 576 }, (_, i) => sample(64_000 + 512 * frame + i));
        const input: Tensor = { type: 'float32', dims: [1, 576], data };
        const result: Record<string, Tensor | DeviceTensor> = await model.run(
          { input, state, sr },
          { keep: ['stateN'] },
        );
        if ('device' in state) await model.releaseTensor(state);
        state = result['stateN']!;
        speech.push(((result['output'] as Tensor).data as Float32Array)[0]!);
      }
      assertClose(speech, goldens.speech, 1e-4);
      await model.dispose();
    },
  );

  it('FastestDet’s boxes', { skip: skip('fastestdet/FastestDet.onnx') }, async () => {
    const model = await loadDirectly(at('fastestdet/FastestDet.onnx'), {});
    const data = Float32Array.from({ length: 3 * 352 * 352 }, (_, i) => (Math.imul(i, 2654435761) >>> 0) / 2 ** 32);
    const { output } = await model.run({ input: { type: 'float32', dims: [1, 3, 352, 352], data } });
    assert.deepEqual(output!.dims, goldens.boxes.dims);
    const every97th = (output!.data as Float32Array).filter((_, i) => i % 97 === 0);
    assertClose(every97th, goldens.boxes.every97th, 1e-3);
    await model.dispose();
  });
});
