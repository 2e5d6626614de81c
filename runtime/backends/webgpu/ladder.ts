// Which variant of a kernel a device gets. Each ladder is ordered data: the first entry whose requirements the device meets
// is taken. What tuning has measured to be faster on this device takes its place: tuning/candidates.ts lists what it tries.

import { WpError } from '../../errors.ts';
import { type FormatName, FORMATS, isQuantized } from '../../quantization/formats.ts';
import { type DeviceProfile, fitsWorkgroup } from './device-profile.ts';
import { attentionDecodeBytes, type AttentionDecodeVariant } from './kernels/attention-decode.wgsl.ts';
import { attentionPrefillMatrixBytes } from './kernels/attention-prefill-matrix-tile.ts';
import type { AttentionPrefillVariant } from './kernels/attention-prefill.wgsl.ts';
import { reductionFor } from './kernels/kernel.ts';
import { matmulWorkgroupBytes } from './kernels/matmul.ts';
import { type MatmulIntegerTile, matmulIntegerWorkgroupBytes } from './kernels/matmul-integer-tile.ts';
import { type MatmulMatrixTile, matmulMatrixWorkgroupBytes, SUBGROUP_SIZE } from './kernels/matmul-matrix-tile.ts';
import type { MatmulVariant } from './kernels/matmul.wgsl.ts';
import { matvecIntegerBytes, type MatvecIntegerThreads } from './kernels/matvec-integer-threads.ts';
import type { MatvecVariant } from './kernels/matvec-variant.ts';
import { chunkFormat } from './kernels/weight-format.wgsl.ts';

export interface Requirements {
  subgroups?: boolean;
  shaderF16?: boolean;
  isSoftware?: boolean;
}

export interface Rung<Configuration> {
  name: string;
  requires: Requirements;
  configuration: Configuration;
}

export function meets(profile: DeviceProfile, { subgroups, shaderF16, isSoftware }: Requirements): boolean {
  return (
    (!subgroups || profile.subgroups !== undefined) &&
    (!shaderF16 || profile.shaderF16) &&
    (!isSoftware || profile.isSoftware)
  );
}

/** The standard, or what was measured to be faster here. */
function tuned<Configuration extends object>(
  profile: DeviceProfile,
  key: string,
  standard: Configuration,
): Configuration {
  return { ...standard, ...profile.tuned?.get(key, standard) };
}

interface MatrixShape {
  format: FormatName;
  rows: number;
  columns: number;
}

const matrixKey = (kernel: string, { format, rows, columns }: MatrixShape): string =>
  `${kernel} ${format} ${rows}×${columns}`;

// ---- matrix × vector ------------------------------------------------------------------------------------------------

export type MatvecConfiguration = Pick<MatvecVariant, 'lanes' | 'rowsPerThread' | 'workgroupSize' | 'reduction'>;

/**
 * Threads that share a row: as many as there are chunks, at most 32. Rows a thread: one where rows are few, since threads
 * must fill the device; more where rows abound, since each reading of the activations then serves several.
 */
export function matvecConfiguration(profile: DeviceProfile, shape: MatrixShape): MatvecConfiguration {
  const { format, rows, columns } = shape;
  const chunks = columns / chunkFormat(format, columns).columns;
  const lanes = Math.min(32, 2 ** Math.ceil(Math.log2(Math.max(chunks, 4))));
  const workgroupSize = Math.min(128, profile.maxInvocationsPerWorkgroup);
  return tuned(profile, matrixKey('matvec', shape), {
    lanes,
    rowsPerThread: rowsPerThread(rows),
    workgroupSize,
    reduction: reductionFor(profile),
  });
}

function rowsPerThread(rows: number): number {
  if (rows >= 16_384) return 4;
  if (rows >= 4_096) return 2;
  return 1;
}

/**
 * Of a product in integers, which stands above the one in floats; undefined where the device has none, or the matrix is not
 * quantised. Rows and units a thread as above: what is shared here is the rounding of the activations too.
 */
export function matvecIntegerConfiguration(
  profile: DeviceProfile,
  shape: MatrixShape,
): MatvecIntegerThreads | undefined {
  const { format, rows, columns } = shape;
  if (!profile.integerDots || profile.isSoftware || !isQuantized(FORMATS[format])) return undefined;
  const chunks = columns / chunkFormat(format, columns).columns;
  const lanes = Math.min(chunks > 32 ? 32 : 16, 2 ** Math.ceil(Math.log2(Math.max(chunks, 4))));
  const threads = {
    lanes,
    rowsPerThread: rowsPerThread(rows),
    workgroupSize: Math.min(256, profile.maxInvocationsPerWorkgroup),
    reduction: reductionFor(profile),
    chunksPerStep: chunks > lanes ? 2 : 1,
    unitsPerThread: rows >= 65_536 ? 2 : 1,
  };
  if (matvecIntegerBytes(columns, threads) > profile.maxWorkgroupStorageBytes) return undefined;
  const key = matrixKey('matvecInteger', shape);
  const { inFloats, ...chosen } = tuned<MatvecIntegerThreads & { inFloats?: boolean }>(profile, key, threads);
  return inFloats ? undefined : chosen;
}

// ---- matrix × matrix ------------------------------------------------------------------------------------------------

export type MatmulConfiguration = Pick<
  MatmulVariant,
  'threadsTokens' | 'threadsRows' | 'tokensPerThread' | 'rowsPerThread' | 'tileColumns' | 'tileType' | 'unroll'
>;

/** Subgroup matrices stand above these, and 8-bit dot products: see `matmulMatrixConfiguration`, `matmulIntegerConfiguration`. */
export function matmulLadder({ browser }: DeviceProfile): readonly Rung<MatmulConfiguration>[] {
  const [threadsTokens, threadsRows] = browser.tileThreads;
  const unroll = browser.unroll;
  const tile = { threadsTokens, threadsRows, tokensPerThread: 4, rowsPerThread: 4, tileColumns: 32, unroll };
  const small = { threadsTokens: 8, threadsRows: 8, tokensPerThread: 2, rowsPerThread: 2, tileColumns: 32, unroll: 1 };
  return [
    // A processor that plays GPU gains nothing from registers, and takes seconds to compile large bodies.
    { name: 'software', requires: { isSoftware: true }, configuration: { ...small, tileType: 'f32' } },
    { name: 'f16-tiles', requires: { shaderF16: true }, configuration: { ...tile, tileType: 'f16' } },
    { name: 'f32-tiles', requires: {}, configuration: { ...tile, tileType: 'f32' } },
    { name: 'f32-small-tiles', requires: {}, configuration: { ...small, tileType: 'f32' } },
  ];
}

export function matmulConfiguration(profile: DeviceProfile, shape: MatrixShape): MatmulConfiguration {
  const rung = matmulLadder(profile).find(
    ({ requires, configuration }) =>
      meets(profile, requires) &&
      fitsWorkgroup(
        profile,
        matmulWorkgroupBytes(configuration),
        configuration.threadsTokens * configuration.threadsRows,
      ),
  );
  if (!rung) throw tooSmall('a matrix product', profile);
  return tuned(profile, matrixKey('matmul', shape), rung.configuration);
}

interface MatrixRung {
  name: string;
  leastRows: number;
  leastTokens: number;
  configuration: MatmulMatrixTile;
}

/** Tiles for GPUs with subgroup matrices: large ones only where there are enough of them to fill a large GPU. */
const MATRIX_LADDER: readonly MatrixRung[] = [
  { name: 'wide', leastRows: 512, leastTokens: 129, configuration: matrixTile(64, 128, 2, 4, 64) },
  { name: 'wide, any columns', leastRows: 512, leastTokens: 129, configuration: matrixTile(64, 128, 1, 4, 32) },
  { name: 'small', leastRows: 0, leastTokens: 0, configuration: matrixTile(32, 64, 1, 4, 64) },
  { name: 'small, any columns', leastRows: 0, leastTokens: 0, configuration: matrixTile(32, 64, 1, 4, 32) },
];

function matrixTile(
  tileTokens: number,
  tileRows: number,
  subgroupsTokens: number,
  subgroupsRows: number,
  tileColumns: number,
): MatmulMatrixTile {
  return { tileTokens, tileRows, subgroupsTokens, subgroupsRows, tileColumns };
}

/** The tiles for this many tokens; undefined where the device has no subgroup matrices, or the matrix does not suit them. */
export function matmulMatrixConfiguration(
  profile: DeviceProfile,
  shape: MatrixShape & { tokens: number },
): MatmulMatrixTile | undefined {
  const { format, rows, columns, tokens } = shape;
  // f32 weights are for those who want f32 products.
  if (!profile.subgroupMatrix || format === 'f32') return undefined;
  const rung = MATRIX_LADDER.find(
    ({ leastRows, leastTokens, configuration: tile }) =>
      rows >= leastRows &&
      tokens >= leastTokens &&
      columns % tile.tileColumns === 0 &&
      fitsWorkgroup(
        profile,
        matmulMatrixWorkgroupBytes(tile),
        tile.subgroupsTokens * tile.subgroupsRows * SUBGROUP_SIZE,
      ),
  );
  const kernel = tokens > 128 ? 'matmulMatrix' : 'matmulMatrix-few';
  return rung && tuned(profile, matrixKey(kernel, shape), rung.configuration);
}

const INTEGER_TILE: MatmulIntegerTile = { threadsTokens: 8, threadsRows: 16, tokensPerThread: 4, rowsPerThread: 4 };

/** The tiles for products of signed bytes; undefined where the device has none, or the matrix is not quantised. */
export function matmulIntegerConfiguration(profile: DeviceProfile, format: FormatName): MatmulIntegerTile | undefined {
  // A processor that plays GPU has them too, and loses by them.
  if (!profile.integerDots || profile.isSoftware || !isQuantized(FORMATS[format])) return undefined;
  const { threadsTokens, threadsRows } = INTEGER_TILE;
  const fits = fitsWorkgroup(profile, matmulIntegerWorkgroupBytes(INTEGER_TILE), threadsTokens * threadsRows);
  return fits ? INTEGER_TILE : undefined;
}

// ---- attention ------------------------------------------------------------------------------------------------------

type DecodeConfiguration = Pick<
  AttentionDecodeVariant,
  'splitPositions' | 'mostSplits' | 'headsPerWorkgroup' | 'workgroupSize'
>;

/** Few positions a workgroup, so that even a short context fills a device; not so many splits that merging them is long. */
const SPLIT_POSITIONS = 64;
const MOST_SPLITS = 32;

export function attentionDecodeConfiguration(
  profile: DeviceProfile,
  { heads, keyValueHeads, headDim }: { heads: number; keyValueHeads: number; headDim: number },
): DecodeConfiguration {
  const workgroupSize = Math.min(128, profile.maxInvocationsPerWorkgroup);
  const split = { splitPositions: SPLIT_POSITIONS, mostSplits: MOST_SPLITS, workgroupSize };
  // Keys and values are read once for the heads of a workgroup.
  for (let headsPerWorkgroup = Math.min(heads / keyValueHeads, 8); headsPerWorkgroup > 0; headsPerWorkgroup--) {
    const bytes = attentionDecodeBytes({ headDim, headsPerWorkgroup, ...split });
    if (bytes > profile.maxWorkgroupStorageBytes || headDim > 4 * workgroupSize) continue;
    return tuned(profile, `attentionDecode ${heads}/${keyValueHeads}×${headDim}`, { ...split, headsPerWorkgroup });
  }
  throw tooSmall(`attention with headDim ${headDim}`, profile);
}

/** True where matrix units do prefill's attention: heads are whole slices of 16, and fit into workgroup memory. */
export function hasMatrixAttention(profile: DeviceProfile, headDim: number): boolean {
  return (
    profile.subgroupMatrix &&
    profile.subgroups !== undefined &&
    headDim % 16 === 0 &&
    attentionPrefillMatrixBytes(headDim) <= profile.maxWorkgroupStorageBytes
  );
}

type PrefillConfiguration = Pick<AttentionPrefillVariant, 'tileQueries' | 'tilePositions' | 'lanes'>;

const PREFILL_LADDER: readonly PrefillConfiguration[] = [
  { tileQueries: 32, tilePositions: 16, lanes: 8 },
  { tileQueries: 16, tilePositions: 32, lanes: 8 },
  { tileQueries: 16, tilePositions: 16, lanes: 8 },
  { tileQueries: 8, tilePositions: 16, lanes: 8 },
  { tileQueries: 8, tilePositions: 8, lanes: 8 },
  { tileQueries: 4, tilePositions: 4, lanes: 16 },
];

export function attentionPrefillConfiguration(profile: DeviceProfile, headDim: number): PrefillConfiguration {
  const rowVectors = headDim / 4 + 1;
  const found = PREFILL_LADDER.find(({ tileQueries, tilePositions, lanes }) => {
    const bytes = tileQueries * rowVectors * 16 + tilePositions * rowVectors * 8 + tileQueries * tilePositions * 4;
    return fitsWorkgroup(profile, bytes, tileQueries * lanes);
  });
  if (!found) throw tooSmall(`attention with headDim ${headDim}`, profile);
  return tuned(profile, `attentionPrefill ${headDim}`, found);
}

function tooSmall(what: string, { maxWorkgroupStorageBytes, maxInvocationsPerWorkgroup }: DeviceProfile): WpError {
  return new WpError(
    'unsupported-operation',
    `This GPU's workgroups are too small for ${what}: ${maxWorkgroupStorageBytes} bytes, ${maxInvocationsPerWorkgroup} threads.`,
    'Run this model with backend: "wasm".',
    { maxWorkgroupStorageBytes, maxInvocationsPerWorkgroup },
  );
}
