// stories260K in this browser: its known greedy story, to the letter, at f16, on the GPU and on the CPU.

import { expect } from '@esm-bundle/chai';
import { skip } from '../support/skip.ts';
import { missingGpu } from '../webgpu/missing-gpu.ts';

const FOLDER = new URL('/test/fixtures/stories260K/', location.href);

for (const backend of ['wasm', 'webgpu'] as const) {
  it(`stories260K tells its story on ${backend}`, async function () {
    this.timeout(240_000);
    const missing = backend === 'webgpu' ? await missingGpu() : undefined;
    if (missing) skip(this, missing);
    const golden = (await (await fetch(new URL('golden.json', FOLDER))).json()) as { story: number[]; text: string };
    const api = (await import(
      new URL('/dist/index.js', location.href).href
    )) as typeof import('../../runtime/index.ts');
    const model = await api.loadModel(FOLDER, { backend, precision: 'f16' });
    let text = '';
    let tokens = 0;
    for await (const part of model.complete('', { temperature: 0, repetitionPenalty: 1, maxTokens: 256 })) {
      text += part.text;
      if (part.done) tokens = part.usage.completionTokens;
    }
    await model.dispose();
    expect(text).to.equal(golden.text);
    expect(tokens).to.equal(golden.story.length);
  });
}
