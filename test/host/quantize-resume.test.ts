// Quantising a llama of random weights with a SentencePiece tokenizer: under a budget, interrupted and gone on with, and as a GGUF
// file that is read again.

import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { GraphBuilder } from '../../runtime/graph/builder.ts';
import { BackendPool } from '../../runtime/host/backend-pool.ts';
import { openGgufModel } from '../../runtime/host/gguf-model.ts';
import { quantizeModel } from '../../runtime/host/quantize/quantize-model.ts';
import { measuredPrecision } from '../../runtime/planning/measured-precision.ts';
import { nodeFiles } from '../../runtime/loading/node-files.ts';
import { findFamily } from '../../runtime/models/index.ts';
import { createTokenizer } from '../../runtime/processing/tokenizer.ts';
import type { QuantizeRequest } from '../../runtime/protocol/messages.ts';
import { formatBytes, FORMATS, type FormatName } from '../../runtime/quantization/formats.ts';
import { packMatrix } from '../../runtime/quantization/pack.ts';
import { writeQuantizedCheckpoint } from '../../runtime/quantization/quantized-checkpoint.ts';
import type { QuantizePlan } from '../../runtime/types.ts';
import { openCheckpoint } from '../../runtime/weights/checkpoint.ts';
import { Random } from '../support/random.ts';

const fixtures = fileURLToPath(new URL('../fixtures/sentencepiece/', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'quantize-'));
after(() => rmSync(folder, { recursive: true }));

/** Rows of 256, so that two-level formats fit; attention's output has rows of 64, which they do not. */
const config = {
  model_type: 'llama',
  vocab_size: 640,
  hidden_size: 256,
  intermediate_size: 256,
  num_hidden_layers: 2,
  num_attention_heads: 1,
  num_key_value_heads: 1,
  head_dim: 64,
  hidden_act: 'silu',
  max_position_embeddings: 512,
  rms_norm_eps: 1e-5,
  rope_theta: 10000,
  tie_word_embeddings: true,
  bos_token_id: 1,
  eos_token_id: 2,
};
const builder = new GraphBuilder();
const family = findFamily('llama');
family.build(builder, family.config(config));
const { weights } = builder.build();
const matrices = weights.map(({ name, shape }, i) => {
  const isVector = shape.length === 1;
  const [rows, columns] = isVector ? [1, shape[0]!] : (shape as [number, number]);
  const numbers = new Random(i + 1).floats(rows * columns, 0.1);
  const matrix = packMatrix(isVector ? numbers.map((x) => 1 + x) : numbers, rows, columns, FORMATS.f16);
  return { name, matrix, isVector };
});
writeFileSync(join(folder, 'model.safetensors'), writeQuantizedCheckpoint(matrices, ''));
writeFileSync(join(folder, 'config.json'), JSON.stringify(config));
writeFileSync(join(folder, 'tokenizer.json'), readFileSync(join(fixtures, 'tokenizer.json')));

const text = Array.from({ length: 14 }, (_, i) => `Once upon a time number ${i * 7} there was a little girl. `).join(
  '',
);
const backends = new BackendPool();

interface Run {
  plan: QuantizePlan;
  bytes: Uint8Array;
  phases: Set<string>;
  state: Uint8Array | undefined;
}

/** `before` is an interrupted run; `until` interrupts this one after so many pieces of the large file. */
async function run(changes: Partial<QuantizeRequest>, before?: Run, until = Infinity): Promise<Run> {
  const controller = new AbortController();
  const result = { phases: new Set<string>(), state: undefined } as unknown as Run;
  let writes = 0;
  const request: QuantizeRequest = {
    source: `${pathToFileURL(folder).href}/`,
    embeddedBase: 'file:///',
    headers: undefined,
    options: { bits: 3 },
    output: 'gguf',
    name: 'spm',
    method: 'search',
    calibration: undefined,
    budgetBytes: undefined,
    state: before?.state,
    keepsState: true,
    threads: 1,
    ...changes,
  };
  const done = quantizeModel(request, {
    backends,
    signal: controller.signal,
    onProgress: ({ phase }) => result.phases.add(phase),
    plan(plan) {
      result.plan = plan;
      result.bytes = new Uint8Array(plan.totalBytes);
      if (before) result.bytes.set(before.bytes);
      return Promise.resolve(before?.bytes.length ?? 0);
    },
    state: (state) => Promise.resolve(void (result.state = state)),
    write(file, start, bytes) {
      if (file !== result.plan.file) return Promise.resolve();
      result.bytes.set(bytes, start);
      if (++writes === until) {
        result.bytes = result.bytes.slice(0, start + bytes.length);
        controller.abort();
      }
      return Promise.resolve();
    },
  });
  await done.catch((thrown: unknown) => {
    if (!(thrown instanceof Error && thrown.name === 'AbortError' && until < Infinity)) throw thrown;
  });
  return result;
}

function matrixBytes({ formats }: QuantizePlan): number {
  return weights
    .filter(({ shape }) => shape.length > 1)
    .reduce((sum, { name, shape }) => {
      const format = FORMATS[formats[name] as FormatName];
      return sum + formatBytes(format, shape[0]!, shape[1]!).total;
    }, 0);
}

describe('quantising under a budget', () => {
  it('measures, and takes the bytes that are allowed and no more', async () => {
    const budgetBytes = 300_000;
    const { plan, phases } = await run({ method: 'importance', calibration: text, budgetBytes });
    assert.ok(phases.has('measuring'));
    const bytes = matrixBytes(plan);
    assert.ok(bytes <= budgetBytes && bytes > 0.9 * budgetBytes, `${bytes} of ${budgetBytes}`);
    assert.ok(new Set(Object.values(plan.formats)).size > 1, JSON.stringify(plan.formats));
    assert.ok(plan.reasons.some((reason) => reason.includes(`${bytes} bytes`)));
    await assert.rejects(run({ method: 'importance', calibration: text, budgetBytes: 1000 }), {
      code: 'invalid-argument',
      message: /smallest formats take \d+ bytes; the budget is 1000/,
    });
  });
});

describe('a budget that is left to the device', () => {
  for (const output of ['gguf', 'safetensors'] as const) {
    it(`leaves the numbers as they are, and what was measured in the ${output} file`, async () => {
      const options = { calibration: text, budgetBytes: 'device', options: { bits: 16 }, output } as const;
      const whole = await run(options);
      assert.deepEqual([...new Set(Object.values(whole.plan.formats))], ['f16']);
      const place = mkdtempSync(join(folder, 'device-'));
      const weightsName = output === 'gguf' ? 'spm.gguf' : 'model.safetensors';
      writeFileSync(join(place, weightsName), whole.bytes);
      const files = nodeFiles(`${pathToFileURL(place).href}/`, { description: 'written', weightsName });
      const checkpoint = output === 'gguf' ? (await openGgufModel(files)).checkpoint : await openCheckpoint(files);
      const costs = checkpoint.metadata.get('wp-models.sensitivity')!;
      await files.close();
      const measured = JSON.parse(costs) as Record<string, Record<string, number>>;
      const matrices = weights.filter(({ shape }) => shape.length > 1).map(({ name }) => name);
      assert.deepEqual(Object.keys(measured).sort(), [...matrices].sort());
      for (const [name, { q2k, q4k, q8g32 }] of Object.entries(measured)) {
        // What the width allows: fewer bits never cost less.
        if (q2k !== undefined) assert.ok(q2k >= q4k!, name);
        if (q4k !== undefined) assert.ok(q4k >= q8g32!, name);
      }
      measuredPrecision(costs);
      const stopped = await run(options, undefined, 3);
      assert.deepEqual((await run(options, stopped)).bytes, whole.bytes);
    });
  }
});

describe('an interrupted quantisation', () => {
  for (const [method, until] of [
    ['importance', 9],
    ['gptq', 2],
    ['gptq-layers', 16],
  ] as const) {
    it(`by ${method} goes on after ${until} pieces without calibrating, to the same bytes`, async () => {
      const options = { method, calibration: text, budgetBytes: 420_000 };
      const whole = await run(options);
      const stopped = await run(options, undefined, until);
      assert.ok(stopped.bytes.length < whole.bytes.length);
      const resumed = await run(options, stopped);
      assert.equal(resumed.plan.restart, undefined);
      assert.deepEqual([...resumed.phases].sort(), ['quantizing', 'resolving']);
      assert.deepEqual(resumed.plan.formats, whole.plan.formats);
      assert.ok(Buffer.from(resumed.bytes).equals(whole.bytes), 'other bytes');
    });
  }

  it('begins anew with another method or text, and says why', async () => {
    const stopped = await run({ method: 'importance', calibration: text }, undefined, 9);
    const changed: [Partial<QuantizeRequest>, RegExp][] = [
      [{ method: 'search', calibration: undefined }, /its method was importance and is search now/],
      [{ method: 'importance', calibration: `${text}.` }, /its calibration text was another/],
    ];
    for (const [changes, reason] of changed) {
      const [anew, fresh] = [await run(changes, stopped), await run(changes)];
      assert.match(anew.plan.restart ?? '', reason);
      assert.ok(Buffer.from(anew.bytes).equals(fresh.bytes), String(reason));
    }
  });

  it('refuses a damaged state', async () => {
    const stopped = await run({ method: 'importance', calibration: text }, undefined, 9);
    const state = stopped.state!;
    for (const damaged of [state.slice(0, -1), state.slice(0, 3), new Uint8Array(80).fill(255), new Uint8Array(0)]) {
      await assert.rejects(run({ method: 'importance', calibration: text }, { ...stopped, state: damaged }), {
        code: 'corrupt-file',
      });
    }
  });
});

describe('a SentencePiece model as GGUF', () => {
  it('gives the tokens that the tokenizers library gave before', async () => {
    const { bytes } = await run({ options: { bits: 8 } });
    const place = mkdtempSync(join(folder, 'gguf-'));
    writeFileSync(join(place, 'spm.gguf'), bytes);
    const files = nodeFiles(`${pathToFileURL(place).href}/`, { description: place, weightsName: 'spm.gguf' });
    const { description } = await openGgufModel(files);
    await files.close();
    const tokenizer = createTokenizer(description.tokenizer, description.tokenizerConfig);
    const expected = JSON.parse(readFileSync(join(fixtures, 'expected.json'), 'utf8')) as {
      text: string;
      ids: number[];
    }[];
    for (const { text: one, ids } of expected) {
      assert.deepEqual([...tokenizer.encode(one)], ids, JSON.stringify(one));
    }
  });
});
