// GGUF headers that claim what is not there, or what cannot be: refused with a WpError that says so, having read little.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { WpError } from '../../../runtime/errors.ts';
import { RangeFile } from '../../../runtime/loading/model-files.ts';
import { readGgufHeader } from '../../../runtime/weights/gguf/header.ts';
import { ggufFile, u32 } from './gguf-file.ts';
import { load } from './load-whole.ts';

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
describe('hostile GGUF headers', () => {
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
