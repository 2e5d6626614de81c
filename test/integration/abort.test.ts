// An abort is heard within one step: counted in steps of the real backend, not in time. In the worker of the package as well,
// where the message has to get through between steps that keep the thread busy.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Program } from '../../runtime/backends/backend.ts';
import { createWasmBackend } from '../../runtime/backends/wasm/index.ts';
import { DecoderSession } from '../../runtime/generation/decode-loop.ts';
import { resolveGenerationOptions } from '../../runtime/generation/options.ts';
import { distApi } from './dist-api.ts';
import { openDecoder } from './golden-decoder.ts';

const FOLDER = new URL('../fixtures/decoders/llama-tied/', import.meta.url).href;
const OPTIONS = resolveGenerationOptions(
  { seed: 0 },
  { maxTokens: 40, temperature: 0, topK: 0, topP: 1, minP: 0, repetitionPenalty: 1 },
);
const CHUNK = 4;

/** A session on the WASM backend whose steps are counted and heard of. */
async function countedSession(
  onStep: (count: number) => void,
): Promise<{ session: DecoderSession; steps: () => number }> {
  const backend = await createWasmBackend({ threads: 1 });
  const { session } = await openDecoder(FOLDER, backend, { maxTokens: CHUNK });
  let steps = 0;
  const { program } = session;
  const counted: Program = {
    setWeight: (name, matrix) => program.setWeight(name, matrix),
    ready: () => program.ready(),
    memory: () => program.memory(),
    profile: () => program.profile(),
    dispose: () => backend.dispose(),
    run(inputs) {
      steps += 1;
      onStep(steps);
      return program.run(inputs);
    },
  };
  return { session: new DecoderSession({ ...session, program: counted }), steps: () => steps };
}

const prompt = Array.from({ length: 24 }, (_, i) => 3 + i);

async function run(session: DecoderSession, signal: AbortSignal): Promise<number> {
  let tokens = 0;
  for await (const event of session.generate(prompt, OPTIONS, { eosIds: [], signal })) {
    if (event.type === 'token') tokens += 1;
  }
  return tokens;
}

describe('an abort, counted in steps', () => {
  // 24 tokens are six chunks; then come steps of one token.
  for (const [when, at] of [
    ['in the first chunk of a prompt', 1],
    ['in the third', 3],
    ['while tokens are decoded', 10],
  ] as const) {
    it(`${when}: the step that runs is the last; then the session answers as ever`, async () => {
      const controller = new AbortController();
      const { session, steps } = await countedSession((count) => {
        if (count === at) controller.abort();
      });
      await assert.rejects(run(session, controller.signal), { name: 'AbortError' });
      assert.equal(steps(), at);
      assert.equal(await run(session, new AbortController().signal), OPTIONS.maxTokens);
      await session.dispose();
    });

    it(`${when}, by a message to the thread: at most one step more`, async () => {
      // The event loop has to turn for the message to be heard: a synchronous backend gives it that chance after each step.
      const { port1, port2 } = new MessageChannel();
      const controller = new AbortController();
      port1.onmessage = () => controller.abort();
      const { session, steps } = await countedSession((count) => {
        if (count === at) port2.postMessage('abort');
      });
      await assert.rejects(run(session, controller.signal), { name: 'AbortError' });
      assert.ok(steps() <= at + 1, `${steps()} steps, aborted in step ${at}`);
      port1.close();
      await session.dispose();
    });
  }

  it('of a long prompt, through the worker: the prompt is not read to its end', async () => {
    const { loadModel } = await distApi();
    const model = await loadModel('wp:fable-25m', { contextLength: 1024 });
    const text = 'and then the fox ran on '.repeat(120);
    const promptTokens = (await model.tokenize(text)).length;
    const controller = new AbortController();
    const answer = model.complete(text, { signal: controller.signal, maxTokens: 5 }).next();
    // Sent right behind the request: it arrives while the first chunk is computed, or before.
    setTimeout(() => controller.abort(), 0);
    await assert.rejects(answer, { name: 'AbortError' });
    const { contextUsed } = await model.memory();
    await model.dispose();
    assert.ok(contextUsed < promptTokens / 2, `${contextUsed} of ${promptTokens} tokens were read`);
  });
});
