// A compiled graph: a flat list of kernel calls whose parameters stand in linear memory. Every thread runs the same tape on
// its share of each call and waits at the barriers between. Plain data, so that it can be handed to a thread.

import type { Barrier } from './barrier.ts';
import { STEP_FIELDS } from './layouts.ts';

/** The kernels that a tape calls, by the names that assembly/index.ts exports. */
export type KernelName =
  | 'add'
  | 'addRmsNorm'
  | 'attention'
  | 'embedF16'
  | 'embedF32'
  | 'embedInteger'
  | 'foldActivations'
  | 'gatedGelu'
  | 'gatedSilu'
  | 'linearF16'
  | 'linearF32'
  | `linearQ${2 | 3 | 4 | 5 | 8}Wide`
  | `linearQ${2 | 3 | 4 | 8}Narrow`
  | `linearQ${2 | 3 | 4 | 5 | 6}K`
  | 'quantizeActivations'
  | 'rmsNorm'
  | 'rotaryCache'
  | 'selectRows'
  | 'splitActivations';

export type Kernel = (parameters: number, from: number, to: number) => void;
export type Kernels = Readonly<Record<KernelName, Kernel>>;

/** Rows of a step: of its tokens, or of its outputs. */
export type RowKind = 'tokens' | 'outputs';

/**
 * How a call is shared out.
 *   rows: each thread takes a run of the step's tokens or outputs.
 *   blocks: a fixed number of pieces (blocks of rows of a matrix): each thread takes a run of them, or, where there is a
 *     counter (the address of a word that is 0 when a step begins), one run after another, as fast as it can.
 *   thread: the kernel is told which of how many threads it is, and chooses by itself.
 */
export type Share = { by: 'rows'; of: RowKind } | { by: 'blocks'; count: number; counter?: number } | { by: 'thread' };

export interface TapeStep {
  kernel: KernelName;
  /** Address of the kernel's record. */
  parameters: number;
  share: Share;
  /**
   * True when it reads only rows that the same thread wrote in the step before, and writes nothing that the step before
   * read: no barrier stands between them.
   */
  followsItsOwn: boolean;
  /**
   * In a step of one token every thread computes that one row for itself, which takes less time than to wait for another:
   * whether a barrier is needed all the same (meetings.ts). Undefined in tapes that are not run so.
   */
  meetsForOneToken?: boolean;
}

/** Runs that a thread takes of a call's blocks, about: threads that lag behind take fewer. */
const RUNS_PER_THREAD = 4;
/** Blocks of a run at least. */
const LEAST_RUN = 8;

/** The first piece of thread `thread`; the last is that of the next one. Thread 0 comes first when there are few pieces. */
function firstPiece(count: number, thread: number, threads: number): number {
  return Math.ceil((count * thread) / threads);
}

/** Thread 0, before a step: nothing is taken. */
export function resetCounters(tape: readonly TapeStep[], words: Uint32Array): void {
  for (const { share } of tape) if (share.by === 'blocks' && share.counter) words[share.counter / 4] = 0;
}

/** Runs one step's calls as thread `thread` of `threads`; returns when every thread has finished the last call. */
export function runTape(
  tape: readonly TapeStep[],
  kernels: Kernels,
  words: Uint32Array,
  thread: number,
  threads: number,
  barrier: Barrier | undefined,
): void {
  const rows = { tokens: words[STEP_FIELDS.tokens / 4]!, outputs: words[STEP_FIELDS.outputs / 4]! };
  const isOneToken = rows.tokens === 1 && rows.outputs <= 1;
  for (let i = 0; i < tape.length; i++) {
    const { kernel, parameters, share, followsItsOwn, meetsForOneToken } = tape[i]!;
    const isAlone = isOneToken && meetsForOneToken !== undefined;
    if (barrier && i > 0 && (isAlone ? meetsForOneToken : !followsItsOwn)) barrier.wait();
    if (share.by === 'thread') {
      kernels[kernel](parameters, thread, threads);
    } else if (share.by === 'blocks' && share.counter && barrier) {
      const run = Math.max(LEAST_RUN, Math.ceil(share.count / (threads * RUNS_PER_THREAD)));
      let from = Atomics.add(words, share.counter / 4, run);
      for (; from < share.count; from = Atomics.add(words, share.counter / 4, run)) {
        kernels[kernel](parameters, from, Math.min(share.count, from + run));
      }
    } else if (share.by === 'rows' && isAlone) {
      if (rows[share.of] > 0) kernels[kernel](parameters, 0, 1);
    } else {
      const count = share.by === 'rows' ? rows[share.of] : share.count;
      const from = firstPiece(count, thread, threads);
      const to = firstPiece(count, thread + 1, threads);
      if (from < to) kernels[kernel](parameters, from, to);
    }
  }
  barrier?.wait();
}
