// What tuning tries for each kernel, beside the ladder's own choice. Every configuration here is among those that
// test/webgpu runs against the references, on every format that the kernel has: tuning decides how fast an answer comes, never
// what it is. A stored choice counts only while it is listed here.

import { type DeviceProfile, fitsWorkgroup, type TunedChoices } from '../device-profile.ts';
import { attentionDecodeBytes } from '../kernels/attention-decode.wgsl.ts';
import { matmulWorkgroupBytes } from '../kernels/matmul.ts';
import { matvecIntegerBytes } from '../kernels/matvec-integer-threads.ts';
import { type MatmulMatrixTile, matmulMatrixWorkgroupBytes, SUBGROUP_SIZE } from '../kernels/matmul-matrix-tile.ts';

export type Configuration = Readonly<Record<string, number | string | boolean>>;

/** The configurations for a key of the ladder's, as this device can run them; none for kernels that have but one. */
export function candidatesFor(profile: DeviceProfile, key: string): readonly Configuration[] {
  const [kernel] = key.split(' ') as [string];
  const columns = Number(/×(\d+)$/.exec(key)?.[1]);
  switch (kernel) {
    case 'matvec':
      return MATVEC.filter(({ workgroupSize }) => workgroupSize <= profile.maxInvocationsPerWorkgroup);
    case 'matvecInteger':
      return [
        // The other kernel, as its own ladder has it.
        { inFloats: true },
        ...MATVEC_INTEGER.filter((threads) =>
          fitsWorkgroup(profile, matvecIntegerBytes(columns, threads), threads.workgroupSize),
        ),
      ];
    case 'matmul':
      return MATMUL.filter((tile) => {
        // The type of the tiles is a matter of precision, not of speed, so it stays.
        const tileType = profile.shaderF16 && !profile.isSoftware ? 'f16' : 'f32';
        return fitsWorkgroup(
          profile,
          matmulWorkgroupBytes({ ...tile, tileType }),
          tile.threadsTokens * tile.threadsRows,
        );
      });
    case 'matmulMatrix':
    case 'matmulMatrix-few':
      return MATMUL_MATRIX.filter(
        (tile) =>
          columns % tile.tileColumns === 0 &&
          fitsWorkgroup(
            profile,
            matmulMatrixWorkgroupBytes(tile),
            tile.subgroupsTokens * tile.subgroupsRows * SUBGROUP_SIZE,
          ),
      );
    case 'attentionDecode':
      return ATTENTION_DECODE.filter(({ splitPositions }) => {
        const [heads, keyValueHeads, headDim] = key.match(/\d+/g)!.map(Number) as [number, number, number];
        const workgroupSize = Math.min(128, profile.maxInvocationsPerWorkgroup);
        const headsPerWorkgroup = Math.min(heads / keyValueHeads, 8);
        const shape = { headDim, headsPerWorkgroup, workgroupSize, splitPositions };
        return attentionDecodeBytes(shape) <= profile.maxWorkgroupStorageBytes;
      });
    default:
      return [];
  }
}

/** Of stored choices those that this device's kernels still offer. */
export function validChoices(profile: DeviceProfile, stored: Readonly<Record<string, unknown>>): TunedChoices {
  const valid = new Map<string, object>();
  for (const [key, choice] of Object.entries(stored)) {
    const found = candidatesFor(profile, key).find((candidate) => isSame(candidate, choice));
    if (found) valid.set(key, found);
  }
  return valid;
}

function isSame(candidate: Configuration, choice: unknown): boolean {
  if (typeof choice !== 'object' || choice === null) return false;
  const fields = Object.entries(choice);
  return fields.length === Object.keys(candidate).length && fields.every(([name, value]) => candidate[name] === value);
}

export const MATVEC = [
  { lanes: 32, rowsPerThread: 1, workgroupSize: 128 },
  { lanes: 32, rowsPerThread: 2, workgroupSize: 128 },
  { lanes: 32, rowsPerThread: 4, workgroupSize: 128 },
  { lanes: 32, rowsPerThread: 1, workgroupSize: 64 },
  { lanes: 32, rowsPerThread: 2, workgroupSize: 64 },
  { lanes: 32, rowsPerThread: 2, workgroupSize: 256 },
  { lanes: 16, rowsPerThread: 1, workgroupSize: 128 },
  { lanes: 16, rowsPerThread: 2, workgroupSize: 128 },
  { lanes: 16, rowsPerThread: 4, workgroupSize: 64 },
  { lanes: 8, rowsPerThread: 1, workgroupSize: 128 },
  { lanes: 8, rowsPerThread: 2, workgroupSize: 64 },
] as const;

const integer = (
  lanes: number,
  rowsPerThread: number,
  workgroupSize: number,
  chunksPerStep: number,
  unitsPerThread: number,
) => ({ lanes, rowsPerThread, workgroupSize, chunksPerStep, unitsPerThread });

export const MATVEC_INTEGER = [
  integer(32, 2, 256, 2, 1),
  integer(32, 1, 256, 2, 1),
  integer(32, 2, 128, 1, 1),
  integer(16, 2, 256, 2, 1),
  integer(16, 2, 128, 1, 2),
  integer(16, 4, 256, 1, 1),
];

const tile = (threadsTokens: number, threadsRows: number, each: number, unroll: number) => ({
  threadsTokens,
  threadsRows,
  tokensPerThread: each,
  rowsPerThread: each,
  tileColumns: 32,
  unroll,
});

/** The compatibility guide's table, all browsers', and what lies between. */
export const MATMUL = [
  tile(8, 16, 4, 4),
  tile(8, 16, 4, 2),
  tile(8, 8, 4, 4),
  tile(8, 8, 4, 2),
  tile(4, 4, 4, 1),
  tile(16, 16, 4, 4),
  tile(8, 8, 2, 1),
];

const matrixTile = (
  tileTokens: number,
  tileRows: number,
  subgroupsTokens: number,
  tileColumns: number,
): MatmulMatrixTile & Configuration => ({ tileTokens, tileRows, subgroupsTokens, subgroupsRows: 4, tileColumns });

export const MATMUL_MATRIX = [
  matrixTile(64, 128, 2, 64),
  matrixTile(64, 128, 1, 32),
  matrixTile(32, 64, 1, 64),
  matrixTile(32, 64, 1, 32),
];

export const ATTENTION_DECODE = [
  { splitPositions: 64, mostSplits: 16 },
  { splitPositions: 32, mostSplits: 32 },
  { splitPositions: 32, mostSplits: 16 },
  { splitPositions: 128, mostSplits: 32 },
] as const;
