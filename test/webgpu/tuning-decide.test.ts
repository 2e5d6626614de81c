// The decision alone, on a clock that says what the test wants it to say.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { BROWSER_PROFILES } from '../../runtime/backends/webgpu/browser-profiles.ts';
import type { DeviceProfile } from '../../runtime/backends/webgpu/device-profile.ts';
import { matmulConfiguration, matvecConfiguration } from '../../runtime/backends/webgpu/ladder.ts';
import { candidatesFor, validChoices } from '../../runtime/backends/webgpu/tuning/candidates.ts';
import { contest, isSlower, median } from '../../runtime/backends/webgpu/tuning/decide.ts';

/** A stopwatch on which every trial takes its own time, the n-th sitting times `noise(n, trial)`. */
function stopwatch(times: Record<string, number>, noise: (sitting: number, trial: string) => number = () => 1) {
  const asked: string[][] = [];
  const measure = (trials: readonly string[]): Promise<number[]> => {
    asked.push([...trials]);
    return Promise.resolve(trials.map((trial) => times[trial]! * noise(asked.length - 1, trial)));
  };
  return { measure, asked };
}

describe('the contest of kernels', () => {
  it('takes the fastest that saves more than the margin', async () => {
    const { measure } = stopwatch({ standard: 10, a: 9.9, b: 8, c: 9, d: 20 });
    const result = await contest(measure, 'standard', ['a', 'b', 'c', 'd']);
    assert.deepEqual(result, { winner: 'b', standardMs: 10, bestMs: 8 });
  });

  it('keeps the standard against what saves less, and says how near it came', async () => {
    const { measure } = stopwatch({ standard: 10, a: 9.8 });
    assert.deepEqual(await contest(measure, 'standard', ['a']), { winner: undefined, standardMs: 10, bestMs: 9.8 });
  });

  it('ends after the screening when nothing was faster', async () => {
    const { measure, asked } = stopwatch({ standard: 10, a: 10, b: 11 });
    const { winner } = await contest(measure, 'standard', ['a', 'b']);
    assert.equal(winner, undefined);
    assert.deepEqual(asked, [['standard', 'a', 'b']]);
  });

  it('is not deceived by one lucky sitting', async () => {
    // In the screening the candidate seems to take half the time; in truth it is slower.
    const { measure } = stopwatch({ standard: 10, a: 10.5 }, (sitting, trial) =>
      sitting === 0 && trial === 'a' ? 0.5 : 1,
    );
    assert.equal((await contest(measure, 'standard', ['a'])).winner, undefined);
  });

  it('forgives one disturbed sitting, not two', async () => {
    const disturbed = (sittings: readonly number[]) =>
      stopwatch({ standard: 10, a: 9 }, (sitting, trial) => (trial === 'a' && sittings.includes(sitting) ? 3 : 1));
    assert.equal((await contest(disturbed([2]).measure, 'standard', ['a'])).winner, 'a');
    assert.equal((await contest(disturbed([2, 4]).measure, 'standard', ['a'])).winner, undefined);
  });

  it('measures the finalists in turns, each sitting beginning with another', async () => {
    const { measure, asked } = stopwatch({ standard: 10, a: 5, b: 6, c: 7, d: 8 });
    await contest(measure, 'standard', ['a', 'b', 'c', 'd'], { rounds: 3, margin: 0.03, finalists: 2 });
    assert.deepEqual(asked.slice(1), [
      ['standard', 'a', 'b'],
      ['a', 'b', 'standard'],
      ['b', 'standard', 'a'],
    ]);
  });

  it('tells whether whole steps became slower, by medians in turns', async () => {
    const { measure, asked } = stopwatch({ standard: 10, chosen: 9 }, (sitting) => (sitting === 1 ? 4 : 1));
    assert.equal(await isSlower(measure, 'standard', 'chosen'), false);
    assert.deepEqual(asked.slice(0, 2), [
      ['standard', 'chosen'],
      ['chosen', 'standard'],
    ]);
    assert.equal(await isSlower(stopwatch({ standard: 10, chosen: 11 }).measure, 'standard', 'chosen'), true);
  });

  it('knows a median', () => {
    assert.equal(median([3, 1, 2]), 2);
    assert.equal(median([4, 1, 2, 3]), 2.5);
  });
});

const PROFILE: DeviceProfile = {
  subgroups: { min: 32, max: 32 },
  shaderF16: true,
  subgroupMatrix: true,
  integerDots: false,
  timestamps: true,
  isSoftware: false,
  maxStorageBindingBytes: 2 ** 27,
  maxBufferBytes: 2 ** 28,
  maxWorkgroupStorageBytes: 16_384,
  maxStorageBuffers: 10,
  maxInvocationsPerWorkgroup: 256,
  maxWorkgroupsPerDimension: 65_535,
  browser: BROWSER_PROFILES.chromium,
};
const SHAPE = { format: 'q4g32', rows: 896, columns: 4864 } as const;
const KEY = 'matvec q4g32 896×4864';

describe('what tuning may choose', () => {
  it('takes a stored choice only while it is offered, field by field', () => {
    const offered = candidatesFor(PROFILE, KEY)[4]!;
    const stored = {
      [KEY]: offered,
      'matvec q4g32 1×1': { ...offered, lanes: 31 },
      'matvec q4g32 2×2': { lanes: 32 },
      'matvec q4g32 3×3': { ...offered, more: 1 },
      'matvec q4g32 4×4': null,
      'matvec q4g32 5×5': 'fast',
      'nothing q4g32 5×5': offered,
    };
    const valid = validChoices(PROFILE, stored);
    assert.deepEqual(
      Object.keys(stored).filter((key) => valid.get(key, {})),
      [KEY],
    );
  });

  it('reaches the kernels through the ladder, and leaves other shapes alone', () => {
    const choice = { lanes: 8, rowsPerThread: 2, workgroupSize: 64 };
    const tuned = validChoices(PROFILE, { [KEY]: choice });
    assert.deepEqual(matvecConfiguration({ ...PROFILE, tuned }, SHAPE), { ...choice, reduction: 'subgroup' });
    const other = { ...SHAPE, rows: 4864 };
    assert.deepEqual(matvecConfiguration({ ...PROFILE, tuned }, other), matvecConfiguration(PROFILE, other));
  });

  it('offers only what fits the device', () => {
    const small = { ...PROFILE, maxInvocationsPerWorkgroup: 64, maxWorkgroupStorageBytes: 8192, shaderF16: false };
    for (const { workgroupSize } of candidatesFor(small, KEY)) assert.ok(Number(workgroupSize) <= 64);
    const tiles = candidatesFor(small, 'matmul q4g32 896×4864');
    assert.ok(tiles.length > 0 && tiles.length < candidatesFor(PROFILE, 'matmul q4g32 896×4864').length);
    // 32 columns are no multiple of 64.
    const matrices = candidatesFor(PROFILE, 'matmulMatrix q4g32 896×32');
    assert.ok(matrices.length > 0 && matrices.every(({ tileColumns }) => tileColumns === 32));
  });

  it('leaves the number type of tiles as it is: speed is not bought with precision', () => {
    const key = 'matmul q4g32 896×4864';
    for (const candidate of candidatesFor(PROFILE, key)) {
      const tuned = validChoices(PROFILE, { [key]: candidate });
      const { tileType } = matmulConfiguration(PROFILE, SHAPE);
      assert.equal(matmulConfiguration({ ...PROFILE, tuned }, SHAPE).tileType, tileType);
    }
  });
});
