// GGUF files as checkpoints: what the `gguf` package wrote is read, the weights are those of the safetensors they were made
// of, and what would change the mathematics is refused by name.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { WpError } from '../../../runtime/errors.ts';
import { GraphBuilder } from '../../../runtime/graph/builder.ts';
import { lower } from '../../../runtime/graph/passes/index.ts';
import type { Graph } from '../../../runtime/graph/types.ts';
import type { ModelFiles } from '../../../runtime/loading/model-files.ts';
import { nodeFiles } from '../../../runtime/loading/node-files.ts';
import { findFamily, modelTypeOf, type DecoderConfig } from '../../../runtime/models/index.ts';
import { inverseFrequencies } from '../../../runtime/models/rotary.ts';
import { FORMATS, type WeightFormat } from '../../../runtime/quantization/formats.ts';
import { unpackMatrix } from '../../../runtime/quantization/pack.ts';
import { openCheckpoint, type Checkpoint } from '../../../runtime/weights/checkpoint.ts';
import { readGgufHeader } from '../../../runtime/weights/gguf/header.ts';
import { openGguf } from '../../../runtime/weights/gguf/open.ts';
import { deinterleavedRows } from '../../../runtime/weights/gguf/tensor-names.ts';
import { createWeightSource } from '../../../runtime/weights/weight-source.ts';
import { MemoryFile, memoryFiles } from '../memory-files.ts';
import { f32, ggufFile, i32s, string, tinyLlama, u32, type Tensor, type Value } from './gguf-file.ts';

const folder = new URL('./fixtures/', import.meta.url);
const fixture = (name: string): Uint8Array => new Uint8Array(readFileSync(new URL(name, folder)));

function graphOf(config: unknown): { graph: Graph; config: DecoderConfig } {
  const family = findFamily(modelTypeOf(config));
  const read = family.config(config);
  const builder = new GraphBuilder();
  family.build(builder, read);
  return { graph: lower(builder.build()), config: read };
}

async function weightsOf(
  checkpoint: Checkpoint,
  graph: Graph,
  format: WeightFormat = FORMATS.f32,
): Promise<Map<string, Float32Array>> {
  const formats = new Map(graph.weights.map((weight) => [weight.name, weight.shape.length > 1 ? format : FORMATS.f32]));
  const weights = new Map<string, Float32Array>();
  for await (const { name, matrix } of createWeightSource(checkpoint, graph).stream(formats)) {
    weights.set(name, unpackMatrix(matrix));
  }
  return weights;
}

const inMemory = (bytes: Uint8Array, name = 'm.gguf'): ModelFiles =>
  Object.assign(memoryFiles({ [name]: bytes }), { weightsName: name });

const open = (changes: Parameters<typeof tinyLlama>[0]): ReturnType<typeof openGguf> =>
  openGguf(inMemory(ggufFile(tinyLlama(changes))));

const failsWith =
  (code: string, pattern: RegExp) =>
  (thrown: unknown): boolean => {
    assert.ok(thrown instanceof WpError, String(thrown));
    assert.equal(thrown.code, code, thrown.message);
    assert.match(thrown.message, pattern);
    return true;
  };

describe('what the gguf package wrote', () => {
  it('has its metadata and tensors', async () => {
    const written = JSON.parse(new TextDecoder().decode(fixture('values.json'))) as {
      metadata: Record<string, unknown>;
      tensors: { name: string; type: string; shape: number[]; start: number; bytes: number }[];
    };
    const { metadata, tensors } = await readGgufHeader(new MemoryFile('values.gguf', fixture('values.gguf')));
    const values = [...metadata].filter(([key]) => key.startsWith('value.'));
    assert.deepEqual(Object.fromEntries(values), written.metadata);
    assert.equal(metadata.get('general.alignment'), 64);
    assert.deepEqual(
      tensors.map(({ name, type, shape, start, end }) => ({ name, type: type.name, shape, start, bytes: end - start })),
      written.tensors,
    );
  });

  for (const [name, file] of [
    ['llama-llama3', 'llama-llama3-00002-of-00002.gguf'],
    ['qwen2-bias', 'qwen2-bias.gguf'],
    ['qwen3-qk-norm', 'qwen3-qk-norm.gguf'],
  ] as const) {
    it(`${name}: the same configuration and weights as its safetensors`, async () => {
      const gguf = nodeFiles(folder.href, { description: name, weightsName: file });
      const original = new URL(`../../fixtures/decoders/${name}/`, import.meta.url);
      const plain = nodeFiles(original.href, { description: name, weightsName: undefined });
      try {
        const model = await openGguf(gguf);
        const ours = graphOf(model.config);
        const theirs = graphOf(JSON.parse(readFileSync(new URL('config.json', original), 'utf8')));
        const { rotary: ourRotary, ...ourConfig } = ours.config;
        const { rotary: theirRotary, bosToken, eosTokens, padToken, ...config } = theirs.config;
        assert.deepEqual(
          { ...ourConfig, bosToken: undefined, eosTokens: [], padToken: undefined },
          { ...config, bosToken: undefined, eosTokens: [], padToken: undefined },
        );
        assert.deepEqual([bosToken, ...eosTokens, padToken], [1, 2, 0]);
        assert.equal(ourRotary.theta, theirRotary.theta);
        const frequencies = inverseFrequencies(ours.config);
        inverseFrequencies(theirs.config).forEach((frequency, i) =>
          assert.ok(Math.abs(frequencies[i]! / frequency - 1) < 1e-6, `${i}: ${frequencies[i]} for ${frequency}`),
        );

        model.expectAllUsed(ours.graph);
        assert.deepEqual(ours.graph, theirs.graph);
        const expected = await weightsOf(await openCheckpoint(plain), theirs.graph);
        const actual = await weightsOf(model.checkpoint, ours.graph);
        assert.deepEqual([...actual.keys()].sort(), [...expected.keys()].sort());
        for (const [weight, numbers] of expected) assert.deepEqual(actual.get(weight), numbers, weight);
      } finally {
        await gguf.close();
        await plain.close();
      }
    });
  }
});

describe('a GGUF file as a checkpoint', () => {
  it('puts interleaved rows back: heads of 4 rows 0 1 2 3 lie as 0 2 1 3', () => {
    assert.deepEqual(
      Array.from({ length: 8 }, (_, row) => deinterleavedRows(8, 2)(row)),
      [0, 2, 1, 3, 4, 6, 5, 7],
    );
  });

  it('keeps the bits of Q4_0, and quantises what it decodes from other types', async () => {
    const iq4: Tensor = { name: 'blk.0.ffn_up.weight', dims: [32, 32], type: 20, bytes: new Uint8Array(32 * 18) };
    const { checkpoint, config, conversions } = await open({ tensors: { 'blk.0.ffn_up.weight': iq4 } });
    const { graph } = graphOf(config);
    const source = createWeightSource(checkpoint, graph);
    const stored = new Map(graph.weights.map((weight) => [weight.name, source.storedFormat(weight)]));
    assert.equal(stored.get('model.embed_tokens.weight'), 'q4g32');
    assert.equal(stored.get('model.norm.weight'), 'f32');
    const gateUp = graph.weights.find(({ name }) => name.includes('up_proj'))!;
    assert.equal(stored.get(gateUp.name), 'foreign');
    const formats = new Map(
      graph.weights.map(({ name, shape }) => [name, shape.length > 1 ? FORMATS.q4g32 : FORMATS.f32]),
    );
    const reasons = conversions(graph, formats).map(({ reason }) => reason);
    assert.ok(
      reasons.some((reason) => /5 matrices|6 matrices/.test(reason) && /Q4_0: kept as q4g32/.test(reason)),
      reasons.join('\n'),
    );
    assert.ok(
      reasons.some((reason) => /1 matrix stored as IQ4_NL: decoded exactly, then quantised again/.test(reason)),
    );
    // A block of the scale 1 and codes of 8: zeros, whatever the format.
    for (const format of [FORMATS.q4g32, FORMATS.q8g32, FORMATS.f16]) {
      const weights = await weightsOf(checkpoint, graph, format);
      assert.ok(weights.get('model.embed_tokens.weight')!.every((value) => value === 0));
      assert.equal(weights.size, graph.weights.length);
    }
  });

  it('ties the embedding when there is no output.weight', async () => {
    const output: Tensor = { name: 'output.weight', dims: [32, 4], type: 0, bytes: new Uint8Array(4 * 32 * 4) };
    assert.equal(graphOf((await open({})).config).config.tiedEmbeddings, true);
    assert.equal(graphOf((await open({ tensors: { output } })).config).config.tiedEmbeddings, false);
  });

  it('reads linear scaling, windows and the size of heads', async () => {
    const read = async (metadata: Record<string, Value>): Promise<DecoderConfig> =>
      graphOf((await open({ metadata })).config).config;
    const scaled = await read({ 'llama.rope.scaling.type': string('linear'), 'llama.rope.scaling.factor': f32(4) });
    assert.deepEqual(scaled.rotary.scaling, { type: 'linear', factor: 4 });
    assert.deepEqual((await read({ 'llama.rope.scale_linear': f32(2) })).rotary.scaling, { type: 'linear', factor: 2 });
    assert.deepEqual((await read({ 'llama.attention.sliding_window': u32(8) })).windows, [8]);
    assert.deepEqual((await read({ 'llama.attention.sliding_window': u32(64) })).windows, [undefined]);
    assert.equal((await read({ 'llama.rope.freq_base': f32(500_000) })).rotary.theta, 500_000);
    assert.equal((await read({ 'llama.attention.head_count_kv': i32s(1) })).keyValueHeads, 1);
    await assert.rejects(
      read({ 'llama.attention.key_length': u32(32) }),
      failsWith('unsupported-config', /dimension_count/),
    );
  });

  const some = (name: string, ...dims: number[]): Record<string, Tensor> => ({
    [name]: { name, dims, type: 0, bytes: new Uint8Array(4 * dims.reduce((product, size) => product * size, 1)) },
  });
  const refused: [string, Parameters<typeof tinyLlama>[0], string, RegExp][] = [
    [
      'an architecture',
      { metadata: { 'general.architecture': string('mamba') } },
      'unsupported-architecture',
      /"mamba"/,
    ],
    ['no architecture', { metadata: { 'general.architecture': undefined } }, 'corrupt-file', /general\.architecture/],
    [
      'a property as one',
      { metadata: { 'general.architecture': string('constructor') } },
      'unsupported-architecture',
      /constructor/,
    ],
    ['an adapter', { metadata: { 'general.type': string('adapter') } }, 'unsupported-format', /adapter/],
    [
      'an unknown field',
      { metadata: { 'llama.attention.softcap': f32(30) } },
      'unsupported-config',
      /llama\.attention\.softcap.*30/,
    ],
    ['experts', { metadata: { 'llama.expert_count': u32(8) } }, 'unsupported-config', /expert_count = 8/],
    ['yarn', { metadata: { 'llama.rope.scaling.type': string('yarn') } }, 'unsupported-config', /"yarn"/],
    [
      'partial rotation',
      { metadata: { 'llama.rope.dimension_count': u32(8) } },
      'unsupported-config',
      /dimension_count = 8/,
    ],
    [
      'heads that differ',
      { metadata: { 'llama.attention.head_count_kv': i32s(1, 2) } },
      'unsupported-config',
      /\[1,2\]/,
    ],
    [
      'no context length',
      { metadata: { 'llama.context_length': undefined } },
      'unsupported-config',
      /no llama\.context_length/,
    ],
    [
      'a text for a number',
      { metadata: { 'llama.block_count': string('1') } },
      'unsupported-config',
      /block_count = "1"/,
    ],
    [
      'an unknown tensor',
      { tensors: some('blk.0.ffn_gate_exps.weight', 32, 32) },
      'unsupported-config',
      /ffn_gate_exps/,
    ],
    ['rotary divisors of zero', { tensors: some('rope_freqs.weight', 8) }, 'corrupt-file', /rope_freqs\.weight/],
    ['half a head', { tensors: some('blk.0.attn_k.weight', 32, 15) }, 'corrupt-file', /15 rows/],
  ];
  for (const [what, changes, code, pattern] of refused) {
    it(`refuses ${what}`, async () => {
      await assert.rejects(open(changes), failsWith(code, pattern));
    });
  }

  it('refuses a tensor that the architecture leaves out', async () => {
    const { config, expectAllUsed } = await open({ tensors: some('blk.0.attn_q_norm.weight', 16) });
    assert.throws(() => expectAllUsed(graphOf(config).graph), failsWith('unsupported-config', /q_norm/));
  });

  it('refuses divisors for other heads', async () => {
    const bytes = new Uint8Array(new Float32Array(6).fill(1).buffer);
    const tensor: Tensor = { name: 'rope_freqs.weight', dims: [6], type: 0, bytes };
    const { config } = await open({ tensors: { tensor } });
    assert.throws(() => graphOf(config), failsWith('unsupported-config', /6 divisors/));
  });

  it('refuses weights of whole numbers, and vocabularies alone', async () => {
    const tensor: Tensor = { name: 'blk.0.ffn_up.weight', dims: [32, 32], type: 24, bytes: new Uint8Array(1024) };
    const { config, checkpoint } = await open({ tensors: { 'blk.0.ffn_up.weight': tensor } });
    assert.throws(() => createWeightSource(checkpoint, graphOf(config).graph), failsWith('unsupported-format', /I8/));
    const vocabulary = ggufFile({ ...tinyLlama(), tensors: [] });
    await assert.rejects(openGguf(inMemory(vocabulary)), failsWith('unsupported-format', /no weights/));
  });
});

describe('split files', () => {
  const all = tinyLlama();
  const part = (number: number, count: number, tensors: readonly Tensor[]): Uint8Array =>
    ggufFile({
      tensors,
      metadata: [
        ...(number === 0 ? all.metadata! : []),
        ['split.no', { type: 'u16', value: number }],
        ['split.count', { type: 'u16', value: count }],
        ['split.tensors.count', { type: 'i32', value: all.tensors!.length }],
      ],
    });
  const [first, second] = [all.tensors!.slice(0, 4), all.tensors!.slice(4)];
  const names = ['m-00001-of-00002.gguf', 'm-00002-of-00002.gguf'] as const;
  const openParts = (parts: Record<string, Uint8Array>, named: string = names[0]): ReturnType<typeof openGguf> =>
    openGguf(Object.assign(memoryFiles(parts), { weightsName: named }));

  it('are one model, whichever part is named', async () => {
    for (const named of names) {
      const model = await openParts({ [names[0]]: part(0, 2, first), [names[1]]: part(1, 2, second) }, named);
      assert.equal(model.checkpoint.tensors.size, all.tensors!.length);
      assert.equal(model.checkpoint.files.size, 2);
    }
  });

  const bad: [string, Record<string, Uint8Array>, string, RegExp][] = [
    ['a part is missing', { [names[0]]: part(0, 2, first) }, 'not-found', /00002/],
    [
      'parts are swapped',
      { [names[0]]: part(1, 2, second), [names[1]]: part(0, 2, first) },
      'corrupt-file',
      /part 2 of 2/,
    ],
    [
      'a part is of another split',
      { [names[0]]: part(0, 3, first), [names[1]]: part(1, 2, second) },
      'corrupt-file',
      /of 3/,
    ],
    [
      'a tensor is in both',
      { [names[0]]: part(0, 2, all.tensors!), [names[1]]: part(1, 2, second) },
      'corrupt-file',
      /and so has/,
    ],
    [
      'tensors are missing',
      { [names[0]]: part(0, 2, first), [names[1]]: part(1, 2, second.slice(1)) },
      'corrupt-file',
      /announces 11/,
    ],
  ];
  for (const [what, parts, code, pattern] of bad) {
    it(`are refused when ${what}`, async () => {
      await assert.rejects(openParts(parts), failsWith(code, pattern));
    });
  }
  it('are refused when one is named beyond their number', async () => {
    await assert.rejects(openParts({}, 'm-00003-of-00002.gguf'), failsWith('corrupt-file', /number 3 of 2/));
    await assert.rejects(openParts({}, 'm-00001-of-99999.gguf'), failsWith('corrupt-file', /99999/));
  });
});

describe('a long header', () => {
  it('is read in windows that grow, and no byte twice', async () => {
    const tokens = Array.from({ length: 200_000 }, (_, i) => `token-${i}`);
    const bytes = ggufFile(
      tinyLlama({ metadata: { 'tokenizer.ggml.tokens': { type: 'array', of: 'string', value: tokens } } }),
    );
    const file = new MemoryFile('m.gguf', bytes);
    const { metadata, tensors } = await readGgufHeader(file);
    assert.deepEqual(metadata.get('tokenizer.ggml.tokens'), tokens);
    assert.equal(tensors.length, 11);
    assert.ok(file.reads.length <= 6, `${file.reads.length} reads`);
    file.reads.forEach(({ start }, i) => assert.equal(start, file.reads[i - 1]?.end ?? 0));
  });
});
