// Where tuning keeps what it found: this browser's own IndexedDB.

import { expect } from '@esm-bundle/chai';
import { createStore, set } from 'idb-keyval';
import { DeviceTuning } from '../../runtime/host/tuning.ts';
import {
  clearTuning,
  listTuning,
  readTuning,
  TUNING_VERSION,
  writeTuning,
} from '../../runtime/planning/tuning-store.ts';
import { resetTuning, tuningResults } from '../../runtime/index.ts';
import type { Backend, Program, TuneOptions, TuningOutcome } from '../../runtime/backends/backend.ts';
import type { TuningChoice, TuningRecord } from '../../runtime/types.ts';

const IDENTITY = { adapter: 'maker model f16', browser: 'Browser 9' };
const BROWSER = { name: 'Browser', version: '9', mobile: false };
const raw = createStore('wp-models-tuning', 'records');

function choice(key: string, lanes: number | undefined): TuningChoice {
  return {
    key,
    standard: { lanes: 32 },
    chosen: lanes === undefined ? undefined : { lanes },
    standardMicroseconds: 10,
    bestMicroseconds: 8,
    candidates: 3,
    tokens: 1,
  };
}

function record(choices: readonly TuningChoice[], fields: Partial<TuningRecord> = {}): TuningRecord {
  const measuredAt = '2026-01-01T00:00:00.000Z';
  return { ...IDENTITY, version: TUNING_VERSION, measuredAt, timer: 'clock', choices, skipped: [], ...fields };
}

function backend(tuning: Backend['tuning']): Backend {
  return {
    name: 'webgpu',
    description: '',
    tuning,
    compile: () => Promise.reject(new DOMException('unused')),
    lost: new Promise(() => undefined),
    dispose: () => undefined,
  };
}

/** A program that finds what it is told to find; what it was asked goes into `asked`. */
function program(outcome: Partial<TuningOutcome>, asked: TuneOptions[] = []): Program {
  const tune = (options: TuneOptions): Promise<TuningOutcome> => {
    asked.push(options);
    return Promise.resolve({
      choices: [],
      remaining: [],
      milliseconds: 5,
      compilingMilliseconds: 6,
      timer: 'clock',
      ...outcome,
    });
  };
  return { tune } as unknown as Program;
}

const device = backend({ adapter: IDENTITY.adapter, isSoftware: false });
const signal = new AbortController().signal;

describe('stored tuning', () => {
  beforeEach(() => clearTuning());
  after(() => clearTuning());

  it('comes back for the same adapter and browser only', async () => {
    const own = record([choice('a', 8)]);
    await writeTuning(own);
    expect(await readTuning(IDENTITY)).to.deep.equal(own);
    expect(await readTuning({ ...IDENTITY, browser: 'Browser 10' })).to.equal(undefined);
    expect(await readTuning({ ...IDENTITY, adapter: 'maker model' })).to.equal(undefined);
  });

  it('counts as none when it is of another version of the kernels', async () => {
    await writeTuning(record([choice('a', 8)], { version: 'older' }));
    expect(await readTuning(IDENTITY)).to.equal(undefined);
  });

  for (const [what, damaged] of Object.entries({
    'no object': 7,
    null: null,
    'without choices': { ...IDENTITY, version: TUNING_VERSION, skipped: [] },
    'with choices of nothing': { ...record([]), choices: [null] },
    'with a text for choices': { ...record([]), choices: 'all' },
  })) {
    it(`counts as none when it is damaged: ${what}`, async () => {
      await set(`${IDENTITY.adapter} | ${IDENTITY.browser}`, damaged, raw);
      expect(await readTuning(IDENTITY)).to.equal(undefined);
      expect(await listTuning()).to.deep.equal([]);
      const tuning = await DeviceTuning.of(device, BROWSER, 'auto');
      expect(tuning!.choices).to.deep.equal({});
    });
  }

  it('is listed and forgotten by the public API', async () => {
    await writeTuning(record([choice('a', 8)]));
    await writeTuning(record([], { browser: 'Browser 8' }));
    expect((await tuningResults()).map(({ browser }) => browser).sort()).to.deep.equal(['Browser 8', 'Browser 9']);
    await resetTuning();
    expect(await tuningResults()).to.deep.equal([]);
    expect(await readTuning(IDENTITY)).to.equal(undefined);
  });
});

describe('tuning of a device', () => {
  beforeEach(() => clearTuning());
  after(() => clearTuning());

  it('keeps what it finds, asks for it no more, and gives it to the next load', async () => {
    const first = await DeviceTuning.of(device, BROWSER, 'now');
    const report = await first.tune(
      program({ choices: [choice('a', 8), choice('b', undefined)], remaining: ['c'] }),
      {},
      signal,
    );
    expect(report).to.deep.include({ measured: ['a', 'b'], remaining: ['c'], milliseconds: 5 });
    const second = (await DeviceTuning.of(device, BROWSER, 'auto'))!;
    expect(second.choices).to.deep.equal({ a: { lanes: 8 }, b: undefined });
    const asked: TuneOptions[] = [];
    await second.tune(program({ choices: [choice('c', 4)] }, asked), {}, signal);
    expect([...asked[0]!.known].sort()).to.deep.equal(['a', 'b']);
    expect(asked[0]!.budgetMs).to.equal(1000);
    expect((await tuningResults())[0]!.choices.map(({ key }) => key)).to.deep.equal(['a', 'b', 'c']);
  });

  it('measures everything again when asked to, and keeps the newer result', async () => {
    await writeTuning(record([choice('a', 8), choice('z', 2)]));
    const asked: TuneOptions[] = [];
    const tuning = await DeviceTuning.of(device, BROWSER, 'now');
    await tuning.tune(program({ choices: [choice('a', 16)] }, asked), { again: true, budgetMs: 7 }, signal);
    expect(asked[0]).to.deep.include({ budgetMs: 7, known: new Set() });
    expect((await DeviceTuning.of(device, BROWSER, 'now')).choices).to.deep.equal({
      z: { lanes: 2 },
      a: { lanes: 8 + 8 },
    });
  });

  it('gives up on what takes longer than a whole budget, so that the next load comes to the rest', async () => {
    const asked: TuneOptions[] = [];
    const tuning = await DeviceTuning.of(device, BROWSER, 'now');
    await tuning.tune(program({ remaining: ['slow', 'other'] }, asked), {}, signal);
    await (
      await DeviceTuning.of(device, BROWSER, 'now')
    ).tune(program({ choices: [choice('other', 8)] }, asked), {}, signal);
    expect([...asked[1]!.known]).to.deep.equal(['slow']);
    expect((await tuningResults())[0]).to.deep.include({ skipped: ['slow'] });
  });

  it('leaves software adapters alone unless it is asked for, and everything where it is off', async () => {
    const software = backend({ adapter: 'processor', isSoftware: true });
    expect(await DeviceTuning.of(software, BROWSER, 'auto')).to.equal(undefined);
    expect(await DeviceTuning.of(software, BROWSER, 'now')).not.to.equal(undefined);
    expect(await DeviceTuning.of(device, BROWSER, 'off')).to.equal(undefined);
  });

  it('refuses to tune a backend that has nothing to choose', async () => {
    const thrown: unknown = await DeviceTuning.of(backend(undefined), BROWSER, 'now').catch((error: unknown) => error);
    expect(thrown).to.have.property('code', 'unsupported-operation');
  });
});
