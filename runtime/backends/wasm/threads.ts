// Threads of a program: workers that share its linear memory (platform.ts makes them).
//
// Sharing memory needs a cross-origin isolated page. Plain pages could share out the rows of each product over MessagePorts
// instead: that would be another implementation of ThreadGroup.

import { WpError } from '../../errors.ts';
import { Barrier, BARRIER_WORDS } from './barrier.ts';
import { THREAD_SCRIPT } from './thread.generated.ts';
import { BARRIER_ADDRESS } from './layouts.ts';
import { resetCounters, runTape, type Kernels, type TapeStep } from './tape.ts';
import type { ThreadMessage, ThreadStart } from './thread.ts';

/** A worker, in a browser or in Node. */
export interface Thread {
  start(given: ThreadStart): void;
  onMessage: ((message: ThreadMessage) => void) | undefined;
  /** The worker could not start, or died. */
  onError: ((error: unknown) => void) | undefined;
  terminate(): void;
}

/** Makes a worker that runs `script`, which defines `startThread(given, post)`. */
export type SpawnThread = (script: string) => Promise<Thread>;

/** How a step's work is shared out: by one thread, or by several. */
export interface ThreadGroup {
  readonly threads: number;
  /** Runs the tape on all threads; returns when all have finished. */
  runStep(): void;
  dispose(): void;
}

interface GroupParts {
  modules: readonly WebAssembly.Module[];
  memory: WebAssembly.Memory;
  kernels: Kernels;
  tape: readonly TapeStep[];
}

export function singleThread({ memory, kernels, tape }: GroupParts): ThreadGroup {
  const words = new Uint32Array(memory.buffer);
  return {
    threads: 1,
    runStep: () => runTape(tape, kernels, words, 0, 1, undefined),
    dispose: () => undefined,
  };
}

/** The caller is thread 0: it must be allowed to block (a worker, or Node). Rejects when a worker cannot be made. */
export async function sharedMemoryThreads(
  parts: GroupParts,
  threads: number,
  spawn: SpawnThread,
): Promise<ThreadGroup> {
  const { modules, memory, kernels, tape } = parts;
  const shared = memory.buffer as unknown as SharedArrayBuffer;
  const barrier = new Barrier(new Int32Array(shared, BARRIER_ADDRESS, BARRIER_WORDS), threads);
  const words = new Uint32Array(shared);
  const workers: Thread[] = [];
  let failure: string | undefined;
  const terminateAll = () => workers.forEach((worker) => worker.terminate());

  try {
    await Promise.all(
      Array.from({ length: threads - 1 }, async (_, i) => {
        const worker = await spawn(THREAD_SCRIPT);
        workers.push(worker);
        await new Promise<void>((resolve, reject) => {
          worker.onMessage = (message) => {
            if (message.type === 'ready') resolve();
            else reject(new Error((failure = message.message)));
          };
          worker.onError = (error) => {
            failure = String(error);
            barrier.fail();
            reject(new Error(failure));
          };
          worker.start({ modules, memory, tape, thread: i + 1, threads });
        });
      }),
    );
  } catch (error) {
    terminateAll();
    throw error;
  }

  return {
    threads,
    runStep() {
      try {
        resetCounters(tape, words);
        barrier.startStep();
        runTape(tape, kernels, words, 0, threads, barrier);
      } catch (error) {
        barrier.fail();
        throw new WpError(
          'worker-failed',
          `A thread of the WASM backend failed: ${failure ?? String(error)}`,
          'Load the model again; with `threads: 1` it needs no other thread.',
          { threads },
          { cause: error },
        );
      }
    },
    dispose() {
      barrier.stop();
      terminateAll();
    },
  };
}
