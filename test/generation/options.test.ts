import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  ignoredGenerationOptions,
  readEndTokens,
  readGenerationDefaults,
  resolveGenerationOptions,
} from '../../runtime/generation/options.ts';
import type { GenerationOptions } from '../../runtime/types.ts';

const defaults = readGenerationDefaults(undefined);

describe('resolveGenerationOptions', () => {
  it('takes what was given, and the defaults for the rest', () => {
    const resolved = resolveGenerationOptions({ temperature: 0, stop: 'END', seed: -3, topK: undefined }, defaults);
    assert.deepEqual(resolved, { ...defaults, temperature: 0, stop: ['END'], seed: -3 });
    assert.ok(Number.isInteger(resolveGenerationOptions({}, defaults).seed));
  });

  it('says the actual and the allowed value of what is out of range', () => {
    const bad: Record<string, unknown[]> = {
      maxTokens: [0, -1, 1.5, NaN, Infinity, '5', null],
      temperature: [-0.1, NaN, 101, Infinity, '1'],
      topK: [-1, 0.5, NaN],
      topP: [0, -1, 1.01, NaN],
      minP: [-0.01, 1.5],
      repetitionPenalty: [0, -1, Infinity],
      seed: [1.5, NaN, '1', 10n],
    };
    for (const [option, values] of Object.entries(bad)) {
      for (const actual of values) {
        assert.throws(
          () => resolveGenerationOptions({ [option]: actual } as GenerationOptions, defaults),
          (error: { code?: string; message: string; details: Record<string, unknown> }) => {
            assert.equal(error.code, 'invalid-argument');
            assert.ok(error.message.startsWith(`${option} is `), error.message);
            assert.deepEqual(error.details.actual, actual);
            assert.equal(typeof error.details.allowed, 'string');
            return true;
          },
          `${option} ${String(actual)}`,
        );
      }
    }
    for (const stop of ['', [''], ['a', ''], [5], 5, null]) {
      assert.throws(() => resolveGenerationOptions({ stop } as unknown as GenerationOptions, defaults), {
        code: 'invalid-argument',
      });
    }
  });
});

describe('readGenerationDefaults', () => {
  it('reads generation_config.json', () => {
    assert.deepEqual(
      readGenerationDefaults({
        do_sample: true,
        temperature: 0.6,
        top_k: 20,
        top_p: 0.95,
        repetition_penalty: 1.1,
        max_new_tokens: 256,
        min_p: null,
      }),
      { maxTokens: 256, temperature: 0.6, topK: 20, topP: 0.95, minP: 0, repetitionPenalty: 1.1 },
    );
    assert.equal(readGenerationDefaults({ do_sample: false, temperature: 0.6 }).temperature, 0);
    assert.equal(readGenerationDefaults({}).temperature, 0.7);
  });

  it('names a field that is out of range', () => {
    for (const config of [{ top_p: 3 }, { temperature: 'hot' }, { max_new_tokens: 0 }, { top_k: -1 }]) {
      assert.throws(() => readGenerationDefaults(config), { code: 'corrupt-file' }, JSON.stringify(config));
    }
  });
});

describe('readEndTokens', () => {
  it('unites what the files name', () => {
    const sources = {
      generationConfig: { eos_token_id: [2, 0] },
      config: { eos_token_id: 5 },
      tokenizer: { eosId: 2 },
    };
    assert.deepEqual(readEndTokens(sources), [2, 0, 5]);
    assert.deepEqual(readEndTokens({ config: { eos_token_id: null }, generationConfig: null }), []);
  });
});

describe('ignoredGenerationOptions', () => {
  it('names what the file asks for and sampling here does not do', () => {
    assert.deepEqual(ignoredGenerationOptions({ no_repeat_ngram_size: 3, num_beams: 1, temperature: 0.5 }), [
      'no_repeat_ngram_size',
    ]);
    assert.deepEqual(ignoredGenerationOptions({ penalty_alpha: null }), []);
    assert.deepEqual(ignoredGenerationOptions(undefined), []);
  });
});
