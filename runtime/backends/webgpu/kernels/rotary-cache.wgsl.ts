import { float, type Reduction } from './kernel.ts';
import { reduceBuiltins, reduceMemory, reduceStatements } from './reduce.wgsl.ts';

export interface RotaryCacheVariant {
  kernel: 'rotaryCache';
  heads: number;
  keyValueHeads: number;
  headDim: number;
  /** Tokens that the caches have room for. */
  context: number;
  hasQueryNorm: boolean;
  hasKeyNorm: boolean;
  epsilon: number;
  workgroupSize: number;
  reduction: Reduction;
  /** What `qkv` holds where the three lie apart; undefined for all of them in one row. Norms are its own. */
  part?: 'queries' | 'keys' | 'values' | undefined;
}

/** Heads of a row of `qkv`, and how many come before them in a row that has all. */
export function partSlots({ heads, keyValueHeads, part }: RotaryCacheVariant): { first: number; slots: number } {
  if (!part) return { first: 0, slots: heads + 2 * keyValueHeads };
  if (part === 'queries') return { first: 0, slots: heads };
  return { first: part === 'keys' ? heads : heads + keyValueHeads, slots: keyValueHeads };
}

/** One workgroup a head of a token; each thread takes pairs of neighbouring dimensions, which share a word of the cache. */
export function rotaryCacheWgsl(variant: RotaryCacheVariant): string {
  const { heads, keyValueHeads, headDim, context, hasQueryNorm, hasKeyNorm, workgroupSize, reduction } = variant;
  const hasNorm = hasQueryNorm || hasKeyNorm;
  const { first, slots } = partSlots(variant);
  const part = variant.part;
  const storeValue =
    'values[((slot - HEADS - KEY_VALUE_HEADS) * CONTEXT + step.past + token) * PAIRS + pair] = pack2x16float(qkv[start + pair]);';
  const storeQuery = 'queries[(token * HEADS + slot) * PAIRS + pair] = rotated;';
  const storeKey = 'keys[((slot - HEADS) * CONTEXT + step.past + token) * PAIRS + pair] = pack2x16float(rotated);';
  const storeRotated = `if (slot < HEADS) {
      ${storeQuery}
    } else {
      ${storeKey}
    }`;
  return `
const HEADS = ${heads}u;
const KEY_VALUE_HEADS = ${keyValueHeads}u;
const CONTEXT = ${context}u;
// Of a head, in vec2s.
const PAIRS = ${headDim / 2}u;
const HALF = ${headDim / 4}u;
${hasNorm ? normFunctions(variant) : ''}

@compute @workgroup_size(${workgroupSize})
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) thread: u32${
    hasNorm ? reduceBuiltins(reduction) : ''
  }) {
  let slot = workgroup.x + ${first}u;
  let token = workgroup.y;
  let start = (token * ${slots}u + workgroup.x) * PAIRS;
  ${hasNorm ? normStatements(variant) : ''}
  for (var pair = thread; pair < PAIRS; pair += ${workgroupSize}u) {
    ${
      part === 'values'
        ? storeValue
        : part
          ? ''
          : `if (slot >= HEADS + KEY_VALUE_HEADS) {
      ${storeValue}
      continue;
    }`
    }
    ${
      part === 'values'
        ? ''
        : `
    // Dimension i of the first half turns with dimension i + headDim / 2 of the second.
    let isFirstHalf = pair < HALF;
    let partner = select(pair - HALF, pair + HALF, isFirstHalf);
    let angle = token * PAIRS + select(partner, pair, isFirstHalf);
    let cosine = rotary[angle];
    let sine = select(rotary[angle + HALF], -rotary[angle + HALF], isFirstHalf);
    let own = ${hasNorm ? 'scaled(slot, pair, qkv[start + pair])' : 'qkv[start + pair]'};
    let other = ${hasNorm ? 'scaled(slot, partner, qkv[start + partner])' : 'qkv[start + partner]'};
    let rotated = own * cosine + other * sine;
    ${part === 'queries' ? storeQuery : part ? storeKey : storeRotated}`
    }
  }
}`;
}

function normFunctions({ hasQueryNorm, hasKeyNorm, workgroupSize, reduction }: RotaryCacheVariant): string {
  const shape = { reduction, workgroupSize, lanes: workgroupSize, values: 1 };
  const query = hasQueryNorm
    ? 'if (slot < HEADS) {\n    return value * inverse * queryNorm[pair];\n  }'
    : 'if (slot < HEADS) {\n    return value;\n  }';
  return `${reduceMemory(shape)}
var<workgroup> inverse: f32;

fn scaled(slot: u32, pair: u32, value: vec2<f32>) -> vec2<f32> {
  ${query}
  ${hasKeyNorm ? 'return value * inverse * keyNorm[pair];' : 'return value;'}
}`;
}

function normStatements({ headDim, epsilon, workgroupSize, reduction }: RotaryCacheVariant): string {
  const shape = { reduction, workgroupSize, lanes: workgroupSize, values: 1 };
  return `let lane = thread;
  var sum0 = 0.0;
  for (var pair = thread; pair < PAIRS; pair += ${workgroupSize}u) {
    let value = qkv[start + pair];
    sum0 += dot(value, value);
  }
  ${reduceStatements(shape)}
  if (thread == 0u) {
    inverse = inverseSqrt(sum0 / ${float(headDim)} + ${float(epsilon)});
  }
  workgroupBarrier();`;
}
