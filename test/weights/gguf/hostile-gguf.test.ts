// Mutated GGUF files, seeded: each must be read or refused with a WpError, without a hang, without a range outside the file, and
// without reading or holding more than there is.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { WpError } from '../../../runtime/errors.ts';
import { Random } from '../../support/random.ts';
import { ggufFile, tinyLlama } from './gguf-file.ts';
import { load } from './load-whole.ts';
import { mutateBytes, mutateSpec } from './mutations.ts';
import { wideLlama } from './wide-llama.ts';

const cases = 12_000;
const whole = ggufFile(tinyLlama());
const values = new Uint8Array(readFileSync(new URL('./fixtures/values.gguf', import.meta.url)));

describe('mutated GGUF files', () => {
  it('the file that is mutated loads', () => load(whole));

  it(`${cases} mutated files are read or refused`, { timeout: 240_000 }, async () => {
    const random = new Random(20_260_402);
    const outcomes = new Map<string, number>();
    for (let i = 0; i < cases; i++) {
      const kind = i % 3;
      const bytes =
        kind === 0 ? ggufFile(mutateSpec(random)) : mutateBytes(kind === 1 || i % 2 === 0 ? whole : values, random);
      let outcome = 'read';
      try {
        await load(bytes, i % 8 >= 3);
      } catch (thrown) {
        assert.ok(thrown instanceof WpError, `case ${i}: ${thrown instanceof Error ? thrown.stack : String(thrown)}`);
        assert.notEqual(thrown.code, 'internal', `case ${i}: ${thrown.message}`);
        assert.ok(thrown.message.length < 1000, `case ${i}: a message of ${thrown.message.length} characters`);
        outcome = thrown.code;
      }
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
    }
    // The mutations must reach deep, or they show nothing: all of these happen dozens of times.
    const expected = ['read', 'corrupt-file', 'missing-tensor', 'unsupported-config', 'unsupported-format'];
    for (const outcome of [...expected, 'unsupported-architecture', 'missing-tokenizer'])
      assert.ok((outcomes.get(outcome) ?? 0) > 10, JSON.stringify([...outcomes]));
  });

  it('300 files of random and damaged K-quants are read or refused', { timeout: 240_000 }, async () => {
    const random = new Random(20_260_511);
    const outcomes = new Map<string, number>();
    for (let i = 0; i < 300; i++) {
      const file = ggufFile(wideLlama(random));
      const bytes = i % 3 === 0 ? file : mutateBytes(file, random);
      let outcome = 'read';
      try {
        await load(bytes);
      } catch (thrown) {
        assert.ok(thrown instanceof WpError, `case ${i}: ${thrown instanceof Error ? thrown.stack : String(thrown)}`);
        assert.notEqual(thrown.code, 'internal', `case ${i}: ${thrown.message}`);
        outcome = thrown.code;
      }
      // Whatever the bits are, they stand for numbers: nothing that keeps its form is refused.
      if (i % 3 === 0) assert.equal(outcome, 'read', `case ${i}`);
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
    }
    assert.ok(outcomes.get('read')! > 100 && outcomes.get('corrupt-file')! > 20, JSON.stringify([...outcomes]));
  });
});
