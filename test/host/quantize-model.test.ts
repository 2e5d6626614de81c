// Quantising small files of the gguf package: what is written is read again as the same model.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { WpError } from '../../runtime/errors.ts';
import { GraphBuilder } from '../../runtime/graph/builder.ts';
import { BackendPool } from '../../runtime/host/backend-pool.ts';
import { openGgufModel } from '../../runtime/host/gguf-model.ts';
import { readModelFiles } from '../../runtime/host/model-description.ts';
import { quantizeModel } from '../../runtime/host/quantize/quantize-model.ts';
import type { ModelFiles } from '../../runtime/loading/model-files.ts';
import { nodeFiles } from '../../runtime/loading/node-files.ts';
import { findFamily, modelTypeOf } from '../../runtime/models/index.ts';
import type { QuantizeRequest } from '../../runtime/protocol/messages.ts';
import { FORMATS } from '../../runtime/quantization/formats.ts';
import { unpackMatrix } from '../../runtime/quantization/pack.ts';
import type { QuantizePlan } from '../../runtime/types.ts';
import { openCheckpoint } from '../../runtime/weights/checkpoint.ts';
import { createWeightSource } from '../../runtime/weights/weight-source.ts';

const fixtures = new URL('../weights/gguf/fixtures/', import.meta.url);
const llama = new URL('llama-llama3-00001-of-00002.gguf', fixtures).href;
const folder = mkdtempSync(join(tmpdir(), 'quantize-'));
after(() => rmSync(folder, { recursive: true }));

const backends = new BackendPool();

function requestOf(changes: Partial<QuantizeRequest>): QuantizeRequest {
  return {
    source: llama,
    embeddedBase: llama,
    headers: undefined,
    options: { bits: 8 },
    output: 'gguf',
    name: 'tiny',
    method: 'search',
    calibration: undefined,
    budgetBytes: undefined,
    state: undefined,
    keepsState: false,
    threads: 1,
    ...changes,
  };
}

interface Written {
  plan: QuantizePlan;
  files: Map<string, Uint8Array>;
}

/** Runs a quantisation into memory; `there` are bytes of an earlier run, `until` ends it after so many writes. */
async function quantized(changes: Partial<QuantizeRequest>, there?: Uint8Array, until = Infinity): Promise<Written> {
  const files = new Map<string, Uint8Array>();
  let plan: QuantizePlan | undefined;
  let writes = 0;
  const controller = new AbortController();
  const run = quantizeModel(requestOf(changes), {
    backends,
    signal: controller.signal,
    onProgress: () => undefined,
    plan(planned) {
      plan = planned;
      const whole = new Uint8Array(planned.totalBytes);
      if (there) whole.set(there);
      files.set(planned.file, whole);
      return Promise.resolve(there?.length ?? 0);
    },
    write(file, start, bytes) {
      if (!files.has(file)) files.set(file, new Uint8Array(bytes.length));
      files.get(file)!.set(bytes, start);
      writes += 1;
      if (writes === until) {
        files.set(file, files.get(file)!.slice(0, start + bytes.length));
        controller.abort();
      }
      return Promise.resolve();
    },
  });
  await run.catch((thrown: unknown) => {
    if (!(thrown instanceof Error && thrown.name === 'AbortError' && until < Infinity)) throw thrown;
  });
  return { plan: plan!, files };
}

/** The numbers of every weight of a model, by name. */
async function numbersOf(files: ModelFiles): Promise<{ config: unknown; weights: Map<string, Float32Array> }> {
  try {
    const gguf = files.weightsName?.endsWith('.gguf') ? await openGgufModel(files) : undefined;
    const description = gguf?.description ?? (await readModelFiles(files, new AbortController().signal));
    const family = findFamily(modelTypeOf(description.config));
    const config = family.config(description.config);
    const builder = new GraphBuilder();
    family.build(builder, config);
    const graph = builder.build();
    const source = createWeightSource(gguf?.checkpoint ?? (await openCheckpoint(files)), graph);
    const formats = new Map(graph.weights.map(({ name }) => [name, FORMATS.f32]));
    const weights = new Map<string, Float32Array>();
    for await (const { name, matrix } of source.stream(formats)) weights.set(name, unpackMatrix(matrix));
    const { eosTokens: _, ...rest } = config;
    return { config: rest, weights };
  } finally {
    await files.close();
  }
}

const original = () => {
  const url = new URL('.', llama);
  return numbersOf(nodeFiles(url.href, { description: 'fixture', weightsName: 'llama-llama3-00001-of-00002.gguf' }));
};

function saved({ files }: Written, weightsName?: string): ModelFiles {
  const place = mkdtempSync(join(folder, 'model-'));
  for (const [name, bytes] of files) writeFileSync(join(place, name), bytes);
  return nodeFiles(`${pathToFileURL(place).href}/`, { description: fileURLToPath(pathToFileURL(place)), weightsName });
}

function distance(actual: Float32Array, expected: Float32Array): number {
  let difference = 0;
  let size = 0;
  expected.forEach((value, i) => {
    difference += (actual[i]! - value) ** 2;
    size += value ** 2;
  });
  return Math.sqrt(difference / size);
}

describe('quantising a model', () => {
  for (const [output, bits, limit] of [
    ['gguf', 16, 1e-6],
    ['gguf', 8, 0.01],
    ['gguf', 4, 0.12],
    ['safetensors', 8, 0.01],
    ['safetensors', 2, 0.45],
  ] as const) {
    it(`as ${output} at ${bits} bits: the same configuration, and numbers as near as the bits allow`, async () => {
      const written = await quantized({ output, options: { bits } });
      const expected = await original();
      const actual = await numbersOf(saved(written, output === 'gguf' ? 'tiny.gguf' : undefined));
      assert.deepEqual(JSON.parse(JSON.stringify(actual.config)), JSON.parse(JSON.stringify(expected.config)));
      assert.deepEqual([...actual.weights.keys()].sort(), [...expected.weights.keys()].sort());
      for (const [name, numbers] of expected.weights) {
        const error = distance(actual.weights.get(name)!, numbers);
        assert.ok(error <= limit, `${name}: ${error}`);
      }
      const { plan, files } = written;
      assert.equal(files.get(plan.file)!.length, plan.totalBytes);
      assert.ok(plan.bitsPerWeight < bits + 0.7);
    });
  }

  it('goes on where an interrupted run stopped, to the same bytes', async () => {
    for (const output of ['gguf', 'safetensors'] as const) {
      const options = { bits: 4 } as const;
      const whole = await quantized({ output, options });
      const name = whole.plan.file;
      const stopped = await quantized({ output, options }, undefined, 12);
      const there = stopped.files.get(name)!;
      assert.ok(there.length < whole.plan.totalBytes);
      const resumed = await quantized({ output, options }, there);
      assert.deepEqual(resumed.files.get(name), whole.files.get(name));
    }
  });

  it('calibrates, and keeps to a budget', async () => {
    const calibration = 'Once upon a time there was a little girl. '.repeat(20);
    for (const method of ['importance', 'gptq'] as const) {
      const { plan } = await quantized({ output: 'safetensors', options: { bits: 4 }, method, calibration });
      assert.ok(plan.totalBytes > 0);
    }
  });

  it('refuses what the output cannot hold and what is missing', async () => {
    const refused: [Partial<QuantizeRequest>, string, RegExp][] = [
      [{ options: { bits: 4, scheme: 'asymmetric' } }, 'unsupported-format', /GGUF has no type for q4g64m/],
      [{ options: { bits: 5 as never } }, 'invalid-argument', /bits is 5/],
      [{ method: 'gptq' }, 'invalid-argument', /needs a calibration text/],
      [{ budgetBytes: 1000 }, 'invalid-argument', /needs a calibration text/],
    ];
    for (const [changes, code, message] of refused) {
      await assert.rejects(quantized(changes), (thrown: unknown) => {
        assert.ok(thrown instanceof WpError, String(thrown));
        assert.equal(thrown.code, code);
        assert.match(thrown.message, message);
        return true;
      });
    }
  });
});
