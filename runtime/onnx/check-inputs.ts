// The inputs of a run against what the model declares: each mistake is named with what is allowed, before the runtime sees it.

import { WpError } from '../errors.ts';
import type { DeviceTensor, Tensor, TensorInfo, TensorType } from '../tensors.ts';

export type RunInputs = Readonly<Record<string, Tensor | DeviceTensor>>;

const ARRAYS: Readonly<
  Record<Exclude<TensorType, 'string'>, { new (length: number): ArrayLike<unknown>; name: string }>
> = {
  float32: Float32Array,
  float16: Uint16Array,
  float64: Float64Array,
  int8: Int8Array,
  uint8: Uint8Array,
  int16: Int16Array,
  uint16: Uint16Array,
  int32: Int32Array,
  uint32: Uint32Array,
  int64: BigInt64Array,
  uint64: BigUint64Array,
  bool: Uint8Array,
};

/** Throws `invalid-argument` with the actual and the allowed value. */
export function checkInputs(inputs: unknown, expected: readonly TensorInfo[]): asserts inputs is RunInputs {
  if (typeof inputs !== 'object' || inputs === null)
    throw invalid(`The inputs are ${describeKind(inputs)}`, inputs, expected);
  for (const name of Object.keys(inputs)) {
    if (!expected.some((info) => info.name === name)) throw invalid(`The model has no input "${name}"`, name, expected);
  }
  for (const info of expected) {
    const tensor = (inputs as Record<string, unknown>)[info.name];
    if (tensor === undefined) throw invalid(`The input "${info.name}" is missing`, Object.keys(inputs), expected);
    checkTensor(tensor, info);
  }
}

function checkTensor(tensor: unknown, info: TensorInfo): void {
  const { type, dims, data, device } = Object(tensor) as { [key in 'type' | 'dims' | 'data' | 'device']?: unknown };
  if (type !== info.type) throw invalid(`The input "${info.name}" is of type ${JSON.stringify(type)}`, type, [info]);
  if (!Array.isArray(dims) || !dims.every((size) => Number.isSafeInteger(size) && size >= 0)) {
    throw invalid(`The input "${info.name}" has the dims ${JSON.stringify(dims)}`, dims, [info]);
  }
  const sizes = dims as number[];
  if (
    info.dims &&
    (info.dims.length !== sizes.length || info.dims.some((size, i) => typeof size === 'number' && size !== sizes[i]))
  ) {
    throw invalid(`The input "${info.name}" has the shape [${sizes.join(', ')}]`, sizes, [info]);
  }
  if (typeof device === 'number') return;
  const expected = info.type === 'string' ? Array : ARRAYS[info.type];
  if (!(data instanceof expected)) {
    throw invalid(
      `The data of the input "${info.name}" are ${describeKind(data)} and must be of ${expected.name}`,
      describeKind(data),
      [info],
    );
  }
  const count = sizes.reduce((product, size) => product * size, 1);
  const { length } = data as ArrayLike<unknown>;
  if (length !== count) {
    throw invalid(
      `The input "${info.name}" has ${length} numbers, and its shape [${sizes.join(', ')}] stands for ${count}`,
      length,
      [info],
    );
  }
}

/** Throws `invalid-argument` for a name that is no output. */
export function checkOutputs(names: readonly string[] | undefined, outputs: readonly TensorInfo[]): void {
  const unknown = names?.find((name) => !outputs.some((output) => output.name === name));
  if (unknown === undefined) return;
  const allowed = outputs.map(({ name }) => name);
  throw new WpError('invalid-argument', `The model has no output "${unknown}"; it has: ${allowed.join(', ')}.`, '', {
    actual: unknown,
    allowed,
  });
}

function describeKind(value: unknown): string {
  if (value === null || typeof value !== 'object') return value === null ? 'null' : typeof value;
  return (value as object).constructor?.name ?? 'an object';
}

function invalid(what: string, actual: unknown, expected: readonly TensorInfo[]): WpError {
  const allowed = expected.map(describeTensor);
  return new WpError(
    'invalid-argument',
    `${what}. The model takes ${allowed.join('; ')}.`,
    'See model.info.onnx.inputs.',
    {
      actual,
      allowed,
    },
  );
}

/** 'input_ids: int64 [batch, 128]' */
export function describeTensor({ name, type, dims }: TensorInfo): string {
  return `${name}: ${type}${dims ? ` [${dims.map((size) => size ?? '?').join(', ')}]` : ''}`;
}
