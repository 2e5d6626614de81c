// Mutated files, seeded: each must be read or refused with a WpError, without a range outside the file and without reading
// more than there is. A hang fails by the runner's timeout; a wish for huge memory shows in the ranges that were asked for.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { WpError } from '../../runtime/errors.ts';
import type { Graph } from '../../runtime/graph/types.ts';
import { FORMATS, type WeightFormat } from '../../runtime/quantization/formats.ts';
import { openCheckpoint } from '../../runtime/weights/checkpoint.ts';
import { createWeightSource } from '../../runtime/weights/weight-source.ts';
import { f32Bytes, joined, memoryFiles, safetensors, seeded } from './memory-files.ts';

const cases = 4000;

const plain = safetensors(
  {
    'model.a': { dtype: 'F32', shape: [4, 32], bytes: f32Bytes(new Float32Array(128).fill(0.5)) },
    'model.q.plane0': { dtype: 'U8', shape: [2, 16], bytes: new Uint8Array(32).fill(0x88) },
    'model.q.scales': { dtype: 'F16', shape: [2, 1], bytes: new Uint8Array(4).fill(0x3c) },
    'model.b': { dtype: 'BF16', shape: [32], bytes: new Uint8Array(64) },
  },
  { 'wp-models.quantization': '{"model.q":"q4g32"}' },
);
const fixture = new Uint8Array(readFileSync(new URL('./fixtures/mixed.safetensors', import.meta.url)));

const graph = {
  weights: [
    { name: 'a', parts: [{ tensor: 'model.a', rows: 4 }], shape: [4, 32], role: 'ffn-in' },
    { name: 'q', parts: [{ tensor: 'model.q', rows: 2 }], shape: [2, 32], role: 'ffn-in' },
    { name: 'b', parts: [{ tensor: 'model.b', rows: 32 }], shape: [32], role: 'norm' },
  ],
} as unknown as Graph;
const formats = new Map<string, WeightFormat>([
  ['a', FORMATS.q4g32],
  ['q', FORMATS.q8g32],
  ['b', FORMATS.f32],
]);

const hostileNumbers = [0, 1, -1, 2 ** 31, 2 ** 32, 2 ** 53, 1e18, 1e308, 0.5, 100_000_001, 31, 33, 64];
const hostileValues: unknown[] = [
  null,
  true,
  'F16',
  '',
  [],
  {},
  [[]],
  '__proto__',
  [1e9, 1e9],
  'q4g32',
  ...hostileNumbers,
];

/** Changes that keep the header whole, so that what lies behind its validation is reached. */
function mutateMeaning(text: string, random: () => number): string {
  const changes: [RegExp, readonly string[]][] = [
    [/"(BF16|F16)"/, ['"F16"', '"BF16"', '"I16"', '"U16"']],
    [/\[4,32\]/, ['[32,4]', '[128]', '[1,4,32]', '[2,64]']],
    [/model\.(q\.plane0|q\.scales|a|b)"/, ['a"', 'b"', 'model.q"', 'model.q.minimums"', 'q"']],
    [/q4g32/, ['q8g32', 'q2g64', 'f16', '__proto__', 'Q4G32']],
    [/\\"model\.q\\"/, ['\\"model.a\\"', '\\"a\\"', '\\"\\"']],
  ];
  const [pattern, replacements] = changes[Math.floor(random() * changes.length)]!;
  return text.replace(pattern, replacements[Math.floor(random() * replacements.length)]!);
}

/** Replaces a random node of a JSON value. */
function mutateJson(value: unknown, random: () => number): unknown {
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)]!;
  if (typeof value !== 'object' || value === null || random() < 0.15) return pick(hostileValues);
  if (Array.isArray(value)) {
    const copy: unknown[] = value.slice();
    if (copy.length === 0 || random() < 0.2) copy.push(pick(hostileNumbers));
    else {
      const i = Math.floor(random() * copy.length);
      copy[i] = random() < 0.7 ? pick(hostileNumbers) : mutateJson(copy[i], random);
    }
    return copy;
  }
  const entries = Object.entries(value);
  if (entries.length === 0) return pick(hostileValues);
  const i = Math.floor(random() * entries.length);
  const [key, inner] = entries[i]!;
  const kind = random();
  if (kind < 0.1) entries.splice(i, 1);
  else if (kind < 0.2) entries[i] = [pick(['__proto__', 'model.a', '__metadata__', 'dtype', '']), inner];
  else entries[i] = [key, mutateJson(inner, random)];
  return Object.fromEntries(entries);
}

function mutate(file: Uint8Array, random: () => number): Uint8Array {
  const at = (length: number): number => Math.floor(random() * length);
  const headerBytes = Number(new DataView(file.buffer, file.byteOffset).getBigUint64(0, true));
  const text = new TextDecoder().decode(file.subarray(8, 8 + headerBytes));
  const data = file.subarray(8 + headerBytes);
  switch (at(9)) {
    case 0:
      return file.slice(0, at(file.length + 1));
    case 1: {
      const longer = new Uint8Array(file.length + 1 + at(64));
      longer.set(file);
      return longer;
    }
    case 2: {
      const copy = file.slice();
      for (let flips = 1 + at(4); flips > 0; flips--) copy[at(8 + headerBytes)]! ^= 1 << at(8);
      return copy;
    }
    case 3: {
      const copy = file.slice();
      new DataView(copy.buffer).setBigUint64(0, BigInt.asUintN(64, BigInt(Math.floor(random() * 2 ** at(64)))), true);
      return copy;
    }
    case 4: {
      const cut = at(text.length);
      return joined(text.slice(0, cut) + text.slice(cut + 1 + at(12)), [data]);
    }
    case 5: {
      const cut = at(text.length);
      return joined(text.slice(0, cut) + text.slice(at(text.length)), [data]);
    }
    case 6:
      return joined(mutateMeaning(text, random), [data]);
    case 7: {
      const copy = file.slice();
      for (let flips = 1 + at(4); flips > 0; flips--) copy[8 + headerBytes + at(data.length)]! ^= 1 << at(8);
      return copy;
    }
    default: {
      let json: unknown = JSON.parse(text);
      for (let changes = 1 + at(3); changes > 0; changes--) json = mutateJson(json, random);
      return joined(JSON.stringify(json), [data]);
    }
  }
}

describe('hostile safetensors', () => {
  it(`${cases} mutated files are read or refused`, { timeout: 120_000 }, async () => {
    const random = seeded(20_260_401);
    const outcomes = new Map<string, number>();
    for (let i = 0; i < cases; i++) {
      const bytes = mutate(i % 4 !== 0 ? plain : fixture, random);
      const files = memoryFiles({ 'model.safetensors': bytes });
      let outcome = 'read';
      try {
        const checkpoint = await openCheckpoint(files);
        let sum = 0;
        for (const name of checkpoint.tensors.keys()) sum += (await checkpoint.read(name)).length;
        assert.ok(sum <= bytes.length, `case ${i}: tensors of ${sum} bytes in a file of ${bytes.length}`);
        for await (const { matrix } of createWeightSource(checkpoint, graph).stream(formats))
          assert.ok(matrix.rows > 0);
      } catch (thrown) {
        assert.ok(thrown instanceof WpError, `case ${i}: ${thrown instanceof Error ? thrown.stack : String(thrown)}`);
        assert.notEqual(thrown.code, 'internal', `case ${i}: ${thrown.message}`);
        assert.ok(thrown.message.length < 1000, `case ${i}: a message of ${thrown.message.length} characters`);
        outcome = thrown.code;
      }
      for (const { start, end } of files.opened.get('model.safetensors')!.reads)
        assert.ok(start <= end && end <= bytes.length);
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
    }
    // The mutations must reach deep, or they show nothing: all of these happen dozens of times.
    for (const outcome of ['read', 'corrupt-file', 'missing-tensor'])
      assert.ok((outcomes.get(outcome) ?? 0) > 10, JSON.stringify([...outcomes]));
  });

  it('1000 mutated indices are read or refused', async () => {
    const random = seeded(77);
    const index = {
      metadata: { total_size: 1 },
      weight_map: { 'model.a': 's1.safetensors', 'model.b': 's1.safetensors' },
    };
    for (let i = 0; i < 1000; i++) {
      const text = JSON.stringify(mutateJson(index, random));
      const files = memoryFiles({ 'model.safetensors.index.json': text, 's1.safetensors': plain });
      try {
        await openCheckpoint(files);
      } catch (thrown) {
        assert.ok(thrown instanceof WpError, `${text}: ${String(thrown)}`);
        assert.notEqual(thrown.code, 'internal');
      }
    }
  });
});
