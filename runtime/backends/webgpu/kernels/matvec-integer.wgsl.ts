import { BLOCK, codeBits, FORMATS, type QuantFormat, SUPERBLOCK } from '../../../quantization/formats.ts';
import { activationFunction } from './activation.wgsl.ts';
import { float, repeat } from './kernel.ts';
import { matvecEpilogue } from './matvec-epilogue.wgsl.ts';
import type { MatvecIntegerThreads } from './matvec-integer-threads.ts';
import type { MatvecVariant } from './matvec-variant.ts';
import { finished } from './matvec.wgsl.ts';
import {
  activationMemory,
  activationScale,
  type ActivationShape,
  activationSum,
  activationWord,
  quantizeActivations,
} from './quantize-activations.wgsl.ts';
import { reduceBuiltins, reduceMemory, reduceStatements } from './reduce.wgsl.ts';
import { type ChunkFormat, chunkFormat } from './weight-format.wgsl.ts';
import { scaleFunctions } from './weight-scales.wgsl.ts';

export interface MatvecIntegerVariant
  extends Omit<MatvecVariant, 'kernel' | keyof MatvecIntegerThreads>, MatvecIntegerThreads {
  kernel: 'matvecInteger';
}

function activationShape(
  chunk: ChunkFormat,
  {
    columns,
    workgroupSize,
    normEpsilon,
    reduction,
  }: Pick<MatvecIntegerVariant, 'columns' | 'workgroupSize' | 'normEpsilon' | 'reduction'>,
): ActivationShape {
  const groupColumns = chunk.columns / chunk.scales!.groups;
  const partColumns = Math.min(groupColumns, BLOCK);
  return {
    columns,
    chunkColumns: chunk.columns,
    partColumns,
    workgroupSize,
    hasNorm: normEpsilon !== undefined,
    reduction,
  };
}

/** `lanes` threads a unit of rows; lane l takes chunks l, l + lanes, … of each of its rows. */
export function matvecIntegerWgsl(variant: MatvecIntegerVariant): string {
  const { columns, lanes, rowsPerThread, workgroupSize, reduction, activation, chunksPerStep, unitsPerThread } =
    variant;
  const chunk = chunkFormat(variant.format, columns);
  const kind = codeKind(FORMATS[variant.format] as QuantFormat);
  const activations = activationShape(chunk, variant);
  const { hasNorm } = activations;
  const shape = { reduction, workgroupSize, lanes, values: rowsPerThread + (hasNorm ? 1 : 0) };
  const epilogue = matvecEpilogue(variant);
  const chunks = columns / chunk.columns;
  const isWhole = (step: number): boolean => (step === 0 && chunks >= lanes) || chunks % (lanes * chunksPerStep) === 0;
  const unitsPerWorkgroup = workgroupSize / lanes;
  const each = (text: (row: number, step: number) => string): string =>
    repeat(chunksPerStep, (step) => repeat(rowsPerThread, (row) => text(row, step), '\n    '), '\n    ');
  const atRow = (r: number): string => `let row${r} = ${epilogue.row(r)};`;
  // The chunks of a step from `first` on. A chunk past the end is the last one again, and counts for nothing.
  const indices = (unit: string, first: string): string =>
    `let unit = ${unit};
    ${repeat(rowsPerThread, atRow, ' ')}
    ${repeat(
      chunksPerStep,
      (step) => {
        const index = `${first} + ${step * lanes}u`;
        return `let chunk${step} = ${isWhole(step) ? index : `min(${index}, CHUNKS - 1u)`};`;
      },
      '\n    ',
    )}`;
  const planes = (r: number, step: number): [string, string][] =>
    chunk.planes.map(({ name, suffix }) => [`word${r}_${step}${suffix}`, name]);
  const loads = each((r, step) => {
    const index = `row${r} * CHUNKS + chunk${step}`;
    const words = planes(r, step).map(([word, plane]) => `${word} = ${plane}[${index}];`);
    return `${words.join(' ')} raw${r}_${step} = loadScale(${index});`;
  });
  const declarations = each((r, step) => {
    const types = chunk.planes.map(({ suffix, type }) => `var word${r}_${step}${suffix}: ${type};`);
    return `${types.join(' ')} var raw${r}_${step}: ${chunk.scales!.raw};`;
  });
  // Units past the end are computed as copies of the last one and not written, so that all threads stay together.
  const unitAt = (own: string): string => `min(${own}, UNITS - 1u)`;
  const nextUnit = `ownUnit + ${unitsPerWorkgroup}u`;
  return `
const CHUNKS = ${chunks}u;
const UNITS = ${epilogue.units}u;
${scaleFunctions(chunk.scales, `${(variant.rows * columns) / SUPERBLOCK}u`, 1)}
${activation ? activationFunction(activation, 'f32') : ''}
${reduceMemory(shape)}
${activationMemory(activations)}

fn write(unit: u32, ${repeat(rowsPerThread, (r) => `value${r}: f32`, ', ')}) {
    ${epilogue.write}
}

@compute @workgroup_size(${workgroupSize})
fn main(
  @builtin(workgroup_id) workgroup: vec3<u32>,
  @builtin(num_workgroups) workgroupCount: vec3<u32>,
  @builtin(local_invocation_index) thread: u32${reduceBuiltins(reduction)}
) {
  let lane = thread % ${lanes}u;
  let firstUnit = (workgroup.y * workgroupCount.x + workgroup.x) * ${unitsPerWorkgroup * unitsPerThread}u + thread / ${lanes}u;
  // Weights are asked for ahead: the first ones before the activations are rounded, a unit's before the one before is written.
  ${declarations}
  {
    ${indices(unitAt('firstUnit'), 'lane')}
    ${loads}
  }
  ${quantizeActivations(activations)}
  for (var turn = 0u; turn < ${unitsPerThread}u; turn++) {
  let ownUnit = firstUnit + turn * ${unitsPerWorkgroup}u;
  ${repeat(rowsPerThread, (r) => `var sum${r} = 0.0;`, '\n  ')}
  ${hasNorm ? normSum(rowsPerThread, workgroupSize, lanes) : ''}
  for (var first = lane; first < CHUNKS; first += ${lanes * chunksPerStep}u) {
    ${indices(unitAt('ownUnit'), 'first')}
    ${repeat(
      chunksPerStep,
      (step) => {
        const counts = step === 0 || isWhole(step) ? '' : `if (first + ${step * lanes}u < CHUNKS) `;
        return `${counts}{
      ${sharedStatements(chunk, activations, `chunk${step}`, kind.offset)}
      ${repeat(
        rowsPerThread,
        (r) => {
          const index = `row${r} * CHUNKS + chunk${step}`;
          return rowTerm(chunk, activations, kind, {
            sum: `sum${r}`,
            word: `word${r}_${step}`,
            raw: `raw${r}_${step}`,
            index,
          });
        },
        '\n      ',
      )}
    }`;
      },
      '\n    ',
    )}
    ${
      chunks > lanes * chunksPerStep
        ? `if (first + ${lanes * chunksPerStep}u < CHUNKS) {
      ${indices(unitAt('ownUnit'), `first + ${lanes * chunksPerStep}u`)}
      ${loads}
    }`
        : ''
    }
  }
  ${
    unitsPerThread > 1
      ? `if (turn < ${unitsPerThread - 1}u) {
    ${indices(unitAt(nextUnit), 'lane')}
    ${loads}
  }`
      : ''
  }
  ${reduceStatements(shape)}
  if (lane == 0u && ownUnit < UNITS) {
    let unit = ownUnit;
    ${variant.hasBias ? repeat(rowsPerThread, atRow, ' ') : ''}
    ${hasNorm ? `let inverse = inverseSqrt(sum${rowsPerThread} / ${float(columns)} + ${float(variant.normEpsilon!)});` : ''}
    write(unit, ${repeat(rowsPerThread, (r) => finished(variant, r), ', ')});
  }
  ${unitsPerThread > 1 ? 'workgroupBarrier();' : ''}
  }
}`;
}

/** Each thread's share of Σ x², which the reduction sums over the lanes. */
function normSum(index: number, workgroupSize: number, lanes: number): string {
  return `var sum${index} = 0.0;
  for (var i = lane; i < ${workgroupSize}u; i += ${lanes}u) {
    sum${index} += squares[i];
  }`;
}

/** Parts of a chunk's group: more than one where a group is longer than a block of activations. */
function groupParts(chunk: ChunkFormat, { partColumns }: ActivationShape, group: number): number[] {
  const each = chunk.columns / chunk.scales!.groups / partColumns;
  return Array.from({ length: each }, (_, i) => group * each + i);
}

/** What all rows share of a chunk: its activations, and what the codes leave out of the weights times their sums. */
function sharedStatements(chunk: ChunkFormat, activations: ActivationShape, index: string, offset: number): string {
  const { hasMinimums, groups } = chunk.scales!;
  const parts = chunk.columns / activations.partColumns;
  const sums = (part: number): string => `let total${part} = ${activationSum(activations, part, index)};
      let start${part} = total${part} * ${offset};`;
  const weighted = (group: number): string => {
    const terms = groupParts(chunk, activations, group).map((part) => `f32(total${part}) * unit${part}`);
    return `let sumOfGroup${group} = ${terms.join(' + ')};`;
  };
  return `${repeat(chunk.columns / 4, (i) => `let x${i} = ${activationWord(activations, i, index)};`, '\n      ')}
      ${repeat(parts, (part) => `let unit${part} = ${activationScale(activations, part, index)};`, '\n      ')}
      ${hasMinimums || offset !== 0 ? repeat(parts, sums, '\n      ') : ''}
      ${hasMinimums ? repeat(groups, weighted, '\n      ') : ''}`;
}

/** Names of what a thread loaded of one row. */
interface LoadedChunk {
  sum: string;
  word: string;
  raw: string;
  index: string;
}

function rowTerm(
  chunk: ChunkFormat,
  activations: ActivationShape,
  kind: CodeKind,
  { sum, word, raw, index }: LoadedChunk,
): string {
  const scales = chunk.scales!;
  const words = activations.partColumns / 4;
  const product = (part: number): string => {
    const dots = repeat(
      words,
      (i) => `dot4I8Packed(${codeWord(chunk, kind, word, part * words + i)}, x${part * words + i})`,
      ' + ',
    );
    return `f32(${kind.offset === 0 ? '' : `start${part} + `}${dots}) * unit${part}`;
  };
  const term = (group: number): string => {
    const products = groupParts(chunk, activations, group).map(product).join(' + ');
    const scaled = `(${products}) * ${scales.scale('scale', group)}`;
    return scales.hasMinimums ? `${scaled} + sumOfGroup${group} * ${scales.minimum('scale', group)}` : scaled;
  };
  return `{ let scale = scaleOf(${raw}, ${index}); ${sum} += ${repeat(scales.groups, term, '\n        + ')}; }`;
}

interface CodeKind {
  /** Codes are signed bytes as they lie; any others are unsigned, and smaller than 64. */
  isSigned: boolean;
  /** Added to a code in units of the scale: symmetric formats have their zero in the middle, others a minimum at 0. */
  offset: number;
}

function codeKind(format: QuantFormat): CodeKind {
  const half = 2 ** (codeBits(format) - 1);
  const isSigned = codeBits(format) === 8;
  if (format.offset === 'min') return { isSigned, offset: isSigned ? half : 0 };
  return { isSigned, offset: isSigned ? 0 : -half };
}

// A chunk gives unsigned codes: bytes get their sign back.
function codeWord(chunk: ChunkFormat, { isSigned }: CodeKind, word: string, i: number): string {
  return isSigned ? `(${chunk.codes(word, i)}) ^ 0x80808080u` : chunk.codes(word, i);
}
