import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Shape } from '../../runtime/graph/types.ts';
import { embed } from '../../runtime/ops/embed.ts';
import { costOf, runReference, shapesOf, type OperationSpec } from '../../runtime/ops/index.ts';
import { tensor } from '../../runtime/ops/operation.ts';
import { selectRows } from '../../runtime/ops/select-rows.ts';

const WEIGHTS: Record<string, readonly number[]> = { vector: [4], matrix: [6, 4], headNorm: [2] };
const context = { weightShape: (name: string) => WEIGHTS[name]! };
const HEADS = { heads: 4, keyValueHeads: 2, headDim: 2, keyState: 'k', valueState: 'v' };
const rotary = (attributes: object): OperationSpec => ({
  op: 'rotaryCache',
  attributes: { ...HEADS, epsilon: 1e-5, ...attributes },
});
const attention = (attributes: object): OperationSpec => ({
  op: 'attention',
  attributes: { ...HEADS, scale: 1, ...attributes },
});
const linear = (attributes: object): OperationSpec => ({
  op: 'linear',
  attributes: { weight: 'matrix', ...attributes },
});
const gated: OperationSpec = { op: 'gatedActivation', attributes: { activation: 'silu' } };
const norm: OperationSpec = { op: 'rmsNorm', attributes: { weight: 'vector', epsilon: 1e-5 } };

describe('shape rules keep symbols', () => {
  const table: [OperationSpec, Shape[], Shape][] = [
    [{ op: 'embed', attributes: { weight: 'matrix' } }, [['tokens']], ['tokens', 4]],
    [linear({}), [['outputs', 4]], ['outputs', 6]],
    [norm, [['tokens', 4]], ['tokens', 4]],
    [gated, [['tokens', 10]], ['tokens', 5]],
    [
      gated,
      [
        ['tokens', 5],
        ['tokens', 5],
      ],
      ['tokens', 5],
    ],
    [
      rotary({ queryNorm: 'headNorm', keyNorm: 'headNorm' }),
      [
        ['tokens', 16],
        ['tokens', 2],
      ],
      ['tokens', 8],
    ],
    [
      rotary({}),
      [
        ['tokens', 8],
        ['tokens', 4],
        ['tokens', 4],
        ['tokens', 2],
      ],
      ['tokens', 8],
    ],
    [attention({}), [['tokens', 8]], ['tokens', 8]],
    [{ op: 'selectRows', attributes: {} }, [['tokens', 4], ['outputs']], ['outputs', 4]],
  ];
  for (const [spec, inputs, expected] of table) {
    test(`${spec.op} of ${JSON.stringify(inputs)}`, () => {
      assert.deepEqual(shapesOf(spec, inputs, context), [expected]);
    });
  }
});

describe('shape rules refuse', () => {
  const table: [string, OperationSpec, Shape[], RegExp][] = [
    ['too few inputs', { op: 'add', attributes: {} }, [['tokens', 4]], /add: got 1 inputs, takes 2/],
    [
      'different columns',
      { op: 'add', attributes: {} },
      [
        ['tokens', 4],
        ['tokens', 5],
      ],
      /columns of b is 5, expected 4/,
    ],
    [
      'different symbols',
      { op: 'add', attributes: {} },
      [
        ['tokens', 4],
        ['outputs', 4],
      ],
      /rows of b is outputs/,
    ],
    ['a vector for a matrix', norm, [['tokens']], /rmsNorm: x is \[tokens\], expected two dimensions/],
    ['a norm of another width', norm, [['tokens', 5]], /length of vector is 4, expected 5/],
    ['a matrix of another width', linear({}), [['tokens', 5]], /columns of x, for matrix, is 5, expected 4/],
    ['a bias of another length', linear({ bias: 'vector' }), [['tokens', 4]], /length of vector is 4, expected 6/],
    ['a matrix for a bias', linear({ bias: 'matrix' }), [['tokens', 4]], /matrix is \[6,4\], expected one dimension/],
    ['half a gate', gated, [['tokens', 5]], /even number of columns, not 5/],
    [
      'gate and up that differ',
      gated,
      [
        ['tokens', 5],
        ['tokens', 6],
      ],
      /columns of up is 6, expected 5/,
    ],
    [
      'an odd headDim',
      rotary({ headDim: 3 }),
      [
        ['tokens', 24],
        ['tokens', 3],
      ],
      /headDim must be even, not 3/,
    ],
    [
      'heads in no groups',
      rotary({ heads: 3 }),
      [
        ['tokens', 14],
        ['tokens', 2],
      ],
      /multiple of keyValueHeads/,
    ],
    [
      'qkv too narrow',
      rotary({}),
      [
        ['tokens', 15],
        ['tokens', 2],
      ],
      /columns of qkv is 15, expected 16/,
    ],
    [
      'rotary of another headDim',
      rotary({}),
      [
        ['tokens', 16],
        ['tokens', 4],
      ],
      /columns of rotary is 4, expected 2/,
    ],
    [
      'keys too wide',
      rotary({}),
      [
        ['tokens', 8],
        ['tokens', 8],
        ['tokens', 4],
        ['tokens', 2],
      ],
      /columns of the keys is 8/,
    ],
    [
      'a head norm too long',
      rotary({ keyNorm: 'vector' }),
      [
        ['tokens', 16],
        ['tokens', 2],
      ],
      /length of vector is 4, expected 2/,
    ],
    [
      'three inputs',
      rotary({}),
      [
        ['tokens', 8],
        ['tokens', 4],
        ['tokens', 4],
      ],
      /got 3 inputs, takes 2 or 4/,
    ],
    ['no window', attention({ window: 0 }), [['tokens', 8]], /window must be at least 1, not 0/],
    [
      'rows that are a matrix',
      { op: 'selectRows', attributes: {} },
      [
        ['tokens', 4],
        ['outputs', 1],
      ],
      /rows is \[outputs,1\]/,
    ],
  ];
  for (const [name, spec, inputs, message] of table) {
    test(name, () => {
      assert.throws(() => shapesOf(spec, inputs, context), { name: 'WpError', code: 'invalid-argument', message });
    });
  }
});

describe('references refuse what kernels cannot check', () => {
  const reference = { weight: () => tensor([6, 4]), state: () => tensor([2, 4, 2]), past: 0 };
  const ids = (...data: number[]) => ({ shape: [data.length], data: Int32Array.from(data) });

  test('a token id outside the vocabulary', () => {
    for (const id of [-1, 6]) {
      assert.throws(() => embed.reference([ids(0, id)], { weight: 'matrix' }, reference), { code: 'invalid-argument' });
    }
  });

  test('a row outside the step', () => {
    assert.throws(() => selectRows.reference([tensor([2, 4]), ids(2)], {}, reference), { code: 'invalid-argument' });
  });

  test('more tokens than the cache has room for', () => {
    const inputs = [tensor([2, 16]), tensor([2, 2])];
    assert.equal(runReference(rotary({}), inputs, { ...reference, past: 2 }).length, 1);
    assert.throws(() => runReference(rotary({}), inputs, { ...reference, past: 3 }), {
      code: 'invalid-argument',
      message: /3 \+ 2 tokens exceed the cache's 4/,
    });
  });
});

describe('costs, counted by hand', () => {
  const costContext = { ...context, weightBytes: () => 100, past: 10, tokens: 3 };
  const table: [string, OperationSpec, number[][], { flops: number; bytes: number }][] = [
    ['embed reads its tokens’ rows', { op: 'embed', attributes: { weight: 'matrix' } }, [[3]], { flops: 0, bytes: 50 }],
    ['linear: two a weight and row', linear({}), [[3, 4]], { flops: 2 * 3 * 24, bytes: 100 }],
    ['linear reads its bias', linear({ bias: 'vector' }), [[3, 4]], { flops: 2 * 3 * 24, bytes: 200 }],
    // Positions seen: 11 + 12 + 13; cache rows: 13 positions × 2 heads × 2 numbers × 2 bytes, keys and values.
    ['attention', attention({}), [[3, 8]], { flops: 4 * 36 * 8, bytes: 2 * 13 * 2 * 2 * 2 }],
    // A window of 5: each token sees 5; together they see 7 positions.
    ['attention in a window', attention({ window: 5 }), [[3, 8]], { flops: 4 * 15 * 8, bytes: 2 * 7 * 2 * 2 * 2 }],
    [
      'rotaryCache writes keys and values',
      rotary({}),
      [
        [3, 16],
        [3, 2],
      ],
      { flops: 3 * 3 * 6 * 2, bytes: 2 * 3 * 4 * 2 },
    ],
  ];
  for (const [name, spec, inputs, expected] of table) {
    test(name, () => assert.deepEqual(costOf(spec, inputs, costContext), expected));
  }
});
