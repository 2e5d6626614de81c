// stories260K in Node: its known greedy story, to the letter, at f16 on WASM.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { it } from 'node:test';
import { collect, distApi } from './dist-api.ts';

const folder = new URL('../fixtures/stories260K/', import.meta.url);

for (const threads of [1, 2]) {
  it(`stories260K tells its story on ${threads} ${threads === 1 ? 'thread' : 'threads'}`, async () => {
    const golden = JSON.parse(readFileSync(new URL('golden.json', folder), 'utf8')) as {
      story: number[];
      text: string;
    };
    const { loadModel } = await distApi();
    const model = await loadModel(folder, { precision: 'f16', threads });
    const { text, end } = await collect(model.complete('', { temperature: 0, repetitionPenalty: 1, maxTokens: 256 }));
    await model.dispose();
    assert.equal(text, golden.text);
    assert.equal(end.usage.completionTokens, golden.story.length);
  });
}
