import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { GraphBuilder } from '../../runtime/graph/builder.ts';
import { resolveDim, resolveShape, valueBytes } from '../../runtime/graph/shapes.ts';
import type { Graph } from '../../runtime/graph/types.ts';
import { validateGraph } from '../../runtime/graph/validate.ts';
import { TINY_DECODER, tinyDecoder } from '../support/tiny-decoder.ts';

describe('builder', () => {
  test('infers shapes and marks layers', () => {
    const graph = tinyDecoder({ ...TINY_DECODER, layers: 2 });
    const logits = graph.values[graph.outputs['logits']!]!;
    assert.deepEqual(logits.shape, ['outputs', 50]);
    assert.deepEqual(Object.keys(graph.inputs), ['tokenIds', 'rotary', 'outputRows']);
    assert.deepEqual([...new Set(graph.operations.map(({ layer }) => layer))], [undefined, 0, 1]);
    assert.equal(graph.weights.find(({ name }) => name === 'layers.1.down')?.layer, 1);
    assert.equal(graph.weights.find(({ name }) => name === 'embed')?.layer, undefined);
    assert.equal(graph.states.find(({ name }) => name === 'layers.1.keys')?.layer, 1);
  });

  test('a tensor that serves twice is one weight and keeps its first role', () => {
    const b = new GraphBuilder();
    const table = b.weight('table', { shape: [7, 4], role: 'embedding' });
    const x = b.embed(b.input('tokenIds', 'i32', ['tokens']), table);
    b.output('logits', b.linear(x, b.weight('table', { shape: [7, 4], role: 'output' })));
    assert.deepEqual(b.build().weights, [
      { name: 'table', shape: [7, 4], role: 'embedding', layer: undefined, parts: [{ tensor: 'table', rows: 7 }] },
    ]);
  });

  test('refuses what cannot be right', () => {
    const b = new GraphBuilder();
    const x = b.input('x', 'f32', ['tokens', 4]);
    b.weight('w', { shape: [3, 4], role: 'ffn-in' });
    assert.throws(() => b.input('x', 'f32', [1]), { code: 'internal', message: /two inputs named x/ });
    assert.throws(() => b.weight('w', { shape: [3, 5], role: 'ffn-in' }), {
      code: 'internal',
      message: /\[3,4\] and \[3,5\]/,
    });
    assert.throws(() => b.linear(x, 'nowhere'), { code: 'internal', message: /nowhere is not declared/ });
    assert.throws(() => b.add(x, 99), { code: 'internal', message: /no value 99/ });
    assert.throws(() => b.state('s', { shape: [1], kind: 'key' }), { code: 'internal', message: /no layer/ });
    assert.throws(() => b.layer(0, () => b.layer(1, () => 0)), { code: 'internal', message: /inside layer 0/ });
    assert.throws(() => b.linear(b.input('narrow', 'f32', ['tokens', 3]), 'w'), { code: 'invalid-argument' });
    // A layer that failed is left: the next one opens.
    assert.equal(
      b.layer(2, () => 'next'),
      'next',
    );
  });

  test('a weight that nothing uses is a defect of the family', () => {
    const b = new GraphBuilder();
    b.output('y', b.add(b.input('x', 'f32', ['tokens', 4]), 0));
    b.weight('forgotten', { shape: [3, 4], role: 'ffn-in' });
    assert.throws(() => b.build(), { code: 'internal', message: /forgotten is never used/ });
  });
});

describe('validateGraph catches', () => {
  const sound = tinyDecoder();
  const [first, second, ...rest] = sound.operations as [
    Graph['operations'][0],
    Graph['operations'][0],
    ...Graph['operations'],
  ];
  const table: [string, Graph, RegExp][] = [
    ['operations out of order', { ...sound, operations: [second, first, ...rest] }, /before it is produced/],
    ['a value with two producers', { ...sound, operations: [first, first, second, ...rest] }, /produced twice/],
    ['ids that are not dense', { ...sound, values: sound.values.slice(1) }, /at place 0/],
    ['a missing weight', { ...sound, weights: sound.weights.slice(1) }, /weight embed, which does not exist/],
    ['a missing state', { ...sound, states: sound.states.slice(1) }, /state layers.0.keys, which does not exist/],
    ['two weights of a name', { ...sound, weights: [...sound.weights, sound.weights[0]!] }, /two weights named embed/],
    ['an output of nothing', { ...sound, operations: sound.operations.slice(0, -1) }, /output logits is not produced/],
    [
      'a shape that is not the rule’s',
      { ...sound, values: sound.values.map((value) => (value.id === 3 ? { ...value, shape: ['tokens', 1] } : value)) },
      /\[tokens,1\], not \[tokens,64\]/,
    ],
    [
      'parts that do not sum to the rows',
      { ...sound, weights: sound.weights.map((weight) => ({ ...weight, parts: [{ tensor: weight.name, rows: 1 }] })) },
      /parts of weight embed have 1 rows, not 50/,
    ],
  ];
  test('nothing in a sound graph', () => validateGraph(sound));
  for (const [name, graph, message] of table) {
    test(name, () => assert.throws(() => validateGraph(graph), { code: 'internal', message }));
  }
});

describe('shapes', () => {
  test('symbols become numbers, unknown ones an error', () => {
    assert.deepEqual(resolveShape(['tokens', 3, 'context'], { tokens: 2, context: 9 }), [2, 3, 9]);
    assert.equal(valueBytes({ dtype: 'f16', shape: ['tokens', 3] }, { tokens: 2 }), 12);
    assert.throws(() => resolveDim('past', { tokens: 1 }), { code: 'internal', message: /'past' is not known/ });
  });
});
