// The ONNX files of test/fixtures/onnx, folders made of them for a test, and how errors are held against what they must say.

import assert from 'node:assert/strict';
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { mkdir } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { WpError } from '../../runtime/errors.ts';
import type { Tensor } from '../../runtime/tensors.ts';

const folder = new URL('../fixtures/onnx/', import.meta.url);

export const fixture = (name: string): string => fileURLToPath(new URL(name, folder));
export const bytesOf = (name: string): Uint8Array => new Uint8Array(readFileSync(fixture(name)));

export interface GoldenTensors {
  [name: string]: { dims: number[]; data: number[] };
}

export const goldens = JSON.parse(readFileSync(fixture('goldens.json'), 'utf8')) as {
  products: { inputs: GoldenTensors; outputs: GoldenTensors };
};

/** The golden inputs and outputs of products.onnx. */
export const x: Tensor<'float32'> = {
  type: 'float32',
  dims: goldens.products.inputs['x']!.dims,
  data: Float32Array.from(goldens.products.inputs['x']!.data),
};
export const y = goldens.products.outputs['y']!;

export function assertClose(actual: ArrayLike<number>, expected: ArrayLike<number>, tolerance: number): void {
  assert.equal(actual.length, expected.length);
  for (let i = 0; i < expected.length; i++) {
    assert.ok(Math.abs(actual[i]! - expected[i]!) <= tolerance, `${i}: ${actual[i]} is not ${expected[i]}`);
  }
}

export const failsWith =
  (code: string, message?: RegExp) =>
  (error: unknown): true => {
    assert.ok(error instanceof WpError, String(error));
    assert.equal(error.code, code, error.message);
    if (message) assert.match(`${error.message} ${error.hint}`, message);
    return true;
  };

/** A folder with these files (its name there → where it is now) while `use` runs. */
export async function withFolder<T>(
  files: Readonly<Record<string, string>>,
  use: (folder: string) => Promise<T>,
): Promise<T> {
  const made = await mkdtemp(join(tmpdir(), 'wp-onnx-'));
  try {
    for (const [name, from] of Object.entries(files)) {
      await mkdir(dirname(join(made, name)), { recursive: true });
      await cp(from, join(made, name), { recursive: true });
    }
    return await use(`${made}/`);
  } finally {
    await rm(made, { recursive: true });
  }
}
