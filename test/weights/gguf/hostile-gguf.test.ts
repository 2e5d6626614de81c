// Mutated and hostile GGUF files, seeded: each must be read or refused with a WpError, without a hang, without a range outside
// the file, and without reading or holding more than there is.
//
// This file is longer than 400 lines because the ways to damage a file are one list, and every one of them meets the same checks.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { WpError } from '../../../runtime/errors.ts';
import { GraphBuilder } from '../../../runtime/graph/builder.ts';
import { lower } from '../../../runtime/graph/passes/index.ts';
import { RangeFile } from '../../../runtime/loading/model-files.ts';
import { findFamily, modelTypeOf } from '../../../runtime/models/index.ts';
import { withKinds } from '../../../runtime/planning/weight-kinds.ts';
import { readGgufTokenizer } from '../../../runtime/processing/gguf-tokenizer.ts';
import { createTokenizer } from '../../../runtime/processing/tokenizer.ts';
import { FORMATS, formatBytes, isQuantized, type PackedMatrix } from '../../../runtime/quantization/formats.ts';
import { GGML_TYPES } from '../../../runtime/quantization/ggml/types.ts';
import { readGgufHeader } from '../../../runtime/weights/gguf/header.ts';
import { openGguf } from '../../../runtime/weights/gguf/open.ts';
import { createWeightSource } from '../../../runtime/weights/weight-source.ts';
import { Random } from '../../support/random.ts';
import { memoryFiles } from '../memory-files.ts';
import { ggufFile, string, tinyLlama, u32, type GgufSpec, type Tensor, type Value } from './gguf-file.ts';

const cases = 12_000;
const whole = ggufFile(tinyLlama());
const values = new Uint8Array(readFileSync(new URL('./fixtures/values.gguf', import.meta.url)));

/** What a load does with a file before a backend sees it; the weights are streamed unless `onlyHeader`. */
async function load(bytes: Uint8Array, onlyHeader = false): Promise<void> {
  const files = Object.assign(memoryFiles({ 'm.gguf': bytes }), { weightsName: 'm.gguf' });
  try {
    const model = await openGguf(files);
    const { tokenizer, tokenizerConfig } = readGgufTokenizer(model.metadata);
    const family = findFamily(modelTypeOf(model.config));
    const config = family.config(model.config);
    assert.ok(config.layers <= model.checkpoint.tensors.size, 'a graph of layers that the file does not hold');
    if (onlyHeader) return;
    const builder = new GraphBuilder();
    family.build(builder, config);
    const authored = builder.build();
    const unfused = createWeightSource(model.checkpoint, authored);
    const graph = lower(withKinds(authored, (weight) => unfused.storedFormat(weight)));
    model.expectAllUsed(graph);
    createTokenizer(tokenizer, tokenizerConfig).encode('ab');
    const source = createWeightSource(model.checkpoint, graph);
    // What is stored in a format of ours stays so: without loss, and in no more bytes.
    const formats = new Map(
      graph.weights.map((weight) => {
        const stored = source.storedFormat(weight);
        const isKept = stored !== 'foreign' && stored !== 'bf16' && isQuantized(FORMATS[stored]);
        return [weight.name, weight.shape.length < 2 ? FORMATS.f32 : isKept ? FORMATS[stored] : FORMATS.q8g32];
      }),
    );
    for await (const { matrix } of source.stream(formats)) {
      assert.ok(matrix.rows > 0);
      assert.equal(packedBytes(matrix), formatBytes(matrix.format, matrix.rows, matrix.columns).total);
    }
  } finally {
    for (const { start, end } of files.opened.get('m.gguf')!.reads) assert.ok(start <= end && end <= bytes.length);
  }
}

function packedBytes({ planes, scales, minimums, scaleCodes }: PackedMatrix): number {
  const arrays = [...planes, scales, minimums, ...(scaleCodes ? [scaleCodes] : [])];
  return arrays.reduce((sum, { byteLength }) => sum + byteLength, 0);
}

/** Rows of 256 numbers, in the types that keep their bits: what tinyLlama is too narrow for. */
const KEPT_TYPES = [2, 3, 6, 7, 8, 10, 11, 12, 13, 14];

function wideLlama(random: Random): GgufSpec {
  const anyType = (): number => KEPT_TYPES[random.integer(0, KEPT_TYPES.length - 1)]!;
  // Gate and up are stacked, and are of one type in real files.
  const gateType = anyType();
  const matrix = (name: string, columns: number, rows: number): Tensor => {
    const type = /ffn_(?:gate|up)/.test(name) ? gateType : anyType();
    const { blockSize, blockBytes } = GGML_TYPES.get(type)!;
    const tensor = {
      name,
      dims: [columns, rows],
      type,
      bytes: new Uint8Array((rows * columns * blockBytes) / blockSize),
    };
    return { ...tensor, bytes: randomBytes(tensor, random) };
  };
  const norm = (name: string): Tensor => ({ name, dims: [256], type: 0, bytes: new Uint8Array(1024) });
  const sizes: [string, number, number][] = [
    ['token_embd', 256, 4],
    ['blk.0.attn_q', 256, 32],
    ['blk.0.attn_k', 256, 16],
    ['blk.0.attn_v', 256, 16],
    ['blk.0.ffn_gate', 256, 256],
    ['blk.0.ffn_up', 256, 256],
    ['blk.0.ffn_down', 256, 256],
  ];
  const tensors = Object.fromEntries(
    sizes.map(([name, ...size]) => [`${name}.weight`, matrix(`${name}.weight`, ...size)]),
  );
  const norms = ['output_norm', 'blk.0.attn_norm', 'blk.0.ffn_norm'].map((name) => `${name}.weight`);
  const output: Tensor = { name: 'blk.0.attn_output.weight', dims: [32, 256], type: 0, bytes: new Uint8Array(32_768) };
  return tinyLlama({
    metadata: {
      'llama.embedding_length': u32(256),
      'llama.feed_forward_length': u32(256),
      'llama.attention.key_length': u32(16),
    },
    tensors: { ...tensors, [output.name]: output, ...Object.fromEntries(norms.map((name) => [name, norm(name)])) },
  });
}

const hostileCounts = [
  0,
  1,
  2,
  3,
  31,
  33,
  255,
  256,
  65_535,
  2 ** 22 + 1,
  2 ** 31,
  2 ** 32 - 1,
  2 ** 53,
  2 ** 63,
  2 ** 64 - 1,
];

/** Changes that keep the file's form, so that what lies behind it is reached. */
function mutateSpec(random: Random): GgufSpec {
  const spec = tinyLlama();
  const metadata = [...spec.metadata!];
  const tensors = [...spec.tensors!];
  const pick = <T>(list: readonly T[]): T => list[random.integer(0, list.length - 1)]!;
  const count = (): number => pick(hostileCounts);
  const result: { -readonly [Key in keyof GgufSpec]: GgufSpec[Key] } = { metadata, tensors };
  for (let changes = random.integer(1, 3); changes > 0; changes--) {
    const m = random.integer(0, metadata.length - 1);
    const t = random.integer(0, tensors.length - 1);
    const [key, value] = metadata[m]!;
    const tensor = tensors[t]!;
    switch (random.integer(0, 12)) {
      case 0:
        metadata[m] = [key, mutateValue(value, random, count)];
        break;
      case 1:
        metadata[m] = [
          key,
          pick<Value>([u32(count()), string('llama'), { type: 'bool', value: 1 }, { type: 'f32', value: NaN }]),
        ];
        break;
      case 2:
        metadata.splice(m, 1);
        break;
      case 3:
        metadata.push(pick([metadata[m]!, ['general.alignment', u32(count())], ['split.count', u32(count())]]));
        break;
      case 4:
        metadata[m] = [pick(['', '__proto__', 'general.architecture', 'llama.unknown', `llama.${key}`]), value];
        break;
      case 5:
        tensors[t] = {
          ...tensor,
          type: pick([0, 1, 2, 3, 6, 7, 8, 10, 11, 12, 13, 14, 20, 24, 30, 36, 39, 99, 2 ** 31]),
        };
        break;
      case 6:
        tensors[t] = {
          ...tensor,
          dims: pick([[], [count()], [count(), count()], [1, 1, 1, 1, 1], [32, 32, 1, 1], [2 ** 32, 2 ** 32]]),
        };
        break;
      case 7:
        tensors[t] = { ...tensor, offset: pick([count(), 32 * random.integer(0, 1000), 1]) };
        break;
      case 8:
        tensors[t] = {
          ...tensor,
          name: pick(['', 'blk.1.ffn_up.weight', 'rope_freqs.weight', tensors[0]!.name, 'x'.repeat(300)]),
        };
        break;
      case 9:
        tensors.splice(t, 1);
        break;
      case 10:
        result.tensorCount = count();
        break;
      case 11:
        result.entryCount = count();
        break;
      default:
        tensors[t] = { ...tensor, bytes: randomBytes(tensor, random) };
    }
    if (metadata.length === 0 || tensors.length === 0) break;
  }
  return result;
}

function mutateValue(value: Value, random: Random, count: () => number): Value {
  if (value.type === 'string') return { ...value, value: value.value.slice(random.integer(0, value.value.length)) };
  if (value.type !== 'array') return { ...value, value: count() };
  const list = [...value.value];
  const i = random.integer(0, Math.max(0, list.length - 1));
  if (random.boolean()) list.splice(i, 1);
  else list[i] = value.of === 'string' ? ['', 'a', 'a b c', '\u0000', '__proto__'][random.integer(0, 4)]! : count();
  return { ...value, value: list };
}

function randomBytes(tensor: Tensor, random: Random): Uint8Array {
  return Uint8Array.from(tensor.bytes, () => random.integer(0, 255));
}

function mutateBytes(file: Uint8Array, random: Random): Uint8Array {
  const at = (length: number): number => random.integer(0, length - 1);
  switch (random.integer(0, 4)) {
    case 0:
      return file.slice(0, at(file.length + 1));
    case 1: {
      const copy = file.slice();
      for (let flips = random.integer(1, 4); flips > 0; flips--) copy[at(copy.length)]! ^= 1 << at(8);
      return copy;
    }
    case 2: {
      // A count or a length in the header becomes another one.
      const copy = file.slice();
      const wide = BigInt.asUintN(64, BigInt(Math.trunc(hostileCounts[at(hostileCounts.length)]!)));
      new DataView(copy.buffer).setBigUint64(at(Math.min(1500, copy.length) - 8), wide, true);
      return copy;
    }
    case 3: {
      const from = at(file.length);
      const removed = random.integer(1, 40);
      const copy = new Uint8Array(Math.max(from, file.length - removed));
      copy.set(file.subarray(0, from));
      copy.set(file.subarray(Math.min(file.length, from + removed)), from);
      return copy;
    }
    default: {
      const copy = file.slice();
      const from = at(copy.length);
      copy.copyWithin(at(copy.length), from, Math.min(copy.length, from + 64));
      return copy;
    }
  }
}

describe('hostile GGUF files', () => {
  it('the file that is mutated loads', () => load(whole));

  it(`${cases} mutated files are read or refused`, { timeout: 120_000 }, async () => {
    const random = new Random(20_260_402);
    const outcomes = new Map<string, number>();
    for (let i = 0; i < cases; i++) {
      const kind = i % 3;
      const bytes =
        kind === 0 ? ggufFile(mutateSpec(random)) : mutateBytes(kind === 1 || i % 2 === 0 ? whole : values, random);
      let outcome = 'read';
      try {
        await load(bytes, i % 8 >= 3);
      } catch (thrown) {
        assert.ok(thrown instanceof WpError, `case ${i}: ${thrown instanceof Error ? thrown.stack : String(thrown)}`);
        assert.notEqual(thrown.code, 'internal', `case ${i}: ${thrown.message}`);
        assert.ok(thrown.message.length < 1000, `case ${i}: a message of ${thrown.message.length} characters`);
        outcome = thrown.code;
      }
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
    }
    // The mutations must reach deep, or they show nothing: all of these happen dozens of times.
    const expected = ['read', 'corrupt-file', 'missing-tensor', 'unsupported-config', 'unsupported-format'];
    for (const outcome of [...expected, 'unsupported-architecture', 'missing-tokenizer'])
      assert.ok((outcomes.get(outcome) ?? 0) > 10, JSON.stringify([...outcomes]));
  });

  it('300 files of random and damaged K-quants are read or refused', { timeout: 120_000 }, async () => {
    const random = new Random(20_260_511);
    const outcomes = new Map<string, number>();
    for (let i = 0; i < 300; i++) {
      const file = ggufFile(wideLlama(random));
      const bytes = i % 3 === 0 ? file : mutateBytes(file, random);
      let outcome = 'read';
      try {
        await load(bytes);
      } catch (thrown) {
        assert.ok(thrown instanceof WpError, `case ${i}: ${thrown instanceof Error ? thrown.stack : String(thrown)}`);
        assert.notEqual(thrown.code, 'internal', `case ${i}: ${thrown.message}`);
        outcome = thrown.code;
      }
      // Whatever the bits are, they stand for numbers: nothing that keeps its form is refused.
      if (i % 3 === 0) assert.equal(outcome, 'read', `case ${i}`);
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
    }
    assert.ok(outcomes.get('read')! > 100 && outcomes.get('corrupt-file')! > 20, JSON.stringify([...outcomes]));
  });

  /** A file of a terabyte whose header is `head`: what it claims fits the file, and must not be believed for that. */
  class SparseFile extends RangeFile {
    override readonly url = undefined;
    readBytes = 0;

    constructor(private readonly head: Uint8Array) {
      super('m.gguf', 2 ** 40);
    }

    protected override fetchRange(start: number, end: number): Promise<Uint8Array> {
      this.readBytes += end - start;
      const bytes = new Uint8Array(end - start);
      if (start < this.head.length) bytes.set(this.head.subarray(start, Math.min(this.head.length, end)));
      return Promise.resolve(bytes);
    }
  }

  const entry = (bytes: (view: DataView) => void): Uint8Array => {
    const head = ggufFile({ entryCount: 1, metadata: [] });
    const all = new Uint8Array(head.length + 64);
    all.set(head);
    new DataView(all.buffer).setBigUint64(head.length, 1n, true);
    all[head.length + 8] = 0x6b;
    bytes(new DataView(all.buffer, head.length + 9));
    return all;
  };
  const array = (type: number, count: bigint): Uint8Array =>
    entry((view) => {
      view.setUint32(0, 9, true);
      view.setUint32(4, type, true);
      view.setBigUint64(8, count, true);
    });
  const bombs: [string, Uint8Array][] = [
    ['2^40 metadata entries', ggufFile({ entryCount: 2 ** 40 })],
    ['2^63 tensors', ggufFile({ tensorCount: 2 ** 63 })],
    ['30 million tensors', ggufFile({ tensorCount: 30_000_000 })],
    [
      'a key of 2^39 bytes',
      (() => {
        const all = ggufFile({ entryCount: 1 });
        const longer = new Uint8Array(all.length + 8);
        longer.set(all);
        new DataView(longer.buffer).setBigUint64(all.length, 2n ** 39n, true);
        return longer;
      })(),
    ],
    [
      'a text of 2^38 bytes',
      entry((view) => {
        view.setUint32(0, 8, true);
        view.setBigUint64(4, 2n ** 38n, true);
      }),
    ],
    ['an array of 2^36 numbers', array(4, 2n ** 36n)],
    ['an array of 2^34 texts', array(8, 2n ** 34n)],
    ['an array of 2^64 − 1 bytes', array(0, 2n ** 64n - 1n)],
    ['arrays within arrays', array(9, 2n)],
    ['a value of an unknown type', entry((view) => view.setUint32(0, 77, true))],
    [
      'a tensor of 2^64 numbers',
      ggufFile({ tensors: [{ name: 'x', dims: [2 ** 32, 2 ** 32], type: 0, bytes: new Uint8Array(0) }] }),
    ],
    ['a tensor of no numbers', ggufFile({ tensors: [{ name: 'x', dims: [0], type: 0, bytes: new Uint8Array(0) }] })],
    [
      'a tensor of five dimensions',
      ggufFile({ tensors: [{ name: 'x', dims: [1, 1, 1, 1, 1], type: 0, bytes: new Uint8Array(4) }] }),
    ],
    [
      'a tensor beyond the file',
      ggufFile({ tensors: [{ name: 'x', dims: [2 ** 39], type: 0, bytes: new Uint8Array(0) }] }),
    ],
  ];
  for (const [what, head] of bombs) {
    it(`refuses ${what} in a file of a terabyte, having read little`, async () => {
      const file = new SparseFile(head);
      await assert.rejects(
        readGgufHeader(file),
        (thrown: unknown) => thrown instanceof WpError && thrown.code === 'corrupt-file',
      );
      assert.ok(file.readBytes <= 2 ** 20, `${file.readBytes} bytes were read`);
    });
  }

  const refused: [string, Uint8Array, string, RegExp][] = [
    ['version 1', ggufFile({ version: 1 }), 'unsupported-format', /version 1/],
    ['big-endian files', ggufFile({ version: 0x03000000 }), 'unsupported-format', /big-endian/],
    ['other files', new TextEncoder().encode('PK\u0003\u0004'.padEnd(40, '\u0001')), 'corrupt-file', /does not begin/],
    ['web pages', new TextEncoder().encode('<!doctype html><html><body>Not found'), 'not-a-model', /a web page/],
    ['LFS pointers', new TextEncoder().encode('version https://git-lfs.github.com/spec/v1'), 'not-a-model', /LFS/],
    ['empty files', new Uint8Array(0), 'corrupt-file', /0 bytes/],
    ['alignments of 3', ggufFile({ metadata: [['general.alignment', u32(3)]] }), 'corrupt-file', /power of two/],
    ['alignments of 0', ggufFile({ metadata: [['general.alignment', u32(0)]] }), 'corrupt-file', /power of two/],
    [
      'keys twice',
      ggufFile({
        metadata: [
          ['a', u32(1)],
          ['a', u32(2)],
        ],
      }),
      'corrupt-file',
      /"a" twice/,
    ],
    [
      'unaligned tensors',
      ggufFile({ tensors: [{ name: 'x', dims: [4], type: 0, offset: 4, bytes: new Uint8Array(16) }] }),
      'corrupt-file',
      /multiple of 32/,
    ],
    [
      'overlaps',
      ggufFile({
        tensors: ['x', 'y'].map((name) => ({ name, dims: [16], type: 0, offset: 0, bytes: new Uint8Array(64) })),
      }),
      'corrupt-file',
      /overlaps "x" by 64/,
    ],
    [
      'tensors twice',
      ggufFile({ tensors: ['x', 'x'].map((name) => ({ name, dims: [16], type: 0, bytes: new Uint8Array(64) })) }),
      'corrupt-file',
      /"x" twice/,
    ],
    [
      'rows of half a block',
      ggufFile({ tensors: [{ name: 'x', dims: [48], type: 2, bytes: new Uint8Array(27) }] }),
      'corrupt-file',
      /multiples of 32/,
    ],
    [
      'types that are gone',
      ggufFile({ tensors: [{ name: 'x', dims: [32], type: 36, bytes: new Uint8Array(32) }] }),
      'unsupported-format',
      /IQ4_NL_4_4/,
    ],
    [
      'types of tomorrow',
      ggufFile({ tensors: [{ name: 'x', dims: [32], type: 77, bytes: new Uint8Array(32) }] }),
      'unsupported-format',
      /unknown type, 77/,
    ],
  ];
  for (const [what, bytes, code, pattern] of refused) {
    it(`refuses ${what} and says so`, async () => {
      await assert.rejects(load(bytes), (thrown: unknown) => {
        assert.ok(thrown instanceof WpError, String(thrown));
        assert.equal(thrown.code, code, thrown.message);
        assert.match(thrown.message, pattern);
        return true;
      });
    });
  }
});
