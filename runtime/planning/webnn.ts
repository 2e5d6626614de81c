// What is decided for WebNN alone: the device to ask for, and what its compiled graphs take.

import { unreachable } from '../errors.ts';
import type { Graph } from '../graph/types.ts';
import type { Capabilities, WebNnDevice } from '../types.ts';
import type { Reason } from './reason.ts';

/** Compiled shapes that are kept, each with constants of its own: so many, and of so many bytes in all, but for the first. */
const MOST_GRAPHS = 4;
const MOST_CONSTANT_BYTES = 512 * 2 ** 20;

/** The GPU where WebGPU has a real one, else the CPU; an NPU only where it was asked for, since most of them round to f16. */
export function chooseWebNnDevice(
  { webgpu }: Capabilities,
  wish: WebNnDevice | 'auto' = 'auto',
): { device: WebNnDevice; reason: Reason } {
  const because = (device: WebNnDevice, reason: string) => ({ device, reason: { topic: 'device', reason } as const });
  switch (wish) {
    case 'cpu':
    case 'gpu':
    case 'npu':
      return because(wish, `The ${wish.toUpperCase()} was asked for.`);
    case 'auto':
      return webgpu.available && !webgpu.isFallback
        ? because('gpu', `WebNN is asked for the GPU: ${webgpu.description || 'there is one'}.`)
        : because('cpu', 'WebNN is asked for the CPU: no GPU is known.');
    default:
      return unreachable(wish);
  }
}

/** The constants of the graphs that a program keeps, in f32: the most that they take. */
export function webNnConstantBytes(graph: Graph): number {
  const tables = new Set(
    graph.operations.map((operation) => (operation.op === 'embed' ? operation.attributes.weight : '')),
  );
  const numbers = graph.weights
    .filter(({ name }) => !tables.has(name))
    .reduce((sum, { shape }) => sum + shape.reduce((product, size) => product * size, 1), 0);
  const copies = Math.max(1, Math.min(MOST_GRAPHS, Math.floor(MOST_CONSTANT_BYTES / (4 * numbers))));
  return copies * 4 * numbers;
}
