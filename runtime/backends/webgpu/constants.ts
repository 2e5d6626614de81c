// Uniforms that never change, such as the sizes of a matrix product: all distinct ones in one buffer.

import { type BufferLedger } from './buffers.ts';
import type { BufferReference } from './kernel-calls.ts';

/** WebGPU's largest minUniformBufferOffsetAlignment. */
const ALIGNMENT_BYTES = 256;

export class ConstantPool {
  readonly #ledger: BufferLedger;
  readonly #indexOf = new Map<string, number>();
  #buffer: GPUBuffer | undefined;

  constructor(ledger: BufferLedger) {
    this.#ledger = ledger;
  }

  /** Takes all the constants among the references. */
  async allocate(references: readonly BufferReference[]): Promise<void> {
    const distinct: (readonly number[])[] = [];
    for (const reference of references) {
      if (reference.kind !== 'constants' || this.#indexOf.has(keyOf(reference.words))) continue;
      this.#indexOf.set(keyOf(reference.words), distinct.length);
      distinct.push(reference.words);
    }
    const contents = new Uint32Array((distinct.length * ALIGNMENT_BYTES) / 4);
    distinct.forEach((words, index) => contents.set(words, (index * ALIGNMENT_BYTES) / 4));
    const bytes = new Uint8Array(contents.buffer);
    this.#buffer = await this.#ledger.createWith('other', 'constants', bytes, GPUBufferUsage.UNIFORM);
  }

  get(words: readonly number[]): GPUBufferBinding {
    const index = this.#indexOf.get(keyOf(words))!;
    return { buffer: this.#buffer!, offset: index * ALIGNMENT_BYTES, size: Math.ceil(words.length / 4) * 16 };
  }
}

function keyOf(words: readonly number[]): string {
  return words.join(' ');
}
