import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { DecoderSession, type GenerateOptions } from '../../runtime/generation/decode-loop.ts';
import { resolveGenerationOptions } from '../../runtime/generation/options.ts';
import { logProbability } from '../../runtime/generation/score.ts';
import type { GenerationOptions } from '../../runtime/types.ts';
import { deviceLost, FakeProgram, greedyAfter, logitsAfter, positions, VOCABULARY } from './fake-program.ts';

const DEFAULTS = { maxTokens: 6, temperature: 0, topK: 0, topP: 1, minP: 0, repetitionPenalty: 1 };

function sessionOf(program: FakeProgram, recover?: () => Promise<FakeProgram>): DecoderSession {
  const { contextLength, maxTokens, maxOutputs } = program;
  return new DecoderSession({
    program,
    rotaryRows: positions,
    contextLength,
    maxTokens,
    maxOutputs,
    vocabularySize: VOCABULARY,
    recover,
  });
}

async function run(
  session: DecoderSession,
  prompt: readonly number[],
  options: GenerationOptions = {},
  { eosIds = [], signal }: Partial<GenerateOptions> = {},
  onToken: (count: number) => void = () => undefined,
): Promise<{ tokens: number[]; cached: number; reason: string }> {
  const tokens: number[] = [];
  let cached = -1;
  const events = session.generate(prompt, resolveGenerationOptions({ seed: 1, ...options }, DEFAULTS), {
    eosIds,
    signal,
  });
  for (;;) {
    const event = await events.next();
    if (event.done) return { tokens, cached, reason: event.value };
    if (event.value.type === 'started') cached = event.value.cachedPromptTokens;
    else onToken(tokens.push(event.value.token));
  }
}

const prompt = [5, 9, 2, 77, 31, 4, 4, 60, 12, 8, 91, 3, 3, 17, 25, 40, 41, 2, 19];

describe('DecoderSession', () => {
  it('prefills in chunks and asks for the last row only', async () => {
    const program = new FakeProgram();
    const { tokens, reason, cached } = await run(sessionOf(program), prompt);
    assert.deepEqual(tokens, greedyAfter(prompt, 6));
    assert.equal(reason, 'length');
    assert.equal(cached, 0);
    assert.deepEqual(
      program.steps.map((step) => [step.past, step.tokens.length, step.rows]),
      [
        [0, 8, [7]],
        [8, 8, [7]],
        [16, 3, [2]],
        [19, 1, [0]],
        [20, 1, [0]],
        [21, 1, [0]],
        [22, 1, [0]],
        [23, 1, [0]],
      ],
    );
  });

  it('gives the same sampled tokens for the same seed, and others for another', async () => {
    const options = { temperature: 1.5, maxTokens: 12 };
    const first = await run(sessionOf(new FakeProgram()), prompt, { ...options, seed: 7 });
    const again = await run(sessionOf(new FakeProgram()), prompt, { ...options, seed: 7 });
    const other = await run(sessionOf(new FakeProgram()), prompt, { ...options, seed: 8 });
    assert.deepEqual(first.tokens, again.tokens);
    assert.notDeepEqual(first.tokens, other.tokens);
  });

  it('computes only what is new of the next turn', async () => {
    const program = new FakeProgram();
    const session = sessionOf(program);
    const first = await run(session, prompt);
    const next = [...prompt, ...first.tokens, 50, 51];
    program.steps.length = 0;
    const second = await run(session, next);
    // The last token of the answer was never fed back, so it is new as well.
    assert.equal(second.cached, next.length - 3);
    assert.deepEqual(program.steps[0], { past: next.length - 3, tokens: next.slice(-3), rows: [2] });
    assert.deepEqual(second.tokens, greedyAfter(next, 6));
  });

  it('computes the last prompt token again when all of it is cached, and drops what follows a difference', async () => {
    const session = sessionOf(new FakeProgram());
    await run(session, prompt);
    const same = await run(session, prompt);
    assert.equal(same.cached, prompt.length - 1);
    assert.deepEqual(same.tokens, greedyAfter(prompt, 6));
    const changed = [...prompt.slice(0, 10), 1, ...prompt.slice(11)];
    const other = await run(session, changed);
    assert.equal(other.cached, 10);
    assert.deepEqual(other.tokens, greedyAfter(changed, 6));
  });

  it('ends at an end token without reporting it', async () => {
    const expected = greedyAfter(prompt, 6);
    const end = expected.findIndex((token, i) => i >= 3 && expected.indexOf(token) === i);
    const { tokens, reason } = await run(sessionOf(new FakeProgram()), prompt, {}, { eosIds: [expected[end]!] });
    assert.deepEqual(tokens, expected.slice(0, end));
    assert.equal(reason, 'stop');
  });

  it('ends with length where the context ends', async () => {
    const { tokens, reason } = await run(sessionOf(new FakeProgram(24)), prompt, { maxTokens: 100 });
    assert.equal(reason, 'length');
    // 5 more places in the cache, and the last token needs none.
    assert.deepEqual(tokens, greedyAfter(prompt, 6));
    const full = await run(sessionOf(new FakeProgram(prompt.length)), prompt, { maxTokens: 100 });
    assert.equal(full.tokens.length, 1);
  });

  it('refuses a prompt that is longer than the context', async () => {
    await assert.rejects(run(sessionOf(new FakeProgram(18)), prompt), {
      code: 'context-overflow',
      details: { actual: 19, allowed: 18 },
    });
  });

  it('refuses an empty prompt and ids that are none', async () => {
    const session = sessionOf(new FakeProgram());
    await assert.rejects(run(session, []), { code: 'invalid-argument' });
    for (const bad of [-1, 1.5, VOCABULARY, NaN]) {
      await assert.rejects(run(session, [1, bad]), { code: 'invalid-argument' });
    }
  });
});

describe('DecoderSession abort', () => {
  it('aborts between tokens; the cache stays sound', async () => {
    const program = new FakeProgram();
    const session = sessionOf(program);
    const controller = new AbortController();
    const steps = (): number => program.steps.length;
    await assert.rejects(
      run(session, prompt, { maxTokens: 40 }, { signal: controller.signal }, (count) => {
        if (count === 3) controller.abort();
      }),
      { name: 'AbortError' },
    );
    assert.equal(steps(), 3 + 2, 'no step was run after the abort');
    const next = await run(session, prompt);
    assert.equal(next.cached, prompt.length - 1);
    assert.deepEqual(next.tokens, greedyAfter(prompt, 6));
  });

  it('hears an abort message that arrives in a task of its own, while steps never wait', async () => {
    const program = new FakeProgram();
    const controller = new AbortController();
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => controller.abort();
    program.before = (step) => {
      if (step === 4) port2.postMessage('abort');
    };
    await assert.rejects(run(sessionOf(program), prompt, { maxTokens: 40 }, { signal: controller.signal }), {
      name: 'AbortError',
    });
    port1.close();
    assert.ok(program.steps.length <= 7, `${program.steps.length} steps were run after the message of the fifth`);
  });

  it('aborts between the chunks of a prompt and keeps the chunks that were done', async () => {
    const program = new FakeProgram();
    const session = sessionOf(program);
    const controller = new AbortController();
    program.before = (step) => {
      if (step === 1) controller.abort();
    };
    await assert.rejects(run(session, prompt, {}, { signal: controller.signal }), { name: 'AbortError' });
    assert.equal(program.steps.length, 2);
    const next = await run(session, prompt);
    assert.equal(next.cached, 16);
    assert.deepEqual(next.tokens, greedyAfter(prompt, 6));
  });

  it('ends its turn when the consumer stops early', async () => {
    const session = sessionOf(new FakeProgram());
    const options = resolveGenerationOptions({}, DEFAULTS);
    for await (const event of session.generate(prompt, options, { eosIds: [] })) if (event.type === 'token') break;
    assert.deepEqual((await run(session, prompt)).tokens, greedyAfter(prompt, 6));
  });

  it('does not count a failed step as cached', async () => {
    const program = new FakeProgram();
    const session = sessionOf(program);
    program.before = (step) => {
      if (step === 2) throw new Error('a kernel failed');
    };
    await assert.rejects(run(session, prompt), { message: 'a kernel failed' });
    const other = [...prompt.slice(0, 16), 88, 89];
    const next = await run(session, other);
    assert.equal(next.cached, 16);
    assert.deepEqual(next.tokens, greedyAfter(other, 6));
  });
});

describe('DecoderSession recovery', () => {
  it('continues on a new program with the same tokens', async () => {
    for (const lostAt of [0, 1, 2, 3, 5]) {
      const first = new FakeProgram();
      const second = new FakeProgram();
      first.before = (step) => {
        if (step === lostAt) throw deviceLost();
      };
      let recoveries = 0;
      const session = sessionOf(first, async () => {
        recoveries++;
        return second;
      });
      const options = { temperature: 1.2, seed: 3 };
      const { tokens } = await run(session, prompt, options);
      const undisturbed = await run(sessionOf(new FakeProgram()), prompt, options);
      assert.deepEqual(tokens, undisturbed.tokens, `lost at step ${lostAt}`);
      assert.equal(recoveries, 1);
      assert.equal(session.program, second);
      assert.ok(first.disposed && !second.disposed);
    }
  });

  it('recovers again from a later loss', async () => {
    const programs = [3, 4].map((lostAt) => {
      const program = new FakeProgram();
      program.before = (step) => {
        if (step === lostAt) throw deviceLost();
      };
      return program;
    });
    programs.push(new FakeProgram());
    const session = sessionOf(programs.shift()!, async () => programs.shift()!);
    assert.deepEqual((await run(session, prompt)).tokens, greedyAfter(prompt, 6));
    assert.equal(programs.length, 0);
  });

  it('is an error when the new device is lost within the recovery, and can be tried again', async () => {
    for (const lostAgainAt of [0, 2, 3]) {
      const programs = [4, lostAgainAt].map((lostAt) => {
        const program = new FakeProgram();
        program.before = (step) => {
          if (step === lostAt) throw deviceLost();
        };
        return program;
      });
      programs.push(new FakeProgram());
      const session = sessionOf(programs.shift()!, async () => programs.shift()!);
      await assert.rejects(run(session, prompt), { code: 'device-lost' }, `lost again at ${lostAgainAt}`);
      assert.equal(programs.length, 1);
      assert.deepEqual((await run(session, prompt)).tokens, greedyAfter(prompt, 6));
    }
  });

  it('is an error without a way to recover', async () => {
    const program = new FakeProgram();
    program.before = () => {
      throw deviceLost();
    };
    await assert.rejects(run(sessionOf(program), prompt), { code: 'device-lost' });
  });
});

describe('DecoderSession queue', () => {
  it('serves generations one after another, in order', async () => {
    const program = new FakeProgram();
    const session = sessionOf(program);
    const order: string[] = [];
    const named = async (name: string, tokens: number[]): Promise<void> => {
      assert.deepEqual((await run(session, tokens, {}, {}, () => order.push(name))).tokens, greedyAfter(tokens, 6));
    };
    await Promise.all([named('a', [1, 2, 3]), named('b', [1, 2, 4]), named('c', [9])]);
    assert.equal(order.join(''), 'aaaaaabbbbbbcccccc');
  });

  it('lets one who waits give up', async () => {
    const session = sessionOf(new FakeProgram());
    const controller = new AbortController();
    const first = run(session, prompt);
    const second = run(session, prompt, {}, { signal: controller.signal });
    const third = run(session, prompt);
    controller.abort();
    await assert.rejects(second, { name: 'AbortError' });
    assert.deepEqual((await first).tokens, greedyAfter(prompt, 6));
    assert.deepEqual((await third).tokens, greedyAfter(prompt, 6));
  });

  it('disposes: what runs ends, what waits and comes is refused, the program is freed after its step', async () => {
    const program = new FakeProgram();
    const session = sessionOf(program);
    let release = (): void => undefined;
    program.before = (step) => (step === 3 ? new Promise((resolve) => (release = resolve)) : undefined);
    const running = assert.rejects(run(session, prompt), { code: 'disposed' });
    const waiting = assert.rejects(run(session, prompt), { code: 'disposed' });
    while (program.steps.length < 4) await new Promise((resolve) => setImmediate(resolve));
    const disposal = session.dispose();
    assert.equal(program.disposed, false, 'the step that runs still needs the program');
    release();
    await Promise.all([disposal, running, waiting]);
    assert.equal(program.disposed, true);
    await assert.rejects(run(session, prompt), { code: 'disposed' });
    await session.dispose();
  });
});

describe('scoring', () => {
  it('gives the logits of every row, whatever the chunks', async () => {
    for (const maxOutputs of [1, 3, 8]) {
      const session = sessionOf(new FakeProgram(64, 8, maxOutputs));
      const logits = await session.score(prompt);
      assert.equal(logits.length, prompt.length * VOCABULARY);
      for (let row = 0; row < prompt.length; row++) {
        assert.deepEqual(
          logits.slice(row * VOCABULARY, (row + 1) * VOCABULARY),
          logitsAfter(prompt.slice(0, row + 1)),
          `row ${row}`,
        );
      }
    }
  });

  it('sums the log likelihood, and leaves a cache that the next answer can use', async () => {
    const session = sessionOf(new FakeProgram());
    let expected = 0;
    for (let i = 1; i < prompt.length; i++) expected += logProbability(logitsAfter(prompt.slice(0, i)), prompt[i]!);
    assert.ok(Math.abs((await session.logLikelihood(prompt)) - expected) < 1e-9);
    const next = await run(session, prompt);
    assert.equal(next.cached, prompt.length - 1);
    assert.deepEqual(next.tokens, greedyAfter(prompt, 6));
  });
});
