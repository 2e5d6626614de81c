// Weights as constants of a graph: numbers, or, where they are to stay as small as they were planned, codes of 4 and 8 bits with
// their scales behind `dequantizeLinear`, else f16 behind a cast. On a CPU numbers are f32: there the codes would be taken apart
// again in each run, which was measured to take several times as long as the product.

import { fromF16 } from '../../half.ts';
import { isQuantized, type WeightFormat } from '../../quantization/formats.ts';
import { type CheckedBuilder, realBytes } from './checked-builder.ts';
import type { MLDataType, MLOperand } from './ml-api.ts';
import type { WeightStore } from './weight-store.ts';

export interface ConstantOptions {
  /** Keep the planned bits where the context can. */
  isCompact: boolean;
  /** Stand-ins instead of constants: for a graph that is checked before its weights are there. */
  isDry: boolean;
}

type Storage = 'real' | 'float16' | 'int4' | 'uint4' | 'int8';

/** How a matrix of this format is stored in graphs of this builder. */
export function storageOf(b: CheckedBuilder, format: WeightFormat, isCompact: boolean): Storage {
  if (!isCompact) return 'real';
  const isPlainBlocks = isQuantized(format) && format.scale === 'f16' && format.offset === 'symmetric';
  const types: MLDataType[] = !isPlainBlocks
    ? []
    : String(format.planes) === '4'
      ? ['int4', 'uint4']
      : String(format.planes) === '8'
        ? ['int8']
        : [];
  for (const dataType of types) {
    const codes = { dataType, rank: 2 };
    const scale = { dataType: b.real, rank: 2 };
    const isThere =
      b.support.hasConstant(dataType, 2) &&
      b.support.has('dequantizeLinear', { input: codes, scale, zeroPoint: codes, output: scale });
    if (isThere) return dataType as Storage;
  }
  const isHalfThere =
    b.real === 'float32' &&
    b.support.hasConstant('float16', 2) &&
    b.support.has('cast', { input: { dataType: 'float16', rank: 2 }, output: { dataType: b.real, rank: 2 } });
  return isHalfThere ? 'float16' : 'real';
}

export class Constants {
  /** Of all constants of the graph. */
  bytes = 0;
  readonly #known = new Map<string, MLOperand>();
  #count = 0;

  constructor(
    private readonly b: CheckedBuilder,
    private readonly store: WeightStore,
    private readonly options: ConstantOptions,
  ) {}

  /** How many numbers a weight has. */
  length(name: string): number {
    return this.store.shape(name).reduce((product, size) => product * size, 1);
  }

  /** A matrix [rows, columns] in the graph's numbers. */
  matrix(name: string): MLOperand {
    return this.#once(name, () => {
      const shape = this.store.shape(name);
      const storage = storageOf(this.b, this.store.format(name), this.options.isCompact);
      if (storage === 'real') return this.#numbers(shape, () => this.store.numbers(name));
      if (storage === 'float16') {
        const half = this.#constant('float16', shape, () => realBytes(this.store.numbers(name), 'float16'));
        return this.b.cast(half, this.b.real);
      }
      return this.#dequantized(name, shape, storage);
    });
  }

  vector(name: string): MLOperand {
    return this.#once(name, () => this.#numbers(this.store.shape(name), () => this.store.numbers(name)));
  }

  /** A weight's numbers in another order or shape. `use` tells one arrangement of a weight from another. */
  arranged(
    name: string,
    use: string,
    shape: readonly number[],
    arrange: (numbers: Float32Array<ArrayBuffer>) => Float32Array<ArrayBuffer> = (numbers) => numbers,
  ): MLOperand {
    return this.#once(`${name} ${use}`, () => this.#numbers(shape, () => arrange(this.store.numbers(name))));
  }

  #once(key: string, make: () => MLOperand): MLOperand {
    let operand = this.#known.get(key);
    if (!operand) this.#known.set(key, (operand = make()));
    return operand;
  }

  #dequantized(name: string, shape: readonly number[], storage: 'int4' | 'uint4' | 'int8'): MLOperand {
    const format = this.store.format(name);
    if (!isQuantized(format)) throw new TypeError(`${name} has no codes.`);
    const scaleShape = [shape[0]!, shape[1]! / format.groupSize];
    const groups = scaleShape[0]! * scaleShape[1]!;
    const packed = () => this.store.packed(name);
    const codes = this.#constant(storage, shape, () =>
      storage === 'int8' ? packed().planes[0]!.slice() : nibblesInOrder(packed().planes[0]!, storage === 'int4'),
    );
    const scales = this.#numbers(scaleShape, () => fromF16(packed().scales) as Float32Array<ArrayBuffer>);
    const zeroPoints = this.#constant(storage, scaleShape, () =>
      storage === 'int8'
        ? new Uint8Array(groups)
        : new Uint8Array(Math.ceil(groups / 2)).fill(storage === 'uint4' ? 0x88 : 0),
    );
    return this.b.dequantize(codes, scales, zeroPoints);
  }

  #numbers(shape: readonly number[], numbers: () => Float32Array<ArrayBuffer>): MLOperand {
    return this.#constant(this.b.real, shape, () => realBytes(numbers(), this.b.real));
  }

  #constant(dataType: MLDataType, shape: readonly number[], bytes: () => Uint8Array<ArrayBuffer>): MLOperand {
    if (this.options.isDry) return this.b.input(`weight${this.#count++}`, dataType, shape);
    const data = bytes();
    this.bytes += data.byteLength;
    return this.b.raw.constant({ dataType, shape }, data);
  }
}

/**
 * A plane of 4-bit codes (blocks of 32: low nibbles are columns 0 … 15, high ones 16 … 31) as WebNN wants them, two neighbours
 * a byte, the first in the low nibble. Signed codes are the unsigned ones less 8.
 */
export function nibblesInOrder(plane: Uint8Array, isSigned: boolean): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(plane.length);
  const flip = isSigned ? 0x88 : 0;
  for (let block = 0; block < plane.length; block += 16) {
    for (let i = 0; i < 8; i++) {
      const [a, b] = [plane[block + 2 * i]!, plane[block + 2 * i + 1]!];
      out[block + i] = ((a & 15) | ((b & 15) << 4)) ^ flip;
      out[block + 8 + i] = ((a >> 4) | (b & 0xf0)) ^ flip;
    }
  }
  return out;
}
