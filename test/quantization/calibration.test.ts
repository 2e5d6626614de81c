// Calibration against the operations' references: the moments that the WASM backend gathers are those of the inputs that the
// reference interpreter computes. Layer by layer a model gives what it gives whole.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createWasmBackend } from '../../runtime/backends/wasm/index.ts';
import { lower } from '../../runtime/graph/passes/index.ts';
import type { Graph, Weight } from '../../runtime/graph/types.ts';
import {
  assignBits,
  calibrate,
  measureSensitivity,
  quantizeLayers,
  quantizeWeights,
  spreadOver,
  textWindows,
  type CalibrationModel,
} from '../../runtime/quantization/calibration/index.ts';
import { layerGraph, layersOf, HIDDEN_STATE } from '../../runtime/quantization/calibration/layer-graph.ts';
import { tapLinears } from '../../runtime/quantization/calibration/tap.ts';
import { formatBytes, FORMATS, type PackedMatrix, type WeightFormat } from '../../runtime/quantization/formats.ts';
import { packMatrix, unpackMatrix } from '../../runtime/quantization/pack.ts';
import { Random } from '../support/random.ts';
import { ReferenceBackend } from '../support/reference-backend.ts';
import { TINY_DECODER, tinyDecoder } from '../support/tiny-decoder.ts';

const graph = tinyDecoder();
const { columns, headDim, vocabulary } = TINY_DECODER;

const tensors = new Map(
  graph.weights.map((weight, i) => {
    const isNorm = weight.shape.length === 1;
    const count = weight.shape.reduce((a, b) => a * b);
    const numbers = new Random(i + 1).floats(count, isNorm ? 0.3 : 0.25);
    return [weight.name, isNorm ? numbers.map((x) => 1 + x) : numbers];
  }),
);

function matrixOf(weight: Weight, format: WeightFormat): PackedMatrix {
  const numbers = weight.parts.flatMap(({ tensor }) => [...tensors.get(tensor)!]);
  const [rows, width] = weight.shape.length > 1 ? (weight.shape as [number, number]) : [1, weight.shape[0]!];
  return packMatrix(Float32Array.from(numbers), rows, width, format);
}

async function* weights(of: Graph, formats: ReadonlyMap<string, WeightFormat>) {
  for (const weight of of.weights) yield { name: weight.name, matrix: matrixOf(weight, formats.get(weight.name)!) };
}

function rotaryRows(past: number, tokens: number): Float32Array {
  const rows = new Float32Array(tokens * headDim);
  for (let t = 0; t < tokens; t++) {
    for (let i = 0; i < headDim / 2; i++) {
      const angle = (past + t) * 10000 ** ((-2 * i) / headDim);
      rows[t * headDim + i] = Math.cos(angle);
      rows[t * headDim + headDim / 2 + i] = Math.sin(angle);
    }
  }
  return rows;
}

const wasm = await createWasmBackend({ threads: 1 });
const model: CalibrationModel = { graph, backend: wasm, weights, rotaryRows };
const random = new Random(77);
const windows = [150, 140, 9].map((length) => Array.from({ length }, () => random.integer(0, vocabulary - 1)));

/** Every value of a graph for a window, by the references. */
async function reference(of: Graph, window: readonly number[]) {
  const formats = new Map(of.weights.map(({ name }) => [name, FORMATS.f32]));
  const options = { formats, contextLength: window.length, maxTokens: window.length, maxOutputs: window.length };
  const program = await new ReferenceBackend().compile(of, options);
  for await (const { name, matrix } of weights(of, formats)) await program.setWeight(name, matrix);
  const rows = Int32Array.from(window.keys());
  return program.runAll({
    tokenIds: Int32Array.from(window),
    rotary: rotaryRows(0, window.length),
    outputRows: rows,
    past: 0,
  });
}

function closeTo(actual: ArrayLike<number>, expected: ArrayLike<number>, tolerance: number, what: string): void {
  assert.equal(actual.length, expected.length, what);
  const largest = Math.max(...Array.from(expected, Math.abs));
  for (let i = 0; i < actual.length; i++) {
    const off = Math.abs(actual[i]! - expected[i]!);
    assert.ok(off <= tolerance * largest, `${what}[${i}]: ${actual[i]} for ${expected[i]}, largest ${largest}`);
  }
}

describe('calibration', () => {
  it('gathers the moments that the references give', async () => {
    const { graph: tapped, taps } = tapLinears(lower(graph));
    assert.equal(taps.length, 4 * 2 + 1);
    const expected = new Map(taps.map((tap) => [tap, new Float64Array(tap.columns ** 2)]));
    let tokens = 0;
    for (const window of windows) {
      const values = await reference(tapped, window);
      tokens += window.length;
      for (const tap of taps) {
        const x = values.get(tapped.outputs[tap.output]!)!.data;
        const sums = expected.get(tap)!;
        for (let at = 0; at < x.length; at += tap.columns) {
          for (let i = 0; i < sums.length; i++) {
            sums[i]! += x[at + Math.floor(i / tap.columns)]! * x[at + (i % tap.columns)]!;
          }
        }
      }
    }
    const found = await calibrate(model, windows, { gather: 'moments', format: FORMATS.f32 });
    for (const tap of taps) {
      for (const tensor of tap.tensors) {
        const { count, moments, squares } = found.get(tensor)!;
        assert.equal(count, tokens);
        // The cache of keys and values is f16.
        closeTo(
          moments!,
          expected.get(tap)!.map((x) => x / tokens),
          2e-4,
          tensor,
        );
        closeTo(
          squares,
          squares.map((_, i) => moments![i * (tap.columns + 1)]!),
          1e-5,
          tensor,
        );
      }
    }
    assert.ok(found.has('embed'), 'the tied table, by what the output matrix reads');
    const inEightBits = await calibrate(model, windows);
    closeTo(inEightBits.get('layers.1.down')!.squares, found.get('layers.1.down')!.squares, 0.02, '8 bits');
    assert.equal(inEightBits.get('layers.1.down')!.moments, undefined);
  });

  it('says so when a backend gives no activations', async () => {
    await assert.rejects(calibrate({ ...model, backend: new ReferenceBackend() }, windows), {
      code: 'unsupported-operation',
    });
  });

  it('runs a model layer by layer as it runs whole', async () => {
    const window = windows[1]!;
    const lowered = lower(graph);
    const whole = await reference(lowered, window);
    const table = tensors.get('embed')!;
    let hidden = Float32Array.from(window.flatMap((id) => [...table.subarray(id * columns, (id + 1) * columns)]));
    for (const layer of layersOf(graph)) {
      const part = lower(layerGraph(graph, layer, window.length).graph);
      tensors.set(HIDDEN_STATE, hidden);
      const values = await reference(part, [...window.keys()]);
      hidden = Float32Array.from(values.get(part.outputs['logits']!)!.data);
    }
    tensors.delete(HIDDEN_STATE);
    // The last layer's sum is what the last norm reads, after the rows are selected.
    const selected = lowered.operations.find(({ op }) => op === 'selectRows')!;
    closeTo(hidden, whole.get(selected.inputs[0]!)!.data, 1e-5, 'hidden state');
  });

  it('finds a weight that matters more sensitive, and its cost falls with its bits', async () => {
    const candidates = [FORMATS.q2g32, FORMATS.q3g32, FORMATS.q4g32, FORMATS.q8g32];
    const calibration = await calibrate(model, windows);
    const units = await measureSensitivity(model, windows.slice(0, 1), calibration, { candidates });
    assert.equal(units.length, 1 + 4 * 2);
    for (const { name, candidates: found } of units) {
      assert.ok(
        found.every(({ cost }, i) => i === 0 || cost < found[i - 1]!.cost),
        name,
      );
      const weight = lower(graph).weights.find((candidate) => candidate.name === name)!;
      const [rows, width] = weight.shape as [number, number];
      assert.equal(found[0]!.bytes, formatBytes(FORMATS.q2g32, rows, width).total);
    }
    const budget = units.reduce((sum, { candidates: found }) => sum + found[1]!.bytes, 0);
    assert.ok(assignBits(units, budget).formats.size === units.length);
  });

  for (const sequential of [false, true]) {
    it(`quantises every weight once by GPTQ, ${sequential ? 'layer after layer' : 'at once'}`, async () => {
      const calibration = await calibrate(model, windows, { gather: 'moments' });
      const formats = new Map(
        graph.weights.filter(({ shape }) => shape.length > 1).map(({ name }) => [name, FORMATS.q4g32]),
      );
      const options = { formats, calibration };
      const stream = sequential
        ? quantizeLayers(model, windows, options)
        : quantizeWeights(model, { ...options, method: 'gptq' });
      const found = new Map<string, PackedMatrix>();
      for await (const { name, matrix } of stream) {
        assert.ok(!found.has(name), name);
        found.set(name, matrix);
      }
      assert.deepEqual([...found.keys()].sort(), [...tensors.keys()].sort());
      for (const [name, matrix] of found) {
        const isNorm = tensors.get(name)!.length === columns;
        assert.equal(matrix.format.name, isNorm ? 'f16' : 'q4g32', name);
        closeTo(unpackMatrix(matrix), tensors.get(name)!, isNorm ? 1e-3 : 0.5, name);
      }
    });
  }

  it('probes a text from its beginning to its end', () => {
    const windows = Array.from({ length: 64 }, (_, i) => i);
    assert.deepEqual(spreadOver(windows, 4), [8, 24, 40, 56]);
    assert.deepEqual(spreadOver([1, 2], 4), [1, 2]);
    assert.deepEqual(spreadOver([], 4), []);
  });

  it('spreads windows over a text', () => {
    const text = Array.from({ length: 107 }, (_, i) => i);
    assert.deepEqual(
      textWindows(text, { count: 3, length: 10 }).map((window) => window[0]),
      [0, 30, 60],
    );
    assert.equal(textWindows(text, { count: 50, length: 10 }).length, 10);
    assert.deepEqual(textWindows([1, 2, 3], { count: 2, length: 10 }), [[1, 2, 3]]);
    assert.deepEqual(textWindows([], { count: 2, length: 10 }), []);
  });
});
