// Tokens laid along a text again, against the offsets of the tokenizers library, which test/fixtures/sentences/make_pipelines.py
// wrote (in UTF-16 units).

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { describe, it } from 'node:test';
import { createTokenizer } from '../../runtime/processing/tokenizer.ts';
import { libraryFor } from '../../runtime/processing/tokenizer-library.ts';
import { tokenSpans } from '../../runtime/tasks/token-spans.ts';

interface Goldens {
  offsets: Record<'tagger' | 'byte-tagger', { text: string; ids: number[]; spans: [number, number][] }[]>;
}

const fixtures = new URL('../fixtures/sentences/', import.meta.url);
const json = async (name: string): Promise<unknown> => JSON.parse(await readFile(new URL(name, fixtures), 'utf8'));
const { offsets } = (await json('pipelines.json')) as Goldens;

for (const folder of ['tagger', 'byte-tagger'] as const) {
  describe(`where tokens stand: ${folder}`, async () => {
    const tokenizerJson = await json(`${folder}/tokenizer.json`);
    const config = await json(`${folder}/tokenizer_config.json`);
    const tokenizer = createTokenizer(tokenizerJson, config, await libraryFor(tokenizerJson));
    for (const { text, ids, spans } of offsets[folder]) {
      it(JSON.stringify(text), () => {
        assert.deepEqual(tokenizer.encode(text, { addSpecialTokens: false }), ids);
        const found = tokenSpans(tokenizer, text, ids).map(({ start, end }) => [start, end]);
        assert.deepEqual(found, spans);
      });
    }
  });
}
