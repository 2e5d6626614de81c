// Damaged and hostile files: a WpError, at once, and never more memory than the file. The header's reader alone meets many mutations;
// what it lets through, ONNX Runtime meets in a few.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { WpError } from '../../runtime/errors.ts';
import { checkOperations } from '../../runtime/onnx/check-operations.ts';
import { readOnnxHeader } from '../../runtime/onnx/header.ts';
import { bytesField, concatenate, numberField, textField } from '../../runtime/onnx/protobuf.ts';
import { rewriteMatrices } from '../../runtime/onnx/quantize/rewrite.ts';
import { createOnnxSession } from '../../runtime/onnx/session.ts';
import { nextTask as next } from '../../runtime/generation/event-loop.ts';
import { Random } from '../support/random.ts';
import { bytesOf, failsWith } from './fixtures.ts';

const FILES = ['products.onnx', 'external.onnx', 'counter.onnx', 'embedder.onnx'] as const;

async function read(bytes: Uint8Array): Promise<void> {
  const header = readOnnxHeader(bytes, 'a.onnx');
  checkOperations(header, 'a.onnx');
  if (header.externalFiles.size === 0) await rewriteMatrices({ header, bytes, external: [] }, 4, 'a.onnx', next);
}

/** Sound, or a WpError of a kind that says what is wrong with a file. */
async function expectVerdict(bytes: Uint8Array): Promise<void> {
  try {
    await read(bytes);
  } catch (thrown) {
    assert.ok(thrown instanceof WpError, String((thrown as Error).stack));
    assert.ok(['corrupt-file', 'unsupported-operation'].includes(thrown.code), `${thrown.code}: ${thrown.message}`);
  }
}

describe('damaged files', () => {
  for (const name of FILES) {
    const whole = bytesOf(name);
    it(`${name}: cut at any place`, () => {
      const step = Math.max(1, Math.floor(whole.length / 300));
      for (let length = 0; length < whole.length; length += step) {
        assert.throws(() => readOnnxHeader(whole.slice(0, length), 'a.onnx'), failsWith('corrupt-file'));
      }
    });
    it(`${name}: bytes changed, taken out, put in`, async () => {
      const generator = new Random(name.length);
      const random = (): number => generator.next();
      for (let round = 0; round < (whole.length > 1e5 ? 40 : 300); round++) {
        const bytes = [...whole];
        // Most of a file is weights: the changes are made where the structure is, too.
        const place = (): number =>
          Math.floor(random() * (random() < 0.5 ? Math.min(600, bytes.length) : bytes.length));
        for (let i = 0; i < 1 + random() * 3; i++) {
          const kind = random();
          if (kind < 0.6) bytes[place()] = Math.floor(random() * 256);
          else if (kind < 0.8) bytes.splice(place(), 1 + Math.floor(random() * 8));
          else bytes.splice(place(), 0, ...Array.from({ length: 8 }, () => Math.floor(random() * 256)));
        }
        await expectVerdict(Uint8Array.from(bytes));
      }
    });
  }
});

const attribute = (graph: Uint8Array): Uint8Array => bytesField(5, bytesField(6, graph));
const model = (graph: Uint8Array): Uint8Array =>
  concatenate([numberField(1, 8), bytesField(8, numberField(2, 17)), bytesField(7, graph)]);
const node = (type: string, domain = ''): Uint8Array => bytesField(1, textField(4, type), textField(7, domain));
const tensor = (...fields: Uint8Array[]): Uint8Array => bytesField(5, textField(8, 'w'), numberField(2, 1), ...fields);
const external = (entries: Record<string, string>): Uint8Array =>
  concatenate([
    numberField(14, 1),
    ...Object.entries(entries).map(([key, value]) => bytesField(13, textField(1, key), textField(2, value))),
  ]);

describe('hostile files', () => {
  let deep = node('Relu');
  for (let i = 0; i < 40; i++) deep = bytesField(1, textField(4, 'If'), attribute(deep));
  const huge = 2 ** 40;
  const cases: [string, Uint8Array, string, RegExp][] = [
    ['nothing', new Uint8Array(0), 'corrupt-file', /no graph/],
    ['zeros', new Uint8Array(1000), 'corrupt-file', /no number/],
    [
      'a length of 2^62',
      Uint8Array.of(0x3a, 255, 255, 255, 255, 255, 255, 255, 255, 0x3f),
      'corrupt-file',
      /bytes long/,
    ],
    ['a number without end', new Uint8Array(64).fill(255), 'corrupt-file', /64 bits|no number/],
    ['graphs in graphs', model(deep), 'corrupt-file', /deep/],
    [
      'a tensor of 2^40 numbers',
      model(tensor(numberField(1, huge), bytesField(9))),
      'corrupt-file',
      /needs 4398046511104/,
    ],
    [
      'a tensor of −1',
      model(tensor(Uint8Array.of(8, ...new Array<number>(9).fill(255), 1))),
      'corrupt-file',
      /dimension -1/,
    ],
    ['an unknown operation', model(node('Frobnicate')), 'unsupported-operation', /does not know: Frobnicate/],
    ['an unknown domain', model(node('Add', 'made.up')), 'unsupported-operation', /made\.up:Add/],
    [
      'operations of the future',
      concatenate([numberField(1, 8), bytesField(8, numberField(2, 99)), bytesField(7)]),
      'unsupported-operation',
      /operation set 99/,
    ],
    [
      'weights outside the folder',
      model(tensor(numberField(1, 1), external({ location: '../../etc/passwd' }))),
      'corrupt-file',
      /names no file/,
    ],
    ['weights at a URL', model(tensor(external({ location: 'https://x.test/a' }))), 'corrupt-file', /names no file/],
    ['weights before the start', model(tensor(external({ location: 'a', offset: '-5' }))), 'corrupt-file', /range/],
    [
      'a sequence as input',
      model(bytesField(11, textField(1, 's'), bytesField(2, bytesField(4)))),
      'unsupported-operation',
      /"s".*no tensor/,
    ],
  ];
  for (const [what, bytes, code, message] of cases) {
    it(what, () => assert.rejects(read(bytes), failsWith(code, message)));
  }

  it('a function of the model’s own is known', async () => {
    const own = bytesField(25, textField(1, 'Mine'), textField(10, 'made.up'), bytesField(7, textField(4, 'Relu')));
    await read(concatenate([model(node('Mine', 'made.up')), own]));
  });
});

it('what only ONNX Runtime can see fails as a WpError too, and the next model runs', async () => {
  const bytes = bytesOf('products.onnx');
  const text = new TextDecoder('latin1').decode(bytes);
  // The first product reads a value that nothing computes.
  const changed = bytes.slice();
  changed.set(new TextEncoder().encode('q1'), text.indexOf('w1'));
  const { inputs, outputs } = readOnnxHeader(changed, 'a.onnx');
  const source = { file: 'a.onnx', external: [], inputs, outputs };
  await assert.rejects(
    createOnnxSession({ ...source, bytes: changed }, 'wasm', 1),
    failsWith('corrupt-file', /a\.onnx/),
  );
  const session = await createOnnxSession({ ...source, bytes }, 'wasm', 1);
  await session.dispose();
});

it('a result larger than all memory is refused, and the next run goes on', async () => {
  // ConstantOfShape of what the page passes: the file itself is a hundred bytes.
  const value = (name: string, type: number): Uint8Array =>
    concatenate([textField(1, name), bytesField(2, bytesField(1, numberField(1, type), bytesField(2, bytesField(1))))]);
  const bytes = model(
    concatenate([
      bytesField(1, textField(1, 'shape'), textField(2, 'filled'), textField(4, 'ConstantOfShape')),
      textField(2, 'huge'),
      bytesField(11, value('shape', 7)),
      bytesField(12, value('filled', 1)),
    ]),
  );
  const { inputs, outputs } = readOnnxHeader(bytes, 'a.onnx');
  const session = await createOnnxSession({ file: 'a.onnx', bytes, external: [], inputs, outputs }, 'wasm', 1);
  const fill = (size: bigint) =>
    session.run({ inputs: { shape: { type: 'int64', dims: [1], data: new BigInt64Array([size]) } } });
  for (const size of [2n ** 31n, 2n ** 40n])
    await assert.rejects(fill(size), failsWith('out-of-memory', /a\.onnx .*smaller inputs/));
  await assert.rejects(fill(-1n), failsWith('invalid-argument', /a\.onnx/));
  assert.deepEqual((await fill(3n))['filled']!.dims, [3]);
  await session.dispose();
});
