import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { describe, it } from 'node:test';
import { WpError } from '../../runtime/errors.ts';
import type { Graph, Weight } from '../../runtime/graph/types.ts';
import { toF16 } from '../../runtime/half.ts';
import { openModelFiles } from '../../runtime/loading/open-files.ts';
import { parseSource } from '../../runtime/loading/source.ts';
import {
  FORMATS,
  formatBytes,
  isQuantized,
  type PackedMatrix,
  type WeightFormat,
} from '../../runtime/quantization/formats.ts';
import { packMatrix, stackMatrices, unpackMatrix } from '../../runtime/quantization/pack.ts';
import { loadPacker } from '../../runtime/quantization/packer.ts';
import { openCheckpoint } from '../../runtime/weights/checkpoint.ts';
import { createWeightSource, type WeightSource } from '../../runtime/weights/weight-source.ts';
import { f32Bytes, memoryFiles, safetensors, seeded, type TensorSpec } from './memory-files.ts';

const random = seeded(5);
const numbers = (count: number): Float32Array => Float32Array.from({ length: count }, () => random() * 2 - 1);

const bytesOf = (array: Uint16Array | Float32Array): Uint8Array =>
  new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
const f32 = (values: Float32Array, shape: number[]): TensorSpec => ({ dtype: 'F32', shape, bytes: f32Bytes(values) });
const f16 = (values: Float32Array, shape: number[]): TensorSpec => ({
  dtype: 'F16',
  shape,
  bytes: bytesOf(toF16(values)),
});
const bf16 = (values: Float32Array, shape: number[]): TensorSpec => ({
  dtype: 'BF16',
  shape,
  bytes: bytesOf(Uint16Array.from(new Uint32Array(values.buffer), (bits) => bits >>> 16)),
});
/** What a bfloat16 tensor holds of these numbers. */
const truncated = (values: Float32Array): Float32Array =>
  new Float32Array(
    Uint32Array.from(new Uint32Array(values.slice().buffer), (bits) => (bits & 0xffff0000) >>> 0).buffer,
  );

function quantized(name: string, matrix: PackedMatrix): Record<string, TensorSpec> {
  const tensors: Record<string, TensorSpec> = {};
  matrix.planes.forEach((plane, i) => {
    tensors[`${name}.plane${i}`] = { dtype: 'U8', shape: [matrix.rows, plane.length / matrix.rows], bytes: plane };
  });
  tensors[`${name}.scales`] = {
    dtype: 'F16',
    shape: [matrix.rows, matrix.scales.length / matrix.rows],
    bytes: bytesOf(matrix.scales),
  };
  if (matrix.minimums.length > 0) {
    const shape = [matrix.rows, matrix.minimums.length / matrix.rows];
    tensors[`${name}.minimums`] = { dtype: 'F16', shape, bytes: bytesOf(matrix.minimums) };
  }
  if (matrix.scaleCodes) {
    const shape = [matrix.rows, matrix.scaleCodes.length / matrix.rows];
    tensors[`${name}.scale_codes`] = { dtype: 'U8', shape, bytes: matrix.scaleCodes };
  }
  return tensors;
}

const weight = (name: string, shape: number[], parts?: Weight['parts']): Weight => ({
  name,
  shape,
  role: 'ffn-in',
  parts: parts ?? [{ tensor: name, rows: shape[0]! }],
});
const allFormats: readonly WeightFormat[] = Object.values(FORMATS);
const graphOf = (...weights: Weight[]): Graph => ({ weights }) as unknown as Graph;

async function sourceOf(
  tensors: Record<string, TensorSpec>,
  graph: Graph,
  metadata?: Record<string, string>,
): Promise<WeightSource> {
  return createWeightSource(
    await openCheckpoint(memoryFiles({ 'model.safetensors': safetensors(tensors, metadata) })),
    graph,
  );
}

async function collect(
  source: WeightSource,
  formats: Record<string, WeightFormat>,
): Promise<Map<string, PackedMatrix>> {
  const result = new Map<string, PackedMatrix>();
  for await (const { name, matrix } of source.stream(new Map(Object.entries(formats)))) {
    assert.ok(!result.has(name), `${name} came twice`);
    const sizes = formatBytes(matrix.format, matrix.rows, matrix.columns);
    assert.deepEqual(
      matrix.planes.map((plane) => plane.length),
      sizes.planes,
    );
    result.set(name, matrix);
  }
  return result;
}

function assertSame(actual: PackedMatrix | undefined, expected: PackedMatrix): void {
  assert.ok(actual);
  const plain = (m: PackedMatrix): unknown => ({
    ...m,
    planes: m.planes.map((plane) => [...plane]),
    scales: [...m.scales],
    minimums: [...m.minimums],
    scaleCodes: [...(m.scaleCodes ?? [])],
  });
  assert.deepEqual(plain(actual), plain(expected));
}

const failsWith = (code: string, pattern: RegExp) => (thrown: unknown) => {
  assert.ok(thrown instanceof WpError, String(thrown));
  assert.equal(thrown.code, code);
  assert.match(thrown.message, pattern);
  return true;
};

describe('a stream of weights', () => {
  it('converts f32, f16 and bf16 to any planned format as the packer does', async () => {
    const pack = await loadPacker(allFormats);
    const values = numbers(6 * 256);
    for (const [tensor, held] of [
      [f32(values, [6, 256]), values],
      [bf16(values, [6, 256]), truncated(values)],
      [f16(values, [6, 256]), unpackMatrix(packMatrix(values, 6, 256, FORMATS.f16))],
    ] as const) {
      const source = await sourceOf({ w: tensor }, graphOf(weight('w', [6, 256])));
      for (const format of allFormats) {
        assertSame((await collect(source, { w: format })).get('w'), pack(held, 6, 256, format));
      }
    }
  });

  it('converts in blocks of rows to the same bytes as at once', async () => {
    // More than a step's 2^18 numbers, and rows that do not divide them.
    const rows = 2051;
    const values = numbers(rows * 288);
    const source = await sourceOf({ w: f32(values, [rows, 288]) }, graphOf(weight('w', [rows, 288])));
    assertSame((await collect(source, { w: FORMATS.q4g32 })).get('w'), packMatrix(values, rows, 288, FORMATS.q4g32));
  });

  it('reads large tensors in parts when they are converted, at once when they are not', async () => {
    const values = new Float32Array(9 * 2 ** 20).fill(0.25);
    const files = memoryFiles({ 'model.safetensors': safetensors({ w: f32(values, [9, 2 ** 20]) }) });
    const source = createWeightSource(await openCheckpoint(files), graphOf(weight('w', [9, 2 ** 20])));
    const file = files.opened.get('model.safetensors')!;
    const largest = (): number => Math.max(...file.reads.map(({ start, end }) => end - start));
    await collect(source, { w: FORMATS.q4g32 });
    assert.equal(largest(), 4 * 2 ** 20, 'a row');
    await collect(source, { w: FORMATS.f32 });
    assert.equal(largest(), 9 * 4 * 2 ** 20);
  });

  it('passes on what is already in the planned format, without a copy', async () => {
    const values = numbers(2 * 32);
    const packed = packMatrix(values, 2, 32, FORMATS.q4g32);
    const tensors = { ...quantized('a', packed), b: f16(values, [2, 32]) };
    const source = await sourceOf(tensors, graphOf(weight('a', [2, 32]), weight('b', [2, 32])), {
      'wp-models.quantization': '{"a":"q4g32"}',
    });
    const result = await collect(source, { a: FORMATS.q4g32, b: FORMATS.f16 });
    assertSame(result.get('a'), packed);
    assertSame(result.get('b'), packMatrix(values, 2, 32, FORMATS.f16));
    assert.equal(result.get('a')!.planes[0]!.buffer, result.get('b')!.planes[0]!.buffer, 'one read, two views');
  });

  it('quantises again when another format is planned', async () => {
    const packed = packMatrix(numbers(5 * 64), 5, 64, FORMATS.q8g32);
    const source = await sourceOf(quantized('w', packed), graphOf(weight('w', [5, 64])), {
      'wp-models.quantization': '{"w":"q8g32"}',
    });
    for (const format of [FORMATS.q4g32, FORMATS.f16]) {
      assertSame((await collect(source, { w: format })).get('w'), packMatrix(unpackMatrix(packed), 5, 64, format));
    }
  });

  it('puts stacked weights together, whatever the order and the formats of their parts', async () => {
    const pack = await loadPacker(allFormats);
    const [q, k, v] = [numbers(4 * 256), numbers(2 * 256), numbers(2 * 256)];
    const parts = [
      { tensor: 'q', rows: 4 },
      { tensor: 'k', rows: 2 },
      { tensor: 'v', rows: 2 },
    ];
    for (const stored of allFormats.filter(isQuantized)) {
      const packedK = pack(k, 2, 256, stored);
      // In the file: v, then k (quantised), then q.
      const source = await sourceOf(
        { v: f32(v, [2, 256]), ...quantized('k', packedK), q: f32(q, [4, 256]) },
        graphOf(weight('q+k+v', [8, 256], parts)),
        { 'wp-models.quantization': JSON.stringify({ k: stored.name }) },
      );
      assert.equal(source.storedFormat(weight('q+k+v', [8, 256], parts)), 'f32');
      for (const format of [stored, FORMATS.q4g32, FORMATS.q3k, FORMATS.f16]) {
        const expected = stackMatrices([
          pack(q, 4, 256, format),
          format === stored ? packedK : pack(unpackMatrix(packedK), 2, 256, format),
          pack(v, 2, 256, format),
        ]);
        assertSame((await collect(source, { 'q+k+v': format })).get('q+k+v'), expected);
      }
    }
  });

  it('gives vectors as one row, stacked ones one behind another', async () => {
    const [a, b] = [numbers(3), numbers(5)];
    const parts = [
      { tensor: 'a', rows: 3 },
      { tensor: 'b', rows: 5 },
    ];
    const source = await sourceOf({ a: bf16(a, [3]), b: f32(b, [5]) }, graphOf(weight('a+b', [8], parts)));
    const matrix = (await collect(source, { 'a+b': FORMATS.f32 })).get('a+b')!;
    assert.deepEqual([matrix.rows, matrix.columns], [1, 8]);
    assert.deepEqual([...unpackMatrix(matrix)], [...truncated(a), ...b]);
  });

  it('lets two weights share a tensor', async () => {
    const values = numbers(64);
    const tied = weight('lm_head.weight', [2, 32], [{ tensor: 'embed', rows: 2 }]);
    const source = await sourceOf({ embed: f32(values, [2, 32]) }, graphOf(weight('embed', [2, 32]), tied));
    const result = await collect(source, { embed: FORMATS.f16, 'lm_head.weight': FORMATS.q4g32 });
    assertSame(result.get('embed'), packMatrix(values, 2, 32, FORMATS.f16));
    assertSame(result.get('lm_head.weight'), packMatrix(values, 2, 32, FORMATS.q4g32));
  });

  it('finds tensors with and without the prefix, and leaves out what the graph does not use', async () => {
    const values = numbers(32);
    const tensors = {
      'layers.0.w': f32(values, [1, 32]),
      'model.z': f32(values, [1, 32]),
      'lm_head.weight': f32(numbers(3200), [100, 32]),
    };
    const source = await sourceOf(tensors, graphOf(weight('model.layers.0.w', [1, 32]), weight('z', [1, 32])));
    assert.equal((await collect(source, { 'model.layers.0.w': FORMATS.f32, z: FORMATS.f32 })).size, 2);
    const file = safetensors(tensors);
    assert.equal(source.downloadBytes, file.length - 12_800);
  });

  it('comes in the order of the file', async () => {
    const tensors = Object.fromEntries(['c', 'a', 'b'].map((name) => [name, f32(numbers(32), [1, 32])]));
    const source = await sourceOf(tensors, graphOf(weight('a', [1, 32]), weight('b', [1, 32]), weight('c', [1, 32])));
    const result = await collect(source, { a: FORMATS.f32, b: FORMATS.q4g32, c: FORMATS.f16 });
    assert.deepEqual([...result.keys()], ['c', 'a', 'b']);
  });
});

describe('weights that do not fit', () => {
  const values = numbers(64);

  it('lists all missing tensors before anything is read', async () => {
    await assert.rejects(
      sourceOf({ a: f32(values, [2, 32]) }, graphOf(weight('a', [2, 32]), weight('b', [1]), weight('c', [1]))),
      failsWith('missing-tensor', /2 of the model's tensors: b, c/),
    );
  });
  it('shows both shapes', async () => {
    await assert.rejects(
      sourceOf({ a: f32(values, [32, 2]) }, graphOf(weight('a', [2, 32]))),
      failsWith('corrupt-file', /\[32, 2\].*\[2, 32\]/),
    );
  });
  it('names a dtype that is not read', async () => {
    const tensors = { a: { dtype: 'F8_E4M3', shape: [2, 32], bytes: new Uint8Array(64) } };
    await assert.rejects(sourceOf(tensors, graphOf(weight('a', [2, 32]))), failsWith('unsupported-format', /F8_E4M3/));
  });
  it('names a format that is not read', async () => {
    const metadata = { 'wp-models.quantization': '{"a":"q1g7"}' };
    await assert.rejects(
      sourceOf({}, graphOf(weight('a', [2, 32])), metadata),
      failsWith('unsupported-format', /q1g7/),
    );
  });
  it('names the piece of a quantised tensor that is missing or has another shape', async () => {
    const pieces = quantized('a', packMatrix(values, 2, 32, FORMATS.q4g32));
    const metadata = { 'wp-models.quantization': '{"a":"q4g32"}' };
    const graph = graphOf(weight('a', [2, 32]));
    await assert.rejects(
      sourceOf({ 'a.plane0': pieces['a.plane0']! }, graph, metadata),
      failsWith('missing-tensor', /a\.scales/),
    );
    const wrong = { ...pieces, 'a.scales': { ...pieces['a.scales']!, shape: [1, 2] } };
    await assert.rejects(sourceOf(wrong, graph, metadata), failsWith('corrupt-file', /a\.scales.*\[1, 2\].*\[2, 1\]/));
  });
  it('refuses a format that the width does not allow', async () => {
    const source = await sourceOf({ a: f32(numbers(20), [2, 10]) }, graphOf(weight('a', [2, 10])));
    await assert.rejects(collect(source, { a: FORMATS.q4g32 }), failsWith('unsupported-format', /"a".*32/));
  });
  it('names the tensor whose numbers cannot be held', async () => {
    const source = await sourceOf(
      {
        a: f32(
          values.map((x, i) => (i === 40 ? NaN : x)),
          [2, 32],
        ),
      },
      graphOf(weight('a', [2, 32])),
    );
    await assert.rejects(collect(source, { a: FORMATS.q4g32 }), failsWith('corrupt-file', /"a".*NaN/));
    const large = await sourceOf(
      {
        a: f32(
          values.map((x, i) => (i === 9 ? 1e5 : x)),
          [2, 32],
        ),
      },
      graphOf(weight('a', [2, 32])),
    );
    await assert.rejects(collect(large, { a: FORMATS.f16 }), failsWith('unsupported-format', /100000.*65504/));
  });
});

describe('stopping a stream', () => {
  it('aborts within a tensor', async () => {
    const rows = 8192;
    const source = await sourceOf({ w: f32(numbers(rows * 256), [rows, 256]) }, graphOf(weight('w', [rows, 256])));
    const controller = new AbortController();
    setImmediate(() => controller.abort());
    await assert.rejects(
      async () => {
        for await (const _ of source.stream(new Map([['w', FORMATS.q4g32]]), controller.signal))
          assert.fail('it went on');
      },
      { name: 'AbortError' },
    );
  });

  it('ends the reads when the loop is left', async () => {
    const count = 20;
    const tensors = Object.fromEntries(
      Array.from({ length: count }, (_, i) => [`w${i}`, f32(new Float32Array(2 ** 20), [1, 2 ** 20])]),
    );
    const files = memoryFiles({ 'model.safetensors': safetensors(tensors) });
    const source = createWeightSource(
      await openCheckpoint(files),
      graphOf(...Array.from({ length: count }, (_, i) => weight(`w${i}`, [1, 2 ** 20]))),
    );
    const formats = new Map(Array.from({ length: count }, (_, i) => [`w${i}`, FORMATS.f32]));
    for await (const { name } of source.stream(formats)) {
      assert.equal(name, 'w0');
      break;
    }
    // The header's two reads, then no more than the read-ahead: a quarter of the file.
    const ahead = files.opened.get('model.safetensors')!.reads.length - 2;
    assert.ok(ahead >= 2 && ahead <= 5, `${ahead} tensors of 4 MiB were read`);
  });
});

describe('real weights', () => {
  const folder = new URL('../../../shared/models/fable-25m/', import.meta.url);
  const skip = existsSync(folder) ? false : 'the folder ../shared/models is not here';
  it('fable-25m streams whole', { skip }, async () => {
    const files = await openModelFiles(parseSource(folder.href, { embeddedBase: '' }));
    const checkpoint = await openCheckpoint(files);
    const graph = graphOf(...[...checkpoint.tensors.values()].map(({ name, shape }) => weight(name, [...shape])));
    const source = createWeightSource(checkpoint, graph);
    let bytes = 0;
    const formats = new Map(graph.weights.map(({ name }) => [name, FORMATS.f16]));
    for await (const { matrix } of source.stream(formats)) bytes += matrix.planes[0]!.length;
    assert.equal(bytes, checkpoint.totalBytes);
    await files.close();
  });
});
