// A trained model: the greedy story of stories260K, token for token (llama2.c's files, as transformers tells it).

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { openGoldenModel } from './golden-model.ts';

const folder = new URL('../fixtures/stories260K', import.meta.url).pathname;
const golden = JSON.parse(readFileSync(`${folder}/golden.json`, 'utf8')) as { prompt: number[]; story: number[] };

test('stories260K tells its story', async () => {
  const model = await openGoldenModel(folder, { fused: true, contextLength: 257 });
  let token = golden.prompt[0]!;
  const story: number[] = [];
  for (let past = 0; past < golden.story.length; past++) {
    const logits = await model.step([token], past);
    token = logits.reduce((best, value, i) => (value > logits[best]! ? i : best), 0);
    story.push(token);
  }
  assert.deepEqual(story, golden.story);
});
