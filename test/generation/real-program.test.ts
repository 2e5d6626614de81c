// The decode loop over a real graph: the tiny checkpoints of test/fixtures/decoders on the reference backend, against the
// greedy tokens of transformers. Chunks, prefix reuse and scoring must not change them.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { DecoderSession } from '../../runtime/generation/decode-loop.ts';
import { resolveGenerationOptions } from '../../runtime/generation/options.ts';
import { rotaryRows } from '../../runtime/models/index.ts';
import { openGoldenModel, relativeError } from '../models/golden-model.ts';

const OPTIONS = resolveGenerationOptions(
  { seed: 0 },
  { maxTokens: 20, temperature: 0, topK: 0, topP: 1, minP: 0, repetitionPenalty: 1 },
);

async function greedy(
  session: DecoderSession,
  prompt: readonly number[],
): Promise<{ tokens: number[]; cached: number }> {
  const tokens: number[] = [];
  let cached = -1;
  for await (const event of session.generate(prompt, OPTIONS, { eosIds: [] })) {
    if (event.type === 'token') tokens.push(event.token);
    else cached = event.cachedPromptTokens;
  }
  return { tokens, cached };
}

describe('DecoderSession on a real graph', () => {
  for (const variant of ['llama-tied', 'mistral-window', 'qwen3-qk-norm']) {
    it(`${variant}: the greedy tokens of transformers, in chunks, again, and after another prompt`, async () => {
      const folder = new URL(`../fixtures/decoders/${variant}`, import.meta.url).pathname;
      const { prompt, decoded } = JSON.parse(readFileSync(`${folder}/goldens.json`, 'utf8')) as {
        prompt: number[];
        decoded: number[];
      };
      const { program, config, step } = await openGoldenModel(folder);
      const whole = await step(prompt, 0, true);
      for (const maxTokens of [3, 64]) {
        const session = new DecoderSession({
          program,
          rotaryRows: (past, tokens) => rotaryRows(config, past, tokens),
          contextLength: 64,
          maxTokens,
          maxOutputs: maxTokens,
        });
        assert.deepEqual((await greedy(session, prompt)).tokens, decoded);
        const again = await greedy(session, prompt);
        assert.deepEqual(again, { tokens: decoded, cached: prompt.length - 1 });
        await greedy(session, [...prompt.slice(0, 4), ...prompt.slice(2)]);
        const scored = await session.score(prompt);
        assert.ok(relativeError(scored, whole) <= 1e-6, `${relativeError(scored, whole)}`);
        assert.deepEqual((await greedy(session, prompt)).tokens, decoded);
      }
    });
  }
});
