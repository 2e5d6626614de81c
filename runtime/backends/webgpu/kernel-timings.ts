// How long each kernel of a decode step takes, for the profiler: all calls of one kernel, every layer's on its own weights as
// in a step, between two timestamps, over and over until the browser's rounding no longer shows.

import type { KernelTiming } from '../../types.ts';
import type { KernelCall } from './kernel-calls.ts';
import type { StepSizes } from './kernels/kernel.ts';
import type { PreparedCall, ResolveBuffer, ScheduleRunner } from './schedule-runner.ts';
import { GpuTimer } from './tuning/gpu-timer.ts';

export interface TimedProgram {
  device: GPUDevice;
  hasTimestamps: boolean;
  contextLength: number;
  decode: ScheduleRunner;
  resolve: ResolveBuffer;
}

interface Timed extends Omit<KernelTiming, 'microseconds'> {
  dispatches: PreparedCall[];
}

/** In the order of a step. The step's uniform must say `past`; what the calls write is not to be read. */
export async function kernelTimings(program: TimedProgram, past: number): Promise<KernelTiming[]> {
  const { device, hasTimestamps, decode } = program;
  const sizes: StepSizes = { tokens: 1, past, outputs: 1 };
  const prepared = decode.callsFor(sizes);
  const calls = decode.schedule.operations.flatMap(({ operation, alternatives }) =>
    alternatives.find(({ serves }) => serves(sizes))!.calls.map((call) => ({ operation, call })),
  );
  const kernels = new Map<string, Timed>();
  calls.forEach(({ operation, call }, i) => {
    const { key } = call.kernel;
    const known = kernels.get(key) ?? {
      operation,
      variant: key,
      calls: 0,
      bytes: 0,
      flops: flopsOf(key, past),
      dispatches: [],
    };
    known.bytes = bytesOf(call, program, past);
    known.calls += 1;
    known.dispatches.push(prepared[i]!);
    kernels.set(key, known);
  });
  const timer = new GpuTimer(device, hasTimestamps);
  try {
    const timings: KernelTiming[] = [];
    for (const { dispatches, ...about } of kernels.values()) {
      const milliseconds = await timeOf(timer, dispatches, sizes);
      timings.push({ ...about, microseconds: (1000 * milliseconds) / dispatches.length });
    }
    return timings;
  } finally {
    timer.destroy();
  }
}

const ROUNDS = 3;

/** The shortest of a few batches that are long enough. */
async function timeOf(timer: GpuTimer, dispatches: readonly PreparedCall[], sizes: StepSizes): Promise<number> {
  const noWait = (): Promise<void> => Promise.resolve();
  let repeats = 1;
  for (;;) {
    const [first] = await timer.time([{ dispatches, sizes, repeats }], noWait);
    if (first! >= timer.batchMs || repeats >= 4096) break;
    repeats = Math.min(
      4096,
      Math.ceil(repeats * Math.max(2, Math.min(16, (1.5 * timer.batchMs) / Math.max(first!, 1e-3)))),
    );
  }
  const batches = Array.from({ length: ROUNDS }, () => ({ dispatches, sizes, repeats }));
  return Math.min(...(await timer.time(batches, noWait))) / repeats;
}

/** Of what a call must read and write: its weights, its activations, and as much of the caches as is in use. */
function bytesOf(
  { kernel, buffers }: KernelCall,
  { contextLength, decode, resolve }: TimedProgram,
  past: number,
): number {
  const positions = kernel.key.startsWith('attention') ? past + 1 : 1;
  return buffers.reduce((sum, reference) => {
    if (reference.kind === 'value') return sum + decode.valueBytes(reference.id);
    if (reference.kind === 'matrix' || reference.kind === 'vector') return sum + resolve(reference).buffer.size;
    if (reference.kind === 'state') return sum + (resolve(reference).buffer.size * positions) / contextLength;
    return sum;
  }, 0);
}

/** Of products and attention; what else there is counts for nothing beside them. */
function flopsOf(key: string, past: number): number {
  const field = (name: string): number => Number(new RegExp(` ${name}=(\\d+)`).exec(key)?.[1] ?? NaN);
  if (key.startsWith('matvec')) return 2 * field('rows') * field('columns');
  if (key.startsWith('attentionDecode')) {
    const window = field('window');
    return 4 * field('heads') * field('headDim') * (window <= past ? window : past + 1);
  }
  return 0;
}
