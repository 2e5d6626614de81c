// Runs one kernel on buffers that betray it: whatever it may not read is NaN, outputs are NaN before, and behind and before
// every operand lie guard bytes that are inside of the binding (behind) or of the buffer (before), so that writing past an end is seen
// rather than clamped by the browser.

import { WpError } from '../../runtime/errors.ts';
import { f16BitsToF32 } from '../../runtime/half.ts';
import type { PipelineCache } from '../../runtime/backends/webgpu/pipelines.ts';
import type { Operand, PreparedKernel } from './kernel-case.ts';

const GUARD_BYTES = 256;
/** NaN as f32, and as two f16. */
const POISON = 0x7fc07fc0;

/** Returns what is wrong, a sentence each; nothing when all is well. */
export async function runKernel(
  device: GPUDevice,
  pipelines: PipelineCache,
  { kernel, sizes, operands }: PreparedKernel,
): Promise<string[]> {
  if (kernel.bindings.length !== operands.length + 1) {
    throw new WpError('internal', `${kernel.key}: ${operands.length} operands for ${kernel.bindings.length} bindings.`);
  }
  const pipeline = await pipelines.get(kernel);
  const step = uniform(device, new Uint32Array([sizes.tokens, sizes.past, sizes.outputs, 0]));
  const buffers = operands.map((operand, i) => {
    if (kernel.bindings[i + 1]!.access !== 'uniform') return guarded(device, operand);
    if (!('input' in operand)) throw new WpError('internal', `${kernel.key}: a uniform must be an input.`);
    return uniform(device, operand.input);
  });
  const bindGroup = device.createBindGroup({
    layout: pipelines.layout(kernel.bindings),
    entries: [
      { binding: 0, resource: { buffer: step } },
      ...operands.map((_, i) => {
        const isUniform = kernel.bindings[i + 1]!.access === 'uniform';
        return { binding: i + 1, resource: { buffer: buffers[i]!, offset: isUniform ? 0 : GUARD_BYTES } };
      }),
    ],
  });
  device.pushErrorScope('validation');
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  pass.setPipeline(pipeline);
  pass.setBindGroup(0, bindGroup);
  pass.dispatchWorkgroups(...kernel.workgroups(sizes));
  pass.end();
  const written = operands.flatMap((operand, i) => {
    if ('input' in operand) return [];
    const staging = device.createBuffer({
      size: buffers[i]!.size,
      usage: GPUBufferUsage.COPY_DST | GPUBufferUsage.MAP_READ,
    });
    encoder.copyBufferToBuffer(buffers[i]!, 0, staging, 0, staging.size);
    return [{ name: kernel.bindings[i + 1]!.name, operand, staging }];
  });
  device.queue.submit([encoder.finish()]);
  const invalid = await device.popErrorScope();
  if (invalid) return [invalid.message];
  const problems: string[] = [];
  for (const { name, operand, staging } of written) {
    await staging.mapAsync(GPUMapMode.READ);
    const contents = staging.getMappedRange().slice(0);
    problems.push(...check(operand, contents).map((problem) => `${name}: ${problem}`));
    staging.destroy();
  }
  for (const buffer of [...buffers, step]) buffer.destroy();
  return problems;
}

function uniform(device: GPUDevice, words: ArrayBufferView): GPUBuffer {
  const size = Math.ceil(words.byteLength / 16) * 16;
  const buffer = device.createBuffer({ size, usage: GPUBufferUsage.UNIFORM, mappedAtCreation: true });
  new Uint8Array(buffer.getMappedRange()).set(bytesOf(words));
  buffer.unmap();
  return buffer;
}

function guarded(device: GPUDevice, operand: Operand): GPUBuffer {
  const initial = 'input' in operand ? operand.input : 'halvesBefore' in operand ? operand.halvesBefore : undefined;
  const bytes = Math.ceil(byteLength(operand) / 16) * 16;
  const buffer = device.createBuffer({
    size: bytes + 2 * GUARD_BYTES,
    usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC,
    mappedAtCreation: true,
  });
  const mapped = buffer.getMappedRange();
  new Uint32Array(mapped).fill(POISON);
  if (initial) new Uint8Array(mapped).set(bytesOf(initial), GUARD_BYTES);
  buffer.unmap();
  return buffer;
}

function byteLength(operand: Operand): number {
  if ('input' in operand) return operand.input.byteLength;
  return 'output' in operand ? operand.output.byteLength : operand.halvesAfter.byteLength;
}

function check(operand: Operand, contents: ArrayBuffer): string[] {
  const bytes = byteLength(operand);
  const words = new Uint32Array(contents);
  const [first, end] = [GUARD_BYTES / 4, Math.ceil((GUARD_BYTES + bytes) / 4)];
  // An odd number of halves leaves half a word of poison, which the last half's check below does not see.
  const touched = words.findIndex((word, i) => (i < first || i >= end) && word !== POISON);
  const problems = touched < 0 ? [] : [`a guard was written, ${touched * 4 - GUARD_BYTES} bytes from the start`];
  if ('output' in operand) {
    const actual = new Float32Array(contents, GUARD_BYTES, operand.output.length);
    return [...problems, ...compareFloats(actual, operand.output, operand.tolerance)];
  }
  if ('halvesAfter' in operand) {
    const actual = new Uint16Array(contents, GUARD_BYTES, operand.halvesAfter.length);
    return [...problems, ...compareHalves(actual, operand.halvesAfter)];
  }
  return problems;
}

function compareFloats(actual: Float32Array, expected: Float32Array, tolerance: number): string[] {
  const written = expected.filter((x) => !Number.isNaN(x));
  const meanSquare = written.reduce((sum, x) => sum + x * x, 0) / written.length;
  const allowed = tolerance * Math.sqrt(meanSquare);
  // Not `>`: a NaN that should be a number must fail.
  const isRight = (x: number, y: number): boolean => (Number.isNaN(x) ? Number.isNaN(y) : Math.abs(y - x) <= allowed);
  const wrong = expected.findIndex((x, i) => !isRight(x, actual[i]!));
  if (wrong < 0) return [];
  return [`[${wrong}] of ${expected.length} is ${actual[wrong]}, expected ${expected[wrong]} ± ${allowed}`];
}

function compareHalves(actual: Uint16Array, expected: Uint16Array): string[] {
  const wrong = expected.findIndex((bits, i) => bits !== actual[i] && !isNeighbour(bits, actual[i]!));
  if (wrong < 0) return [];
  return [`half [${wrong}] is ${f16BitsToF32(actual[wrong]!)}, expected ${f16BitsToF32(expected[wrong]!)}`];
}

// What was not to be written is poison before and after, and equal; a NaN is no one's neighbour.
function isNeighbour(expected: number, actual: number): boolean {
  const [x, y] = [f16BitsToF32(expected), f16BitsToF32(actual)];
  return Math.abs(x - y) <= Math.max(2 ** -10 * Math.abs(x), 2 ** -20);
}

function bytesOf({ buffer, byteOffset, byteLength: length }: ArrayBufferView): Uint8Array {
  return new Uint8Array(buffer, byteOffset, length);
}
