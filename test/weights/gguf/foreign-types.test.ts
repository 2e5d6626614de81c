// Types of ggml that are no rows of our format table, in a whole file: decoded exactly (the gguf package's numbers are the golden),
// then quantised again in the plan's format, and the plan says so.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { GraphBuilder } from '../../../runtime/graph/builder.ts';
import { lower } from '../../../runtime/graph/passes/index.ts';
import { findFamily, modelTypeOf } from '../../../runtime/models/index.ts';
import { withKinds } from '../../../runtime/planning/weight-kinds.ts';
import { FORMATS, type WeightFormat } from '../../../runtime/quantization/formats.ts';
import { GGML_TYPES } from '../../../runtime/quantization/ggml/types.ts';
import { packMatrix, unpackMatrix } from '../../../runtime/quantization/pack.ts';
import { loadPacker } from '../../../runtime/quantization/packer.ts';
import { openGguf } from '../../../runtime/weights/gguf/open.ts';
import { createWeightSource } from '../../../runtime/weights/weight-source.ts';
import { Random } from '../../support/random.ts';
import { memoryFiles } from '../memory-files.ts';
import { ggufFile } from './gguf-file.ts';
import { wideLlama } from './wide-llama.ts';

const fixtures = new URL('../../quantization/ggml/fixtures/', import.meta.url);
const data = new Uint8Array(readFileSync(new URL('blocks.bin', fixtures)));
const goldens = JSON.parse(readFileSync(new URL('blocks.json', fixtures), 'utf8')) as {
  types: Record<string, { start: number; bytes: number; numbers: number }>;
};
const SIZE = 256;
const FOREIGN = [
  ...['IQ2_XXS', 'IQ2_XS', 'IQ2_S', 'IQ3_XXS', 'IQ3_S', 'IQ4_NL', 'IQ4_XS'],
  ...['IQ1_S', 'IQ1_M', 'TQ1_0', 'TQ2_0'],
];

/** The golden's blocks that give finite numbers of a usual size, repeated until the matrix is full. */
function matrixOf(name: string): { type: number; bytes: Uint8Array; numbers: Float32Array } {
  const [type, { blockSize, blockBytes }] = [...GGML_TYPES].find(([, one]) => one.name === name)!;
  const { start, bytes, numbers } = goldens.types[name]!;
  const golden = new Float32Array(data.slice(start + bytes, start + bytes + 4 * numbers).buffer);
  const usable = [...Array(bytes / blockBytes).keys()].filter((block) =>
    golden.subarray(block * blockSize, (block + 1) * blockSize).every((x) => Math.abs(x) < 1000),
  );
  assert.ok(usable.length > 0, name);
  const blocks = (SIZE * SIZE) / blockSize;
  const result = { type, bytes: new Uint8Array(blocks * blockBytes), numbers: new Float32Array(SIZE * SIZE) };
  for (let i = 0; i < blocks; i++) {
    const block = usable[i % usable.length]!;
    const from = start + block * blockBytes;
    result.bytes.set(data.subarray(from, from + blockBytes), i * blockBytes);
    result.numbers.set(golden.subarray(block * blockSize, (block + 1) * blockSize), i * blockSize);
  }
  return result;
}

describe('types that are no rows of the table', () => {
  for (const name of FOREIGN) {
    it(`${name}: exact numbers, quantised again, and the plan says so`, async () => {
      const { type, bytes, numbers } = matrixOf(name);
      const spec = wideLlama(new Random(5));
      const tensors = spec.tensors!.map((tensor) =>
        tensor.name === 'blk.0.ffn_down.weight' ? { ...tensor, type, bytes } : tensor,
      );
      const files = Object.assign(memoryFiles({ 'm.gguf': ggufFile({ ...spec, tensors }) }), { weightsName: 'm.gguf' });
      const model = await openGguf(files);
      const family = findFamily(modelTypeOf(model.config));
      const builder = new GraphBuilder();
      family.build(builder, family.config(model.config));
      const unfused = createWeightSource(model.checkpoint, builder.build());
      const graph = lower(withKinds(builder.build(), (weight) => unfused.storedFormat(weight)));
      const source = createWeightSource(model.checkpoint, graph);
      const down = graph.weights.find(({ parts }) => parts.some(({ tensor }) => tensor.includes('down_proj')))!;
      assert.equal(source.storedFormat(down), 'foreign');

      const read = async (format: WeightFormat): Promise<Float32Array> => {
        const formats = new Map(graph.weights.map((weight) => [weight.name, FORMATS.f32 as WeightFormat]));
        for await (const { name: found, matrix } of source.stream(formats.set(down.name, format)))
          if (found === down.name) return unpackMatrix(matrix);
        throw new Error('The matrix did not come.');
      };
      assert.deepEqual(await read(FORMATS.f32), numbers);
      // Quantised again: what packing the exact numbers gives, by the same search.
      const packer = await loadPacker([FORMATS.q3k]);
      assert.deepEqual(await read(FORMATS.q3k), unpackMatrix(packer(numbers, SIZE, SIZE, FORMATS.q3k)));
      assert.deepEqual(await read(FORMATS.q8g32), unpackMatrix(packMatrix(numbers, SIZE, SIZE, FORMATS.q8g32)));
      const planned = new Map(graph.weights.map((weight) => [weight.name, FORMATS.q8g32 as WeightFormat]));
      const reasons = model.conversions(graph, planned).map(({ reason }) => reason);
      const said = new RegExp(`1 matrix stored as ${name}: decoded exactly, then quantised again to q8g32`);
      assert.ok(
        reasons.some((reason) => said.test(reason)),
        reasons.join('\n'),
      );
    });
  }
});
