import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { GraphBuilder } from '../../runtime/graph/builder.ts';
import { lower, PASSES } from '../../runtime/graph/passes/index.ts';
import { countElements } from '../../runtime/graph/shapes.ts';
import type { Graph } from '../../runtime/graph/types.ts';
import { validateGraph } from '../../runtime/graph/validate.ts';
import { isAuthoredForm } from '../../runtime/ops/index.ts';
import { Random } from '../support/random.ts';
import { ReferenceProgram } from '../support/reference-backend.ts';
import { TINY_DECODER, tinyDecoder, type TinyDecoderOptions } from '../support/tiny-decoder.ts';

const CONTEXT_LENGTH = 12;

/** Numbers of each checkpoint tensor, so that a stacked weight gets its parts' numbers. */
function checkpoint(graph: Graph, random: Random): Map<string, Float32Array> {
  return new Map(graph.weights.map(({ name, shape }) => [name, random.floats(countElements(shape), 0.5)]));
}

function program(graph: Graph, tensors: ReadonlyMap<string, Float32Array>): ReferenceProgram {
  const result = new ReferenceProgram(graph, {
    formats: new Map(),
    contextLength: CONTEXT_LENGTH,
    maxTokens: CONTEXT_LENGTH,
    maxOutputs: CONTEXT_LENGTH,
  });
  for (const weight of graph.weights) {
    const numbers = weight.parts.flatMap(({ tensor }) => [...tensors.get(tensor)!]);
    result.setNumbers(weight.name, Float32Array.from(numbers));
  }
  return result;
}

function randomOptions(random: Random): TinyDecoderOptions {
  const keyValueHeads = random.integer(1, 2);
  return {
    layers: random.integer(1, 3),
    vocabulary: random.integer(5, 20),
    columns: 4 * random.integer(1, 4),
    width: random.integer(1, 9),
    heads: keyValueHeads * random.integer(1, 3),
    keyValueHeads,
    headDim: 2 * random.integer(1, 4),
    window: random.boolean() ? random.integer(1, 6) : undefined,
    hasBias: random.boolean(),
    hasQueryKeyNorm: random.boolean(),
    hasValuesApart: random.boolean(),
    isTied: random.boolean(),
    activation: random.boolean() ? 'silu' : 'gelu-tanh',
  };
}

describe('passes', () => {
  test('each pass, and all of them, keep the logits of random decoders through prefill and decode', async () => {
    const random = new Random(7);
    for (let round = 0; round < 25; round++) {
      const options = randomOptions(random);
      const authored = tinyDecoder(options);
      const tensors = checkpoint(authored, random);
      const candidates = [
        ...PASSES.map(({ name, run }) => ({ name, graph: run(authored) })),
        { name: 'lower', graph: lower(authored) },
      ];
      const expected = program(authored, tensors);
      const programs = candidates.map(({ name, graph }) => {
        validateGraph(graph);
        return { name, program: program(graph, tensors) };
      });
      for (const [past, tokens] of [
        [0, 5],
        [5, 1],
        [6, 3],
      ] as const) {
        const step = {
          tokenIds: Int32Array.from({ length: tokens }, () => random.integer(0, options.vocabulary - 1)),
          rotary: random.floats(tokens * options.headDim, 1),
          outputRows: Int32Array.from(tokens > 1 ? [0, tokens - 1] : [0]),
          past,
        };
        const logits = await expected.run(step);
        assert.ok(logits.every(Number.isFinite));
        for (const { name, program } of programs) {
          assert.deepEqual(await program.run(step), logits, `${name} with ${JSON.stringify(options)}`);
        }
      }
    }
  });

  test('lower leaves nothing that a backend does not know, and lowering again changes nothing', () => {
    const random = new Random(11);
    for (let round = 0; round < 50; round++) {
      const lowered = lower(tinyDecoder(randomOptions(random)));
      validateGraph(lowered);
      assert.ok(!lowered.operations.some(isAuthoredForm));
      assert.deepEqual(lower(lowered), lowered);
    }
  });

  test('a decoder lowers to nine operations a layer', () => {
    const ops = (layers: number) =>
      lower(tinyDecoder({ ...TINY_DECODER, layers, hasBias: true })).operations.map(({ op }) => op);
    assert.deepEqual(ops(1), [
      'embed',
      'rmsNorm',
      'linear',
      'rotaryCache',
      'attention',
      'linear',
      'addRmsNorm',
      'linear',
      'gatedActivation',
      'linear',
      'add',
      'selectRows',
      'rmsNorm',
      'linear',
    ]);
    assert.equal(ops(3).length - ops(2).length, 9);
  });

  test('queries, keys and values of different kinds stay apart', () => {
    const lowered = lower(tinyDecoder({ ...TINY_DECODER, layers: 1, hasBias: true, hasValuesApart: true }));
    const rotary = lowered.operations.find(({ op }) => op === 'rotaryCache')!;
    assert.equal(rotary.inputs.length, 4);
    assert.deepEqual(
      lowered.weights.filter(({ role }) => role === 'attention-qkv').map(({ name }) => name),
      ['layers.0.q', 'layers.0.k', 'layers.0.v'],
    );
    assert.ok(lowered.weights.some(({ name }) => name === 'layers.0.gate+layers.0.up'));
    assert.deepEqual(lower(lowered), lowered);
  });

  test('stacked weights keep their parts, role, layer and place', () => {
    const { weights } = lower(tinyDecoder({ ...TINY_DECODER, hasBias: true }));
    assert.deepEqual(weights.slice(1, 5), [
      { name: 'layers.0.norm1', shape: [64], role: 'norm', layer: 0, parts: [{ tensor: 'layers.0.norm1', rows: 64 }] },
      {
        name: 'layers.0.q+layers.0.k+layers.0.v',
        shape: [128, 64],
        role: 'attention-qkv',
        layer: 0,
        parts: [
          { tensor: 'layers.0.q', rows: 64 },
          { tensor: 'layers.0.k', rows: 32 },
          { tensor: 'layers.0.v', rows: 32 },
        ],
      },
      {
        name: 'layers.0.q.bias+layers.0.k.bias+layers.0.v.bias',
        shape: [128],
        role: 'bias',
        layer: 0,
        parts: [
          { tensor: 'layers.0.q.bias', rows: 64 },
          { tensor: 'layers.0.k.bias', rows: 32 },
          { tensor: 'layers.0.v.bias', rows: 32 },
        ],
      },
      {
        name: 'layers.0.o',
        shape: [64, 64],
        role: 'attention-output',
        layer: 0,
        parts: [{ tensor: 'layers.0.o', rows: 64 }],
      },
    ]);
  });

  test('dead code goes: operations, weights, states, values; what a needed cache write needs stays', () => {
    const b = new GraphBuilder();
    const x = b.input('x', 'f32', ['tokens', 4]);
    b.linear(x, b.weight('unused', { shape: [3, 4], role: 'ffn-in' }));
    b.output('y', b.linear(x, b.weight('used', { shape: [5, 4], role: 'ffn-in' })));
    const lowered = lower(b.build());
    assert.deepEqual(
      lowered.weights.map(({ name }) => name),
      ['used'],
    );
    assert.deepEqual(
      lowered.values.map(({ id }) => id),
      [0, 1],
    );
    assert.equal(lowered.operations.length, 1);
    // In a decoder the rotated queries of no layer are an output, and yet every cache write must stay.
    const decoder = lower(tinyDecoder());
    assert.equal(decoder.operations.filter(({ op }) => op === 'rotaryCache').length, 2);
    assert.equal(decoder.states.length, 4);
  });

  test('gate and up that cannot be stacked are an error that names the operation', () => {
    const b = new GraphBuilder();
    const x = b.input('x', 'f32', ['tokens', 4]);
    const gate = b.linear(x, b.weight('gate', { shape: [3, 4], role: 'ffn-in' }));
    const other = b.linear(b.add(x, x), b.weight('up', { shape: [3, 4], role: 'ffn-in' }));
    b.output('y', b.gatedActivation(gate, other, { activation: 'silu' }));
    assert.throws(() => lower(b.build()), { code: 'unsupported-operation', message: /gatedActivation/ });
  });

  test('a sum that two norms read is fused with one of them', async () => {
    const b = new GraphBuilder();
    const ids = b.input('tokenIds', 'i32', ['tokens']);
    const x = b.embed(ids, b.weight('table', { shape: [6, 4], role: 'embedding' }));
    const sum = b.add(x, x);
    const norm = (name: string) =>
      b.rmsNorm(sum, { weight: b.weight(name, { shape: [4], role: 'norm' }), epsilon: 1e-6 });
    b.output('logits', b.add(norm('first'), norm('second')));
    const authored = b.build();
    const lowered = lower(authored);
    assert.deepEqual(
      lowered.operations.map(({ op }) => op),
      ['embed', 'addRmsNorm', 'rmsNorm', 'add'],
    );
    const tensors = checkpoint(authored, new Random(3));
    const step = { tokenIds: Int32Array.of(1, 5), rotary: new Float32Array(), outputRows: new Int32Array(), past: 0 };
    assert.deepEqual(await program(lowered, tensors).run(step), await program(authored, tensors).run(step));
  });
});
