import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { crc32 } from '../../runtime/loading/crc32.ts';
import { LoadProgressTracker } from '../../runtime/loading/progress.ts';
import { StoreRecord } from '../../runtime/loading/store-record.ts';
import type { LoadProgress } from '../../runtime/types.ts';
import { patternBytes } from './pattern.ts';

function tracker(): { progress: LoadProgressTracker; reports: LoadProgress[]; clock: { ms: number } } {
  const reports: LoadProgress[] = [];
  const clock = { ms: 0 };
  const progress = new LoadProgressTracker({ report: (report) => reports.push(report), now: () => clock.ms });
  return { progress, reports, clock };
}

describe('progress of a load', () => {
  it('sums files, and tells rate and time left of the last three seconds', () => {
    const { progress, clock } = tracker();
    progress.expect('a', 1000);
    progress.expect('b', 9000);
    assert.equal(progress.snapshot().totalBytes, undefined);
    progress.totalIsKnown();
    progress.cached('a', 1000);
    assert.deepEqual(progress.snapshot(), {
      phase: 'resolving',
      loadedBytes: 1000,
      totalBytes: 10_000,
      bytesPerSecond: undefined,
      secondsLeft: undefined,
      file: 'a',
      cachedBytes: 1000,
    });
    // 100 bytes each 100 ms for five seconds: 1,000 a second; what was before the window no longer counts.
    progress.downloaded('b', 3000);
    for (let i = 0; i < 50; i++) {
      clock.ms += 100;
      progress.downloaded('b', 100);
    }
    const { bytesPerSecond, secondsLeft, loadedBytes, file } = progress.snapshot();
    assert.equal(loadedBytes, 9000);
    assert.equal(file, 'b');
    assert.ok(Math.abs(bytesPerSecond! - 1000) < 50, String(bytesPerSecond));
    assert.ok(Math.abs(secondsLeft! - 1) < 0.06, String(secondsLeft));
  });

  it('sees a download that came to a halt', () => {
    const { progress, clock } = tracker();
    progress.expect('a', 1000);
    progress.totalIsKnown();
    progress.downloaded('a', 500);
    clock.ms += 10_000;
    const { bytesPerSecond, secondsLeft } = progress.snapshot();
    assert.deepEqual({ bytesPerSecond, secondsLeft }, { bytesPerSecond: 0, secondsLeft: undefined });
  });

  it('reports at most ten times a second, and each phase', () => {
    const { progress, reports, clock } = tracker();
    progress.expect('a', 1000);
    for (let i = 0; i < 1000; i++) {
      clock.ms += 1;
      progress.downloaded('a', 1);
    }
    assert.ok(reports.length >= 9 && reports.length <= 11, String(reports.length));
    progress.totalIsKnown();
    progress.enter('compiling');
    progress.enter('ready');
    assert.deepEqual(
      reports.slice(-2).map(({ phase }) => phase),
      ['compiling', 'ready'],
    );
    assert.equal(reports.at(-1)!.secondsLeft, 0);
  });

  it('never exceeds the total, though whole blocks are fetched', () => {
    const { progress } = tracker();
    progress.expect('a', 1000);
    progress.downloaded('a', 4096);
    assert.equal(progress.snapshot().loadedBytes, 1000);
    progress.expect('a', 3000);
    assert.equal(progress.snapshot().loadedBytes, 3000);
  });
});

describe('checksums and records of the store', () => {
  it('CRC-32 has the check value of its definition, at every alignment', () => {
    assert.equal(crc32(new TextEncoder().encode('123456789')), 0xcbf43926);
    assert.equal(crc32(new Uint8Array(0)), 0);
    assert.equal(crc32(new TextEncoder().encode('x123456789').subarray(1)), 0xcbf43926);
    assert.equal(crc32(new TextEncoder().encode('The quick brown fox jumps over the lazy dog')), 0x414fa339);
  });

  it('CRC-32 is that of the tables, byte by byte, whatever the length and the address', () => {
    const table = Array.from({ length: 256 }, (_, i) => {
      let value = i;
      for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
      return value;
    });
    const all = patternBytes(1000);
    for (const length of [1, 3, 4, 15, 16, 17, 31, 32, 100, 995]) {
      for (const start of [0, 1, 2, 3, 4]) {
        const bytes = all.subarray(start, start + length);
        const expected = bytes.reduce((crc, byte) => (crc >>> 8) ^ table[(crc ^ byte) & 0xff]!, -1);
        assert.equal(crc32(bytes), ~expected >>> 0, `${length} bytes from ${start}`);
      }
    }
  });

  it('a record survives being written and read', () => {
    const record = StoreRecord.create({ url: 'https://x.test/ü', size: 2500, validator: '"1"' }, 1000);
    record.set(0, 7);
    record.set(2, 0xffffffff);
    record.lastUsedMs = 1234.5;
    const read = StoreRecord.parse(record.bytes)!;
    assert.deepEqual(read.identity, record.identity);
    assert.deepEqual([read.has(0), read.has(1), read.has(2), read.has(3)], [true, false, true, false]);
    assert.equal(read.checksum(2), 0xffffffff);
    assert.deepEqual([read.storedBytes, read.isComplete, read.lastUsedMs], [1500, false, 1234.5]);
    read.set(1, 1);
    assert.ok(read.isComplete);
    read.set(0, undefined);
    assert.ok(!read.has(0));
  });

  it('no damaged record is believed', () => {
    const record = StoreRecord.create({ url: 'https://x.test/a', size: 2500, validator: '"1"' }, 1000);
    const { bytes } = record;
    assert.equal(StoreRecord.parse(bytes.subarray(0, 10)), undefined);
    assert.equal(StoreRecord.parse(bytes.subarray(0, bytes.length - 8)), undefined);
    const tableStart = bytes.length - 3 * 8;
    for (let i = 0; i < tableStart; i++) {
      if (i >= 12 && i < 20) continue; // the time of the last use may be anything
      const damaged = bytes.slice();
      damaged[i]! ^= 0x10;
      assert.equal(StoreRecord.parse(damaged), undefined, `byte ${i}`);
    }
    for (let i = tableStart; i < bytes.length; i++) {
      const damaged = bytes.slice();
      damaged[i]! ^= 0x10;
      assert.equal(StoreRecord.parse(damaged)!.storedBytes, 0, 'a damaged mark is no mark');
    }
  });
});
