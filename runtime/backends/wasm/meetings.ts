// Where threads must meet in a step of one token. Such a step's rows (norms, sums, activations) are single ones, and every thread
// computes them for itself, with the same bits as the others; only matrix products and heads of attention are shared out.
// A barrier is needed before a call that touches what another thread may still write or read.

import type { Share } from './tape.ts';

/** What a call touches, by the addresses of whole values. */
export interface Touched {
  share: Share;
  reads: readonly number[];
  writes: readonly number[];
  /** It reads only what the same thread wrote in the call before: attention, of the heads that it rotated. */
  readsItsOwn?: boolean;
}

/** For each call: whether threads meet before it. */
export function meetingsForOneToken(calls: readonly Touched[]): boolean[] {
  const meetings: boolean[] = [];
  let sinceMeeting: Touched[] = [];
  for (const call of calls) {
    const meets = sinceMeeting.some((before, i) => {
      const isJustBefore = i === sinceMeeting.length - 1;
      // A row was written by each thread; pieces by one of them.
      const isThere = before.share.by === 'rows' || (isJustBefore && call.readsItsOwn === true);
      const readsTooEarly = !isThere && overlap(before.writes, call.reads);
      const writesTooEarly = overlap(before.reads, call.writes) || overlap(before.writes, call.writes);
      return readsTooEarly || writesTooEarly;
    });
    meetings.push(meets);
    if (meets) sinceMeeting = [];
    sinceMeeting.push(call);
  }
  return meetings;
}

function overlap(a: readonly number[], b: readonly number[]): boolean {
  return a.some((address) => address !== 0 && b.includes(address));
}
