import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { lower } from '../../runtime/graph/passes/index.ts';
import type { Graph } from '../../runtime/graph/types.ts';
import { chooseFormats } from '../../runtime/planning/precision-policy.ts';
import { quantizationPolicy } from '../../runtime/planning/quantization-options.ts';
import { withKinds } from '../../runtime/planning/weight-kinds.ts';
import type { QuantizationOptions } from '../../runtime/types.ts';
import { TINY_DECODER, tinyDecoder } from '../support/tiny-decoder.ts';

const options = { ...TINY_DECODER, columns: 256, width: 512, headDim: 64, isTied: false };
const authored = tinyDecoder(options);

/** Formats by the lowered graph's weights, without what is not a matrix. */
function formats(wish: QuantizationOptions, graph: Graph = authored): Record<string, string> {
  const policy = quantizationPolicy(wish, graph);
  const lowered = lower(withKinds(graph, () => 'f16', policy.bitsOf));
  const [choice] = chooseFormats(lowered, new Map(), policy);
  const matrices = lowered.weights.filter(({ shape }) => shape.length > 1);
  return Object.fromEntries(matrices.map(({ name }) => [name, choice!.formats.get(name)!.name]));
}

const QKV = 'layers.0.q+layers.0.k+layers.0.v';
const GATE_UP = 'layers.0.gate+layers.0.up';

describe('bits a role and a layer', () => {
  test('all matrices alike', () => {
    assert.deepEqual(new Set(Object.values(formats({ bits: 2 }))), new Set(['q2k']));
    assert.deepEqual(new Set(Object.values(formats({ bits: 16 }))), new Set(['f16']));
    const asked = (wish: Partial<QuantizationOptions>): string => formats({ bits: 4, ...wish })[QKV]!;
    assert.equal(asked({ scheme: 'symmetric' }), 'q4g32');
    assert.equal(asked({ scheme: 'asymmetric' }), 'q4g64m');
    assert.equal(asked({ groupSize: 128 }), 'q4g128');
    assert.equal(asked({ scheme: 'asymmetric', groupSize: 16 }), 'q4g16m');
  });

  test('a group that does not fit the width gives way to a smaller one', () => {
    const narrow = tinyDecoder({ ...options, width: 96 });
    assert.equal(formats({ bits: 4, groupSize: 128 }, narrow)['layers.0.down'], 'q4g32');
    assert.equal(formats({ bits: 4, groupSize: 128 }, narrow)[GATE_UP], 'q4g128');
  });

  test('mixed precision: embedding, queries, keys, values and output keep 8 bits', () => {
    for (const [bits, format] of [
      [2, 'q2k'],
      [4, 'q4k'],
    ] as const) {
      const found = formats({ bits, mixedPrecision: true });
      assert.deepEqual(
        ['embed', QKV, 'layers.1.o', GATE_UP, 'layers.0.down', 'head'].map((name) => found[name]),
        ['q8g32', 'q8g32', format, format, format, 'q8g32'],
      );
    }
    assert.equal(formats({ bits: 16, mixedPrecision: true })['embed'], 'f16', 'never fewer than asked for');
  });

  test('roles and layers have their own', () => {
    const found = formats({
      bits: 2,
      mixedPrecision: { embedding: 16, 'ffn-out': 4 },
      perLayer: { 'layers.0.*': 4, 'layers.0.v': 8, 'layers.1.up': 3 },
    });
    assert.equal(found['embed'], 'f16');
    assert.equal(found['head'], 'q8g32');
    assert.equal(found['layers.1.down'], 'q4k');
    assert.deepEqual(
      ['q', 'k', 'v', 'o'].map((part) => found[`layers.0.${part}`]),
      ['q4k', 'q4k', 'q8g32', 'q4k'],
      'queries, keys and values come apart',
    );
    assert.equal(found['layers.1.q+layers.1.k+layers.1.v'], 'q8g32', 'and stay together where they agree');
    assert.equal(found['layers.1.gate+layers.1.up'], 'q3k', 'a stack takes the most of its parts');
  });

  test('what is not allowed is said, with what is', () => {
    const refused: [object, RegExp][] = [
      [{ bits: 5 }, /bits is 5; allowed: 2, 3, 4, 8, 16/],
      [{ bits: 4, scheme: 'log' }, /scheme is "log"/],
      [{ bits: 4, groupSize: 48 }, /groupSize is 48/],
      [{ bits: 4, mixedPrecision: { head: 8 } }, /a key of mixedPrecision is "head"; allowed: embedding/],
      [{ bits: 4, mixedPrecision: { embedding: 7 } }, /mixedPrecision\["embedding"\] is 7/],
      [{ bits: 4, mixedPrecision: 'yes' }, /mixedPrecision is "yes"/],
      [{ bits: 4, perLayer: { 'layers.9.q': 8 } }, /"layers.9.q", which is no matrix/],
      [{ bits: 4, perLayer: { embed: 9 } }, /perLayer\["embed"\] is 9/],
    ];
    for (const [wish, message] of refused) {
      assert.throws(() => quantizationPolicy(wish as QuantizationOptions, authored), {
        code: 'invalid-argument',
        message,
      });
    }
  });
});
