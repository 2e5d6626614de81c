// The light edition of the tokenizers library: it does what the whole one does for the files that are sent to it, it refuses
// aloud what it left out, and the choice between the two sends it nothing of that.

import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { Tokenizer as FullTokenizer } from '@huggingface/tokenizers';
import { needsFullLibrary, type TokenizerLibrary } from '../../runtime/processing/tokenizer-library.ts';
import { lightTokenizers } from '../../scripts/light-tokenizers.mjs';

const libraryPath = createRequire(import.meta.url)
  .resolve('@huggingface/tokenizers')
  .replace(/\.cjs$/, '.mjs');
let folder: string;
let LightTokenizer: TokenizerLibrary;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'light-tokenizers-'));
  const path = join(folder, 'light.mjs');
  await writeFile(path, lightTokenizers(await readFile(libraryPath, 'utf8')));
  ({ Tokenizer: LightTokenizer } = (await import(pathToFileURL(path).href)) as { Tokenizer: TokenizerLibrary });
});
after(() => rm(folder, { recursive: true }));

const embedded = new URL('../../models/fable-25m/', import.meta.url);
const readJson = async (name: string): Promise<Record<string, unknown>> =>
  JSON.parse(await readFile(new URL(name, embedded), 'utf8')) as Record<string, unknown>;

test('the embedded model needs no more than the light edition, which gives the same tokens', async () => {
  const [json, config] = await Promise.all([readJson('tokenizer.json'), readJson('tokenizer_config.json')]);
  assert.equal(needsFullLibrary(json), false);
  const [light, full] = [new LightTokenizer(json, config), new FullTokenizer(json, config)];
  for (const text of [
    'Once upon a time, there was a fox.',
    '  two  spaces\n\n\ttab',
    'naïve 東京 🦊 👩‍👩‍👧',
    '1234.5e-7',
  ]) {
    const { ids } = light.encode(text);
    assert.deepEqual(ids, full.encode(text).ids, text);
    assert.equal(light.decode(ids, {}), full.decode(ids, {}), text);
  }
});

/** Bodies of the parts of tokenizer.json that only the whole library knows. */
const FULL: readonly Record<string, unknown>[] = [
  { model: { type: 'Unigram', vocab: [['<unk>', 0]], unk_id: 0 } },
  { model: { type: 'WordPiece', vocab: { '[UNK]': 0 }, unk_token: '[UNK]' } },
  { model: { vocab: { a: 0 } } },
  { normalizer: { type: 'BertNormalizer' } },
  { normalizer: { type: 'Sequence', normalizers: [{ type: 'NFC' }, { type: 'Precompiled' }] } },
  { pre_tokenizer: { type: 'BertPreTokenizer' } },
  { pre_tokenizer: { type: 'Sequence', pretokenizers: [{ type: 'Split', pattern: { Regex: '\\d' } }] } },
  { post_processor: { type: 'BertProcessing', sep: ['[SEP]', 1], cls: ['[CLS]', 0] } },
  { decoder: { type: 'CTC' } },
  { decoder: { type: 'WordPiece' } },
  { decoder: { type: 'Replace', pattern: { Regex: '_' }, content: ' ' } },
  { decoder: { type: 'NotYetInvented' } },
];

test('whatever else a file names gets the whole library', async () => {
  const json = await readJson('tokenizer.json');
  for (const part of FULL) assert.equal(needsFullLibrary({ ...json, ...part }), true, JSON.stringify(part));
  assert.equal(needsFullLibrary(json), false);
});

test('what the light edition left out is refused, not guessed', async () => {
  const json = await readJson('tokenizer.json');
  for (const part of FULL.slice(0, -1)) {
    assert.throws(
      () => new LightTokenizer({ added_tokens: [], ...json, ...part }, {}).encode('a b 1'),
      /light edition/,
      JSON.stringify(part),
    );
  }
});

test('another version of the library, which reads differently, fails the build', () => {
  assert.throws(() => lightTokenizers('export class Tokenizer {}'), /look at what this version brings/);
});
