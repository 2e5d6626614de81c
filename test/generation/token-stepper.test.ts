// Steps that run ahead must not change anything but the time: the same tokens as with sampling on the host, whatever ends or
// breaks an answer, and a cache that counts what was really fed.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Program } from '../../runtime/backends/backend.ts';
import { DecoderSession, type GenerateOptions } from '../../runtime/generation/decode-loop.ts';
import { resolveGenerationOptions } from '../../runtime/generation/options.ts';
import { STEPS_IN_FLIGHT } from '../../runtime/generation/token-stepper.ts';
import type { GenerationOptions } from '../../runtime/types.ts';
import { FakeDeviceProgram } from './fake-device-program.ts';
import { deviceLost, FakeProgram, greedyAfter, positions, VOCABULARY } from './fake-program.ts';

const DEFAULTS = { maxTokens: 12, temperature: 0, topK: 20, topP: 1, minP: 0, repetitionPenalty: 1 };
const CHOICES: Record<string, GenerationOptions> = {
  greedy: {},
  seeded: { temperature: 1.4, seed: 3 },
  'seeded, with a penalty': { temperature: 0.9, topP: 0.9, repetitionPenalty: 1.8, seed: 5 },
  'greedy, with a penalty': { repetitionPenalty: 1.8 },
};
const prompt = [5, 9, 2, 77, 31, 4, 4, 60, 12, 8, 91, 3, 3, 17, 25, 40, 41, 2, 19];

function sessionOf(program: FakeProgram, recover?: () => Promise<Program>): DecoderSession {
  const { contextLength, maxTokens, maxOutputs } = program;
  const sizes = { contextLength, maxTokens, maxOutputs, vocabularySize: VOCABULARY };
  return new DecoderSession({ program, rotaryRows: positions, ...sizes, recover });
}

async function run(
  session: DecoderSession,
  tokens: readonly number[],
  options: GenerationOptions = {},
  { eosIds = [], ...rest }: Partial<GenerateOptions> = {},
  onToken: (count: number) => void | Promise<void> = () => undefined,
): Promise<{ tokens: number[]; cached: number; reason: string }> {
  const resolved = resolveGenerationOptions({ seed: 1, ...options }, DEFAULTS);
  const events = session.generate(tokens, resolved, { eosIds, ...rest });
  const result: number[] = [];
  let cached = -1;
  for (;;) {
    const event = await events.next();
    if (event.done) return { tokens: result, cached, reason: event.value };
    if (event.value.type === 'started') cached = event.value.cachedPromptTokens;
    else await onToken(result.push(event.value.token));
  }
}

const onHost = async (options: GenerationOptions = {}): Promise<number[]> =>
  (await run(sessionOf(new FakeProgram()), prompt, options)).tokens;

describe('sampling on the device', () => {
  for (const [name, options] of Object.entries(CHOICES)) {
    it(`${name}: the tokens that the host would choose`, async () => {
      const program = new FakeDeviceProgram();
      const { tokens, reason } = await run(sessionOf(program), prompt, options);
      assert.deepEqual(tokens, await onHost(options));
      assert.equal(reason, 'length');
      assert.equal(
        program.sampled.length,
        11,
        'the first token comes from the prompt, and no step runs beyond the last',
      );
      assert.equal(program.mostInFlight, STEPS_IN_FLIGHT);
    });
  }

  it('feeds the first token from the host, and then what the device chose', async () => {
    const program = new FakeDeviceProgram();
    const { tokens } = await run(sessionOf(program), prompt, { maxTokens: 6 });
    assert.deepEqual(
      program.sampled.map(({ tokenId, past }) => [tokenId, past]),
      [19, 20, 21, 22, 23].map((past, i) => [i === 0 ? tokens[0] : undefined, past]),
    );
  });

  it('leaves to the host what the device cannot do', async () => {
    const program = new FakeDeviceProgram();
    const options = { temperature: 1, topK: 0, seed: 2 };
    assert.deepEqual((await run(sessionOf(program), prompt, options)).tokens, await onHost(options));
    assert.equal(program.sampled.length, 0);
  });

  it('says where it samples', () => {
    const resolved = (options: GenerationOptions) => resolveGenerationOptions(options, DEFAULTS);
    const session = sessionOf(new FakeDeviceProgram());
    assert.equal(session.samplesOnDevice(resolved({})), true);
    assert.equal(session.samplesOnDevice(resolved({ temperature: 1, topK: 0 })), false);
    assert.equal(sessionOf(new FakeProgram()).samplesOnDevice(resolved({})), false);
  });

  it('one token, and two', async () => {
    for (const maxTokens of [1, 2]) {
      const program = new FakeDeviceProgram();
      const { tokens } = await run(sessionOf(program), prompt, { maxTokens });
      assert.deepEqual(tokens, greedyAfter(prompt, maxTokens));
      assert.equal(program.sampled.length, maxTokens - 1);
    }
  });

  it('never steps beyond the end of the context', async () => {
    const { tokens, reason } = await run(sessionOf(new FakeDeviceProgram(24)), prompt, { maxTokens: 100 });
    assert.equal(reason, 'length');
    assert.deepEqual(tokens, greedyAfter(prompt, 6));
    // A prompt of one new token, in a context that it fills but for two.
    const session = sessionOf(new FakeDeviceProgram(22));
    await run(session, prompt, { maxTokens: 1 });
    const next = [...prompt, 50];
    assert.deepEqual((await run(session, next, { maxTokens: 100 })).tokens, greedyAfter(next, 3));
  });

  it('ends at an end token: what ran ahead is neither reported nor counted as cached', async () => {
    const expected = greedyAfter(prompt, 12);
    const end = expected.findIndex((token, i) => i >= 3 && expected.indexOf(token) === i);
    const program = new FakeDeviceProgram();
    const session = sessionOf(program);
    const { tokens, reason } = await run(session, prompt, {}, { eosIds: [expected[end]!] });
    assert.deepEqual(tokens, expected.slice(0, end));
    assert.equal(reason, 'stop');
    assert.ok(program.sampled.length <= end + STEPS_IN_FLIGHT - 1);
    assert.equal(session.contextUsed, prompt.length + end);
    // Another turn at once, while what ran ahead may still be on its way; its own tokens stand where those stood.
    const turn = [...prompt, ...tokens, 50, 51];
    const second = await run(session, turn);
    assert.equal(second.cached, prompt.length + end);
    assert.deepEqual(second.tokens, greedyAfter(turn, 12));
  });

  it('ends when the consumer does', async () => {
    const program = new FakeDeviceProgram();
    const session = sessionOf(program);
    const options = resolveGenerationOptions({ seed: 1 }, DEFAULTS);
    for await (const event of session.generate(prompt, options, { eosIds: [] })) if (event.type === 'token') break;
    assert.equal(session.contextUsed, prompt.length);
    const turn = [...prompt, 1];
    assert.deepEqual((await run(session, turn)).tokens, greedyAfter(turn, 12));
  });

  it('aborts within one step, with a sound cache', async () => {
    const program = new FakeDeviceProgram();
    const session = sessionOf(program);
    const controller = new AbortController();
    let seen = 0;
    const running = run(session, prompt, { maxTokens: 40 }, { signal: controller.signal }, (count) => {
      seen = count;
      if (count === 4) controller.abort();
    });
    await assert.rejects(running, { name: 'AbortError' });
    assert.equal(seen, 4);
    assert.ok(program.sampled.length <= 3 + STEPS_IN_FLIGHT);
    assert.equal(session.contextUsed, prompt.length + 4, 'of the steps after the abort, the first was waited for');
    const turn = [...prompt, 9, 9];
    assert.deepEqual((await run(session, turn)).tokens, greedyAfter(turn, 12));
  });

  it('hears a message between tokens, while steps never wait', async () => {
    const program = new FakeDeviceProgram();
    program.delay = 0;
    const controller = new AbortController();
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => controller.abort();
    const running = run(sessionOf(program), prompt, { maxTokens: 40 }, { signal: controller.signal }, (count) => {
      if (count === 3) port2.postMessage('abort');
    });
    await assert.rejects(running, { name: 'AbortError' });
    port1.close();
    assert.ok(program.sampled.length <= 3 + 2 * STEPS_IN_FLIGHT, `${program.sampled.length} steps were submitted`);
  });

  it('computes the whole prompt when it is isolated, and leaves nothing', async () => {
    const session = sessionOf(new FakeDeviceProgram());
    await run(session, prompt);
    const { tokens, cached } = await run(session, prompt, {}, { isolated: true });
    assert.equal(cached, 0);
    assert.deepEqual(tokens, greedyAfter(prompt, 12));
    assert.equal(session.contextUsed, 0);
  });
});

describe('sampling on the device, when it fails', () => {
  it('does not count a failed step, nor those behind it', async () => {
    const program = new FakeDeviceProgram();
    const session = sessionOf(program);
    // Three chunks of the prompt, then sampled steps.
    program.before = (step) => {
      if (step === 6) throw new Error('a kernel failed');
    };
    let told = 0;
    await assert.rejects(
      run(session, prompt, {}, {}, (count) => void (told = count)),
      { message: 'a kernel failed' },
    );
    assert.equal(told, 4);
    assert.equal(session.contextUsed, prompt.length + 3);
    program.before = undefined;
    const turn = [...prompt, 7];
    assert.deepEqual((await run(session, turn)).tokens, greedyAfter(turn, 12));
  });

  for (const [name, options] of Object.entries(CHOICES)) {
    it(`${name}: goes on after a lost device with the same tokens`, async () => {
      const expected = await onHost(options);
      for (const lostAt of [0, 2, 3, 4, 7, 13]) {
        const [first, second] = [new FakeDeviceProgram(), new FakeDeviceProgram()];
        // Gone is gone: the steps behind it fail as well.
        first.before = (step) => {
          if (step >= lostAt) throw deviceLost();
        };
        let recoveries = 0;
        const session = sessionOf(first, async () => {
          recoveries++;
          return second;
        });
        assert.deepEqual((await run(session, prompt, options)).tokens, expected, `lost at step ${lostAt}`);
        assert.equal(recoveries, 1);
        assert.equal(session.program, second);
        assert.ok(first.disposed && !second.disposed);
        assert.equal(session.contextUsed, prompt.length + 11);
        if (lostAt > 3 && options.repetitionPenalty) {
          const known = new Set([...prompt, ...expected.slice(0, lostAt - 2)]);
          assert.deepEqual(
            second.begins[0],
            [...known].sort((a, b) => a - b),
          );
        }
      }
    });
  }

  it('goes on with sampling on the host where the new device has none', async () => {
    const options = CHOICES['seeded, with a penalty']!;
    const first = new FakeDeviceProgram();
    first.before = (step) => {
      if (step >= 6) throw deviceLost();
    };
    const { tokens } = await run(
      sessionOf(first, async () => new FakeProgram()),
      prompt,
      options,
    );
    assert.deepEqual(tokens, await onHost(options));
  });

  it('is an error when the new device is lost as well, and can be tried again', async () => {
    const programs = [6, 3].map((lostAt) => {
      const program = new FakeDeviceProgram();
      program.before = (step) => {
        if (step >= lostAt) throw deviceLost();
      };
      return program;
    });
    const session = sessionOf(programs.shift()!, async () => programs.shift() ?? new FakeDeviceProgram());
    await assert.rejects(run(session, prompt), { code: 'device-lost', message: /lost again/ });
    assert.deepEqual((await run(session, prompt)).tokens, greedyAfter(prompt, 12));
  });

  it('is an error without a way to recover', async () => {
    const program = new FakeDeviceProgram();
    program.before = (step) => {
      if (step >= 5) throw deviceLost();
    };
    await assert.rejects(run(sessionOf(program), prompt), { code: 'device-lost' });
  });

  it('notices a device that was lost with steps that nobody waited for', async () => {
    const first = new FakeDeviceProgram();
    const session = sessionOf(first, async () => new FakeDeviceProgram());
    first.before = (step) => {
      if (step >= 5) throw deviceLost();
    };
    const options = resolveGenerationOptions({ seed: 1 }, DEFAULTS);
    let count = 0;
    for await (const event of session.generate(prompt, options, { eosIds: [] })) {
      if (event.type === 'token' && ++count === 2) break;
    }
    for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
    const steps = first.steps.length;
    assert.deepEqual((await run(session, prompt)).tokens, greedyAfter(prompt, 12));
    assert.equal(first.steps.length, steps, 'the lost program was not asked again');
  });

  it('disposes after the steps under way', async () => {
    const program = new FakeDeviceProgram();
    const session = sessionOf(program);
    let release = (): void => undefined;
    const isBlocked = new Promise<void>((blocked) => {
      program.before = (step) => {
        if (step !== 5) return undefined;
        blocked();
        return new Promise((resolve) => (release = resolve));
      };
    });
    const running = assert.rejects(run(session, prompt), { code: 'disposed' });
    await isBlocked;
    const disposal = session.dispose();
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(program.disposed, false, 'steps under way still need the program');
    release();
    await Promise.all([disposal, running]);
    assert.equal(program.disposed, true);
  });
});
