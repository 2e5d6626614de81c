// The script of a thread: it gets a program once, then runs its share of every step until it is stopped. scripts/build-wasm.mjs
// bundles it into a string (thread.generated.ts) from which threads.ts makes workers, so it imports little and no errors.ts.

import { Barrier, BARRIER_WORDS } from './barrier.ts';
import { BARRIER_ADDRESS } from './layouts.ts';
import { runTape, type Kernels, type TapeStep } from './tape.ts';

/** What a thread is given, once. */
export interface ThreadStart {
  modules: readonly WebAssembly.Module[];
  memory: WebAssembly.Memory;
  tape: readonly TapeStep[];
  thread: number;
  threads: number;
}

/** What it says: that it waits for the first step, or that it failed. */
export type ThreadMessage = { type: 'ready' } | { type: 'failed'; message: string };

async function start(given: ThreadStart, post: (message: ThreadMessage) => void): Promise<void> {
  const { modules, memory, tape, thread, threads } = given;
  const shared = memory.buffer as unknown as SharedArrayBuffer;
  const barrier = new Barrier(new Int32Array(shared, BARRIER_ADDRESS, BARRIER_WORDS), threads);
  try {
    const instances = await Promise.all(modules.map((module) => WebAssembly.instantiate(module, { env: { memory } })));
    const kernels = Object.assign({}, ...instances.map(({ exports }) => exports)) as Kernels;
    const words = new Uint32Array(shared);
    post({ type: 'ready' });
    // The loop never returns to the event loop: the next thing that this worker can do is a step, or to end.
    let step: number | undefined = 0;
    while ((step = barrier.nextStep(step)) !== undefined) runTape(tape, kernels, words, thread, threads, barrier);
  } catch (error) {
    barrier.fail();
    post({ type: 'failed', message: error instanceof Error ? (error.stack ?? error.message) : String(error) });
  }
}

// A script has no exports: threads.ts adds the line that connects this to the worker's port.
(globalThis as { startThread?: typeof start }).startThread = start;
