// Where threads meet in a step of one token: the rules on calls made up for them, and a decoder's tape.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { compileGraph } from '../../runtime/backends/wasm/compile.ts';
import { meetingsForOneToken, type Touched } from '../../runtime/backends/wasm/meetings.ts';
import { prepareCase, PROGRAM_CASES } from './program-cases.ts';

const rows = { by: 'rows', of: 'tokens' } as const;
const blocks = { by: 'blocks', count: 8 } as const;
const thread = { by: 'thread' } as const;

function meetings(...calls: Touched[]): boolean[] {
  return meetingsForOneToken(calls);
}

describe('meetings of threads for one token', () => {
  it('none between rows that each thread computes for itself', () => {
    const calls = [rows, rows, blocks].map((share, i) => ({ share, reads: [i], writes: [i + 1] }));
    assert.deepEqual(meetings(...calls), [false, false, false]);
  });

  it('one before what others computed a part of', () => {
    const product = { share: blocks, reads: [1], writes: [2] };
    for (const share of [rows, blocks, thread]) {
      assert.deepEqual(meetings(product, { share, reads: [2], writes: [3] }), [false, true]);
    }
  });

  it('one before writing what another may still read or write', () => {
    const row = { share: rows, reads: [1], writes: [2] };
    assert.deepEqual(meetings(row, { share: blocks, reads: [2], writes: [1] }), [false, true]);
    assert.deepEqual(meetings(row, { share: rows, reads: [3], writes: [2] }), [false, true]);
  });

  it('none within a head, but one where something stands between', () => {
    const rotated = { share: thread, reads: [1], writes: [2] };
    const attention = { share: thread, reads: [2], writes: [3], readsItsOwn: true };
    const other = { share: rows, reads: [8], writes: [9] };
    assert.deepEqual(meetings(rotated, attention), [false, false]);
    assert.deepEqual(meetings(rotated, other, attention), [false, false, true]);
  });

  it('a meeting ends what came before', () => {
    const product = { share: blocks, reads: [1], writes: [2] };
    const row = { share: rows, reads: [2], writes: [3] };
    assert.deepEqual(meetings(product, row, { ...row, writes: [4] }), [false, true, false]);
  });

  it('about half as many in a decoder as in a step of many tokens', () => {
    const { graph, options } = prepareCase(PROGRAM_CASES[3]!);
    const { tape } = compileGraph(graph, options, 'plain', 2);
    const many = tape.slice(1).filter(({ followsItsOwn }) => !followsItsOwn).length;
    const one = tape.filter(({ meetsForOneToken }) => meetsForOneToken).length;
    assert.ok(one <= 0.6 * many, `${one} and ${many}`);
  });
});
