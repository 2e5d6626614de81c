// Encoders from GGUF files that the gguf package wrote, beside the checkpoints that they were made from.

import assert from 'node:assert/strict';
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { similarity, WpError, type Model } from '../../runtime/index.ts';
import { loadDirectly } from '../support/load-directly.ts';

const at = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
const wasm = { backend: 'wasm', threads: 1, contextLength: 16 } as const;
const { texts } = (
  JSON.parse(await readFile(at('../fixtures/sentences/goldens.json'), 'utf8')) as { embedder: { texts: string[] } }
).embedder;
const gguf = (name: string, precision: 'f16' | '8bit' | 'auto' = 'f16'): Promise<Model> =>
  loadDirectly(at(`../weights/gguf/fixtures/${name}.gguf`), { ...wasm, precision });

async function assertSame(model: Model, expected: Model, least: number): Promise<void> {
  const [found, wanted] = [await model.embed(texts), await expected.embed(texts)];
  assert.equal(found.tokens, wanted.tokens);
  assert.deepEqual(found.truncated, wanted.truncated);
  texts.forEach((text, i) => {
    const alike = similarity(found.vectors[i]!, wanted.vectors[i]!);
    assert.ok(alike >= least, `${JSON.stringify(text)}: ${alike}`);
  });
}

describe('BERT as GGUF', () => {
  let folder: string;
  let checkpoint: Model;
  before(async () => {
    checkpoint = await loadDirectly(at('../fixtures/sentences/embedder/'), { ...wasm, precision: 'f16' });
    folder = await mkdtemp(join(tmpdir(), 'wp-gguf-encoder-'));
  });
  after(async () => {
    await checkpoint.dispose();
    await rm(folder, { recursive: true });
  });

  it('F16: the same tokens and vectors, normalised, by the mean', async () => {
    const model = await gguf('bert-f16');
    assert.deepEqual(model.info.encoder?.tasks, ['embed']);
    assert.equal(model.info.encoder.pooling, 'mean');
    assert.equal(model.info.modelType, 'bert');
    await assertSame(model, checkpoint, 0.99999);
    await model.dispose();
  });

  it('Q8_0 is kept as it is; the first token is the vector where pooling_type says so', async () => {
    const copy = join(folder, 'first/');
    await cp(at('../fixtures/sentences/embedder/'), copy, { recursive: true });
    await writeFile(join(copy, '1_Pooling/config.json'), JSON.stringify({ pooling_mode_cls_token: true }));
    const first = await loadDirectly(copy, { ...wasm, precision: 'f16' });
    const model = await gguf('bert-q8_0', '8bit');
    assert.equal(model.info.encoder?.pooling, 'first');
    await assertSame(model, first, 0.999);
    await model.dispose();
    await first.dispose();
  });

  it('what changes the vectors and is not understood is refused', async () => {
    const changes: [string, (bytes: Buffer) => Buffer][] = [
      ['unsupported-config', (bytes) => replaced(bytes, 'bert.attention.causal', 'bert.attention.casual')],
      ['unsupported-config', (bytes) => replaced(bytes, 'blk.0.ffn_up.weight', 'blk.0.ffn_op.weight')],
      ['unsupported-config', (bytes) => replaced(bytes, 'bert.context_length', 'bert.context_lengxx')],
      ['missing-tensor', (bytes) => replaced(bytes, 'blk.1.attn_q.weight', 'blk.1.attn_z.weight')],
      ['unsupported-config', (bytes) => poolingType(bytes, 4)],
    ];
    const bytes = await readFile(at('../weights/gguf/fixtures/bert-f16.gguf'));
    for (const [code, change] of changes) {
      const path = join(folder, 'changed.gguf');
      await writeFile(path, change(Buffer.from(bytes)));
      await assert.rejects(
        loadDirectly(path, { ...wasm, precision: 'f16' }),
        (error) => error instanceof WpError && error.code === code,
        change.toString(),
      );
    }
  });
});

it('nomic-BERT as GGUF: the same vectors as its checkpoint', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'wp-gguf-nomic-'));
  try {
    await cp(at('../fixtures/encoders/nomic-bert/'), folder, { recursive: true });
    const tokenizer = JSON.parse(await readFile(at('../fixtures/sentences/embedder/tokenizer.json'), 'utf8')) as {
      model: { vocab: Record<string, number> };
    };
    tokenizer.model.vocab = Object.fromEntries(Object.entries(tokenizer.model.vocab).filter(([, id]) => id < 60));
    await writeFile(join(folder, 'tokenizer.json'), JSON.stringify(tokenizer));
    const checkpoint = await loadDirectly(`${folder}/`, { ...wasm, precision: 'f16' });
    const model = await gguf('nomic-f16');
    assert.equal(model.info.modelType, 'nomic_bert');
    await assertSame(model, checkpoint, 0.99999);
    await model.dispose();
    await checkpoint.dispose();
  } finally {
    await rm(folder, { recursive: true });
  }
});

function replaced(bytes: Buffer, from: string, to: string): Buffer {
  const place = bytes.indexOf(from);
  assert.ok(place > 0 && from.length === to.length, from);
  bytes.write(to, place);
  return bytes;
}

/** The u32 behind the key and its type. */
function poolingType(bytes: Buffer, value: number): Buffer {
  const key = 'bert.pooling_type';
  const place = bytes.indexOf(key);
  assert.ok(place > 0);
  bytes.writeUInt32LE(value, place + key.length + 4);
  return bytes;
}
