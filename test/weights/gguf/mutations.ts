// Seeded ways to damage a GGUF file: in its form, entry by entry, and in its bytes.

import type { Random } from '../../support/random.ts';
import { string, tinyLlama, u32, type GgufSpec, type Tensor, type Value } from './gguf-file.ts';

const hostileCounts = [
  0,
  1,
  2,
  3,
  31,
  33,
  255,
  256,
  65_535,
  2 ** 22 + 1,
  2 ** 31,
  2 ** 32 - 1,
  2 ** 53,
  2 ** 63,
  2 ** 64 - 1,
];

/** Changes that keep the file's form, so that what lies behind it is reached. */
export function mutateSpec(random: Random): GgufSpec {
  const spec = tinyLlama();
  const metadata = [...spec.metadata!];
  const tensors = [...spec.tensors!];
  const pick = <T>(list: readonly T[]): T => list[random.integer(0, list.length - 1)]!;
  const count = (): number => pick(hostileCounts);
  const result: { -readonly [Key in keyof GgufSpec]: GgufSpec[Key] } = { metadata, tensors };
  for (let changes = random.integer(1, 3); changes > 0; changes--) {
    const m = random.integer(0, metadata.length - 1);
    const t = random.integer(0, tensors.length - 1);
    const [key, value] = metadata[m]!;
    const tensor = tensors[t]!;
    switch (random.integer(0, 12)) {
      case 0:
        metadata[m] = [key, mutateValue(value, random, count)];
        break;
      case 1:
        metadata[m] = [
          key,
          pick<Value>([u32(count()), string('llama'), { type: 'bool', value: 1 }, { type: 'f32', value: NaN }]),
        ];
        break;
      case 2:
        metadata.splice(m, 1);
        break;
      case 3:
        metadata.push(pick([metadata[m]!, ['general.alignment', u32(count())], ['split.count', u32(count())]]));
        break;
      case 4:
        metadata[m] = [pick(['', '__proto__', 'general.architecture', 'llama.unknown', `llama.${key}`]), value];
        break;
      case 5:
        tensors[t] = {
          ...tensor,
          type: pick([0, 1, 2, 3, 6, 7, 8, 10, 11, 12, 13, 14, 20, 24, 30, 36, 39, 99, 2 ** 31]),
        };
        break;
      case 6:
        tensors[t] = {
          ...tensor,
          dims: pick([[], [count()], [count(), count()], [1, 1, 1, 1, 1], [32, 32, 1, 1], [2 ** 32, 2 ** 32]]),
        };
        break;
      case 7:
        tensors[t] = { ...tensor, offset: pick([count(), 32 * random.integer(0, 1000), 1]) };
        break;
      case 8:
        tensors[t] = {
          ...tensor,
          name: pick(['', 'blk.1.ffn_up.weight', 'rope_freqs.weight', tensors[0]!.name, 'x'.repeat(300)]),
        };
        break;
      case 9:
        tensors.splice(t, 1);
        break;
      case 10:
        result.tensorCount = count();
        break;
      case 11:
        result.entryCount = count();
        break;
      default:
        tensors[t] = { ...tensor, bytes: randomBytes(tensor, random) };
    }
    if (metadata.length === 0 || tensors.length === 0) break;
  }
  return result;
}

function mutateValue(value: Value, random: Random, count: () => number): Value {
  if (value.type === 'string') return { ...value, value: value.value.slice(random.integer(0, value.value.length)) };
  if (value.type !== 'array') return { ...value, value: count() };
  const list = [...value.value];
  const i = random.integer(0, Math.max(0, list.length - 1));
  if (random.boolean()) list.splice(i, 1);
  else list[i] = value.of === 'string' ? ['', 'a', 'a b c', '\u0000', '__proto__'][random.integer(0, 4)]! : count();
  return { ...value, value: list };
}

export function randomBytes(tensor: Tensor, random: Random): Uint8Array {
  return Uint8Array.from(tensor.bytes, () => random.integer(0, 255));
}

export function mutateBytes(file: Uint8Array, random: Random): Uint8Array {
  const at = (length: number): number => random.integer(0, length - 1);
  switch (random.integer(0, 4)) {
    case 0:
      return file.slice(0, at(file.length + 1));
    case 1: {
      const copy = file.slice();
      for (let flips = random.integer(1, 4); flips > 0; flips--) copy[at(copy.length)]! ^= 1 << at(8);
      return copy;
    }
    case 2: {
      // A count or a length in the header becomes another one.
      const copy = file.slice();
      const wide = BigInt.asUintN(64, BigInt(Math.trunc(hostileCounts[at(hostileCounts.length)]!)));
      new DataView(copy.buffer).setBigUint64(at(Math.min(1500, copy.length) - 8), wide, true);
      return copy;
    }
    case 3: {
      const from = at(file.length);
      const removed = random.integer(1, 40);
      const copy = new Uint8Array(Math.max(from, file.length - removed));
      copy.set(file.subarray(0, from));
      copy.set(file.subarray(Math.min(file.length, from + removed)), from);
      return copy;
    }
    default: {
      const copy = file.slice();
      const from = at(copy.length);
      copy.copyWithin(at(copy.length), from, Math.min(copy.length, from + 64));
      return copy;
    }
  }
}
