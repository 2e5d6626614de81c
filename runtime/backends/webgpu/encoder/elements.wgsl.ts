// Kernels of one thread a number of the output: WGSL statements around which `elements` puts the index arithmetic.

import type { Activation, ConvGeometry } from '../../../graph/types.ts';
import { type Binding, type Kernel, spread, STEP_BINDING, type Variant } from '../kernels/kernel.ts';
import { rowCount, type Rows, rowsExpression } from '../kernels/rows.ts';

const WORKGROUP_SIZE = 64;

/** A kernel whose text a function writes from the fields of its variant; strings, numbers and booleans only. */
export interface ElementsVariant extends Variant {
  rows: Rows;
  columns: number;
}

/** A WGSL f32 literal. */
export function float(value: number): string {
  const text = String(value);
  return /[.e]/.test(text) ? `${text}f` : `${text}.0f`;
}

/** Storage bindings that are read, then the one that is written. */
export function storage(...names: readonly string[]): Binding[] {
  const result = names.length - 1;
  return [
    STEP_BINDING,
    ...names.map((name, i): Binding => {
      const isInteger = ['ids', 'ranges', 'spans', 'buckets'].includes(name);
      return { name, access: i === result ? 'write' : 'read', type: isInteger ? 'array<i32>' : 'array<f32>' };
    }),
  ];
}

/** `main` around statements that use `index`, `row` and `column` of the output and write `result[index]`. */
export function elements({ rows, columns }: ElementsVariant, statements: string, functions = ''): string {
  return `${functions}
@compute @workgroup_size(${WORKGROUP_SIZE})
fn main(
  @builtin(workgroup_id) workgroup: vec3<u32>,
  @builtin(num_workgroups) workgroupCount: vec3<u32>,
  @builtin(local_invocation_index) thread: u32
) {
  let index = (workgroup.y * workgroupCount.x + workgroup.x) * ${WORKGROUP_SIZE}u + thread;
  if (index >= ${rowsExpression(rows)} * ${columns}u) {
    return;
  }
  let row = index / ${columns}u;
  let column = index % ${columns}u;
  ${statements}
}`;
}

function elementsKernel<V extends ElementsVariant>(
  name: V['kernel'],
  bindings: (variant: V) => Binding[],
  wgsl: (variant: V) => string,
): Kernel<V> {
  return {
    name,
    bindings,
    wgsl,
    workgroups: ({ rows, columns }, sizes) => spread(Math.ceil((rowCount(rows, sizes) * columns) / WORKGROUP_SIZE)),
  };
}

/** erf by Abramowitz and Stegun's 7.1.26 (error below 1.5e-7), in the form of erfc, so that small results keep their digits. */
const GELU = `
fn gelu(x: f32) -> f32 {
  let z = abs(x) * 0.7071067811865476;
  let t = 1.0 / (1.0 + 0.3275911 * z);
  let y = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
  let half = 0.5 * x * y * exp(-min(z * z, 80.0));
  return select(x - half, half, x < 0.0);
}`;

/** exp beyond f32 is undefined in WGSL: arguments are clamped where the result no longer changes. */
const ACTIVATIONS: Readonly<Record<Activation, string>> = {
  gelu: 'gelu(x)',
  'gelu-tanh': 'x * sigmoid(2.0 * 0.7978845608028654 * (x + 0.044715 * x * x * x))',
  'gelu-quick': 'x * sigmoid(1.702 * x)',
  silu: 'x * sigmoid(x)',
  relu: 'max(x, 0.0)',
  tanh: '2.0 * sigmoid(2.0 * x) - 1.0',
  sigmoid: 'sigmoid(x)',
};

const SIGMOID = `
fn sigmoid(x: f32) -> f32 {
  return 1.0 / (1.0 + exp(-clamp(x, -80.0, 80.0)));
}`;

export interface ActivationVariant extends ElementsVariant {
  kernel: 'activation';
  activation: Activation;
}

export const activationKernel = elementsKernel<ActivationVariant>(
  'activation',
  () => storage('x', 'result'),
  (variant) =>
    elements(variant, `let x = x[index];\n  result[index] = ${ACTIVATIONS[variant.activation]};`, GELU + SIGMOID),
);

type Plain<Name extends string> = ElementsVariant & { kernel: Name };

export const gatedGeluKernel = elementsKernel<Plain<'gatedGelu'>>(
  'gatedGelu',
  () => storage('x', 'result'),
  (variant) =>
    elements(
      variant,
      `let at = row * ${2 * variant.columns}u + column;
  result[index] = gelu(x[at]) * x[at + ${variant.columns}u];`,
      GELU,
    ),
);

export const sumKernel = elementsKernel<Plain<'sum'>>(
  'sum',
  () => storage('x', 'other', 'result'),
  (variant) => elements(variant, 'result[index] = x[index] + other[index];'),
);

export const pickKernel = elementsKernel<Plain<'pick'>>(
  'pick',
  () => storage('x', 'ids', 'result'),
  (variant) => elements(variant, `result[index] = x[u32(ids[row]) * ${variant.columns}u + column];`),
);

export interface RotateVariant extends ElementsVariant {
  kernel: 'rotate';
  heads: number;
  headDim: number;
}

export const rotateKernel = elementsKernel<RotateVariant>(
  'rotate',
  () => storage('x', 'rotary', 'result'),
  (variant) => {
    const { heads, headDim } = variant;
    const half = headDim / 2;
    return elements(
      variant,
      `if (column >= ${heads * headDim}u) {
    result[index] = x[index];
    return;
  }
  let place = column % ${headDim}u;
  let isFirst = place < ${half}u;
  let pair = place % ${half}u;
  let cosine = rotary[row * ${headDim}u + pair];
  let sine = rotary[row * ${headDim}u + ${half}u + pair];
  let other = x[select(index - ${half}u, index + ${half}u, isFirst)];
  result[index] = x[index] * cosine + select(other, -other, isFirst) * sine;`,
    );
  },
);

export const meanRowsKernel = elementsKernel<Plain<'meanRows'>>(
  'meanRows',
  () => storage('x', 'ranges', 'result'),
  (variant) =>
    elements(
      variant,
      `let first = ranges[2u * row];
  let end = ranges[2u * row + 1u];
  var sum = 0.0;
  for (var i = first; i < end; i++) {
    sum += x[u32(i) * ${variant.columns}u + column];
  }
  result[index] = sum / f32(max(end - first, 1));`,
    ),
);

export interface ScaleColumnsVariant extends ElementsVariant {
  kernel: 'scaleColumns';
  factor: number;
  hasWeight: boolean;
}

export const scaleColumnsKernel = elementsKernel<ScaleColumnsVariant>(
  'scaleColumns',
  ({ hasWeight }) => (hasWeight ? storage('x', 'weight', 'result') : storage('x', 'result')),
  (variant) => {
    const scale = variant.hasWeight ? ' * weight[column]' : '';
    return elements(variant, `result[index] = x[index] * ${float(variant.factor)}${scale};`);
  },
);

export interface TableRowsVariant extends ElementsVariant {
  kernel: 'tableRows';
  tableRows: number;
  isAdded: boolean;
}

export const tableRowsKernel = elementsKernel<TableRowsVariant>(
  'tableRows',
  ({ isAdded }) => (isAdded ? storage('x', 'weight', 'result') : storage('weight', 'result')),
  (variant) => {
    const entry = `weight[index % ${variant.tableRows * variant.columns}u]`;
    return elements(variant, `result[index] = ${variant.isAdded ? `x[index] + ${entry}` : entry};`);
  },
);

export interface InsertRowsVariant extends ElementsVariant {
  kernel: 'insertRows';
  tableRows: number;
  every: number;
  at: number;
}

export const insertRowsKernel = elementsKernel<InsertRowsVariant>(
  'insertRows',
  () => storage('x', 'weight', 'result'),
  (variant) => {
    const { tableRows, every, at, columns } = variant;
    return elements(
      variant,
      `let group = row / ${tableRows + every}u;
  let place = row % ${tableRows + every}u;
  if (place >= ${at}u && place < ${at + tableRows}u) {
    result[index] = weight[(place - ${at}u) * ${columns}u + column];
    return;
  }
  let source = group * ${every}u + select(place - ${tableRows}u, place, place < ${at}u);
  result[index] = x[source * ${columns}u + column];`,
    );
  },
);

export interface ConcatVariant extends ElementsVariant {
  kernel: 'concatColumns';
  first: number;
}

export const concatKernel = elementsKernel<ConcatVariant>(
  'concatColumns',
  () => storage('x', 'other', 'result'),
  (variant) => {
    const { first, columns } = variant;
    return elements(
      variant,
      `if (column < ${first}u) {
    result[index] = x[row * ${first}u + column];
  } else {
    result[index] = other[row * ${columns - first}u + column - ${first}u];
  }`,
    );
  },
);

/** A kernel's geometry as fields of a variant; all are numbers in the text. */
export interface ImageFields extends ConvGeometry {
  channels: number;
  outHeight: number;
  outWidth: number;
}

/** The statements that find the output's pixel: `outX`, `outY`, `image`. */
export function pixelOf(row: string, { outHeight, outWidth }: Pick<ImageFields, 'outHeight' | 'outWidth'>): string {
  return `let outX = ${row} % ${outWidth}u;
  let outY = (${row} / ${outWidth}u) % ${outHeight}u;
  let image = ${row} / ${outWidth * outHeight}u;`;
}

export interface UnfoldVariant extends ElementsVariant, ImageFields {
  kernel: 'unfold';
}

export const unfoldKernel = elementsKernel<UnfoldVariant>(
  'unfold',
  () => storage('x', 'result'),
  (variant) => {
    const { height, width, kernelHeight, kernelWidth, stride, padding, dilation, channels } = variant;
    const area = kernelHeight * kernelWidth;
    return elements(
      variant,
      `${pixelOf('row', variant)}
  let channel = column / ${area}u;
  let tap = column % ${area}u;
  let y = i32(outY * ${stride}u + (tap / ${kernelWidth}u) * ${dilation}u) - ${padding};
  let at = i32(outX * ${stride}u + (tap % ${kernelWidth}u) * ${dilation}u) - ${padding};
  if (y < 0 || y >= ${height} || at < 0 || at >= ${width}) {
    result[index] = 0.0;
    return;
  }
  result[index] = x[((image * ${height}u + u32(y)) * ${width}u + u32(at)) * ${channels}u + channel];`,
    );
  },
);

export interface GroupedConvVariant extends ElementsVariant, ImageFields {
  kernel: 'groupedConv' | 'transposedConv';
  groups: number;
  hasBias: boolean;
}

const convBindings = ({ hasBias }: { hasBias: boolean }): Binding[] =>
  hasBias ? storage('x', 'weight', 'bias', 'result') : storage('x', 'weight', 'result');

/** Few channels a group: a thread sums an output alone. The weight is [features, channels / groups, area]. */
export const groupedConvKernel = elementsKernel<GroupedConvVariant>('groupedConv', convBindings, (variant) => {
  const { height, width, kernelHeight, kernelWidth, stride, padding, dilation, channels, groups, columns } = variant;
  const groupChannels = channels / groups;
  return elements(
    variant,
    `${pixelOf('row', variant)}
  let firstChannel = (column / ${columns / groups}u) * ${groupChannels}u;
  var sum = ${variant.hasBias ? 'bias[column]' : '0.0'};
  for (var tap = 0u; tap < ${kernelHeight * kernelWidth}u; tap++) {
    let y = i32(outY * ${stride}u + (tap / ${kernelWidth}u) * ${dilation}u) - ${padding};
    let at = i32(outX * ${stride}u + (tap % ${kernelWidth}u) * ${dilation}u) - ${padding};
    if (y < 0 || y >= ${height} || at < 0 || at >= ${width}) {
      continue;
    }
    let pixel = ((image * ${height}u + u32(y)) * ${width}u + u32(at)) * ${channels}u + firstChannel;
    for (var c = 0u; c < ${groupChannels}u; c++) {
      sum += x[pixel + c] * weight[(column * ${groupChannels}u + c) * ${kernelHeight * kernelWidth}u + tap];
    }
  }
  result[index] = sum;`,
  );
});

/** Gathered: an output asks which inputs reach it. The weight is [channels, features / groups, area]. */
export const transposedConvKernel = elementsKernel<GroupedConvVariant>('transposedConv', convBindings, (variant) => {
  const { height, width, kernelHeight, kernelWidth, stride, padding, dilation, channels, groups, columns } = variant;
  const groupChannels = channels / groups;
  const groupFeatures = columns / groups;
  const area = kernelHeight * kernelWidth;
  return elements(
    variant,
    `${pixelOf('row', variant)}
  let firstChannel = (column / ${groupFeatures}u) * ${groupChannels}u;
  var sum = ${variant.hasBias ? 'bias[column]' : '0.0'};
  for (var tap = 0u; tap < ${area}u; tap++) {
    let y = i32(outY + ${padding}u) - i32((tap / ${kernelWidth}u) * ${dilation}u);
    let at = i32(outX + ${padding}u) - i32((tap % ${kernelWidth}u) * ${dilation}u);
    if (y < 0 || at < 0 || y % ${stride} != 0 || at % ${stride} != 0 || y / ${stride} >= ${height} || at / ${stride} >= ${width}) {
      continue;
    }
    let pixel = ((image * ${height}u + u32(y / ${stride})) * ${width}u + u32(at / ${stride})) * ${channels}u;
    for (var c = 0u; c < ${groupChannels}u; c++) {
      let channel = firstChannel + c;
      sum += x[pixel + channel] * weight[(channel * ${groupFeatures}u + column % ${groupFeatures}u) * ${area}u + tap];
    }
  }
  result[index] = sum;`,
  );
});

export interface UpsampleVariant extends ElementsVariant {
  kernel: 'upsample';
  height: number;
  width: number;
  scale: number;
  mode: 'nearest' | 'bilinear';
}

export const upsampleKernel = elementsKernel<UpsampleVariant>(
  'upsample',
  () => storage('x', 'result'),
  (variant) => {
    const { height, width, scale, mode, columns } = variant;
    const pixel = pixelOf('row', { outHeight: height * scale, outWidth: width * scale });
    const at = (y: string, x: string) => `x[((image * ${height}u + ${y}) * ${width}u + ${x}) * ${columns}u + column]`;
    if (mode === 'nearest')
      return elements(variant, `${pixel}\n  result[index] = ${at(`outY / ${scale}u`, `outX / ${scale}u`)};`);
    return elements(
      variant,
      `${pixel}
  let yPlace = max(0.0, (f32(outY) + 0.5) / ${float(scale)} - 0.5);
  let xPlace = max(0.0, (f32(outX) + 0.5) / ${float(scale)} - 0.5);
  let y0 = u32(yPlace);
  let x0 = u32(xPlace);
  let y1 = min(y0 + 1u, ${height - 1}u);
  let x1 = min(x0 + 1u, ${width - 1}u);
  let upper = mix(${at('y0', 'x0')}, ${at('y0', 'x1')}, xPlace - f32(x0));
  let lower = mix(${at('y1', 'x0')}, ${at('y1', 'x1')}, xPlace - f32(x0));
  result[index] = mix(upper, lower, yPlace - f32(y0));`,
    );
  },
);
