// Logits are compared as keys: integers in the order of the floats, of which NaN is the highest. So nothing depends on how a
// driver treats infinities and NaN, and a threshold can be found bit by bit.

import { repeat } from './kernel.ts';

export interface SampleVariant {
  kernel: 'sampleGroups' | 'samplePick';
  vocabulary: number;
  groups: number;
  /** Of samplePick. */
  capacity: number;
}

const THREADS = 256;

/** What both kernels need to see a logit as the choice does: after the repetition penalty. */
function common({ vocabulary, groups }: SampleVariant): string {
  return `
const VOCABULARY = ${vocabulary}u;
const GROUPS = ${groups}u;
struct Choice {
  uniformNumber: f32,
  temperature: f32,
  topP: f32,
  minP: f32,
  penalty: f32,
  topK: u32,
}
fn keyAt(token: u32) -> u32 {
  var bits = logits[token];
  if ((bits & 0x7fffffffu) > 0x7f800000u) {
    return 0xffffffffu;
  }
  if (choice.penalty != 1.0 && ((seen[token >> 5u] >> (token & 31u)) & 1u) == 1u) {
    let logit = bitcast<f32>(bits);
    bits = bitcast<u32>(select(logit * choice.penalty, logit / choice.penalty, logit > 0.0));
  }
  // −0 is 0.
  if (bits == 0x80000000u) {
    bits = 0u;
  }
  return select(bits | 0x80000000u, ~bits, (bits >> 31u) == 1u);
}`;
}

/** 8 threads a group; neighbours read neighbours. */
export function sampleGroupsWgsl(variant: SampleVariant): string {
  return `${common(variant)}
var<workgroup> highest: array<atomic<u32>, 32>;

@compute @workgroup_size(${THREADS})
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let group = workgroup.x * 32u + thread % 32u;
  var best = 0u;
  if (group < GROUPS) {
    for (var token = group + (thread / 32u) * GROUPS; token < VOCABULARY; token += 8u * GROUPS) {
      best = max(best, keyAt(token));
    }
  }
  atomicMax(&highest[thread % 32u], best);
  workgroupBarrier();
  if (thread < 32u && group < GROUPS) {
    maxima[group] = atomicLoad(&highest[thread]);
  }
}`;
}

/**
 * One workgroup: a threshold, the tokens above it, their order, their weights, the draw. In the end `chosen` holds the token, or
 * −1 where the logits cannot be sampled. Order and meaning are those of generation/sampler.ts.
 */
export function samplePickWgsl(variant: SampleVariant): string {
  const { vocabulary, groups, capacity } = variant;
  const maximaPerThread = Math.ceil(groups / THREADS);
  return `${common(variant)}
const CAPACITY = ${capacity}u;
const PER_GROUP = ${Math.ceil(vocabulary / groups)}u;
// The first above that of −∞, and that of ∞.
const LOWEST_KEY = 0x00800000u;
const INFINITE_KEY = 0xff800000u;
var<workgroup> highest: atomic<u32>;
var<workgroup> counts: array<atomic<u32>, 32>;
var<workgroup> hitCount: atomic<u32>;
// Groups that reach the threshold; later tokens, and their weights behind, in the order in which they are drawn.
var<workgroup> hits: array<u32, ${Math.max(groups, 2 * capacity)}>;
var<workgroup> found: atomic<u32>;
var<workgroup> isFull: u32;
var<workgroup> keys: array<u32, CAPACITY>;
var<workgroup> tokens: array<u32, CAPACITY>;
var<workgroup> winner: atomic<u32>;

// Finds the tokens with a key above this one, and those of the same whose complement is no less than \`order\`.
fn gather(thread: u32, key: u32, order: u32) -> u32 {
  workgroupBarrier();
  if (thread == 0u) {
    atomicStore(&found, 0u);
  }
  workgroupBarrier();
  let total = atomicLoad(&hitCount) * PER_GROUP;
  for (var i = thread; i < total; i += ${THREADS}u) {
    let token = hits[i / PER_GROUP] + (i % PER_GROUP) * GROUPS;
    if (token < VOCABULARY) {
      let own = keyAt(token);
      if (own > key || (own == key && ~token >= order)) {
        let slot = atomicAdd(&found, 1u);
        if (slot < CAPACITY) {
          keys[slot] = own;
          tokens[slot] = token;
        }
      }
    }
  }
  workgroupBarrier();
  return atomicLoad(&found);
}

fn logitOf(key: u32) -> f32 {
  return bitcast<f32>(select(~key, key & 0x7fffffffu, (key >> 31u) == 1u));
}

fn weightAt(rank: u32) -> f32 {
  return bitcast<f32>(hits[CAPACITY + rank]);
}

@compute @workgroup_size(${THREADS})
fn main(@builtin(local_invocation_index) thread: u32) {
  ${repeat(
    maximaPerThread,
    (i) => `var maximum${i} = 0u;
  if (thread + ${i * THREADS}u < GROUPS) {
    maximum${i} = maxima[thread + ${i * THREADS}u];
  }
  atomicMax(&highest, maximum${i});`,
    '\n  ',
  )}
  workgroupBarrier();
  let top = atomicLoad(&highest);
  var least = top;
  if (choice.topK > 1u) {
    // From below is enough: the low bits are left at 0.
    least = 0u;
    for (var bit = 31u; bit > 11u; bit--) {
      let trial = least | (1u << bit);
      let count = ${repeat(maximaPerThread, (i) => `u32(maximum${i} >= trial)`, ' + ')};
      if (count > 0u) {
        atomicAdd(&counts[bit], count);
      }
      workgroupBarrier();
      if (atomicLoad(&counts[bit]) >= choice.topK) {
        least = trial;
      }
    }
  }
  least = max(least, LOWEST_KEY);
  ${repeat(
    maximaPerThread,
    (i) => `if (maximum${i} >= least) {
    hits[atomicAdd(&hitCount, 1u)] = thread + ${i * THREADS}u;
  }`,
    '\n  ',
  )}
  let reaching = gather(thread, least, 0u);
  if (thread == 0u) {
    isFull = u32(reaching > CAPACITY);
  }
  if (workgroupUniformLoad(&isFull) == 1u) {
    // Many ties, or many large logits in few groups: the bits of the last token that has room.
    var key = 0u;
    var order = 0u;
    for (var bit = 63u; bit < 64u; bit--) {
      let isKey = bit > 31u;
      let trial = 1u << (bit % 32u);
      let count = gather(thread, key | select(0u, trial, isKey), order | select(trial, 0u, isKey));
      if (count >= CAPACITY) {
        key |= select(0u, trial, isKey);
        order |= select(trial, 0u, isKey);
      }
    }
    gather(thread, key, order);
  }
  let n = min(atomicLoad(&found), CAPACITY);

  // As the host does it: by weight where top-p has to sum up from the largest, else by token.
  let isByToken = choice.topP >= 1.0;
  for (var i = thread; i < n; i += ${THREADS}u) {
    let key = keys[i];
    let token = tokens[i];
    var greater = 0u;
    var rank = 0u;
    for (var j = 0u; j < n; j++) {
      let isBefore = tokens[j] < token;
      greater += u32(keys[j] > key);
      rank += u32(select(keys[j] > key || (keys[j] == key && isBefore), isBefore, isByToken));
    }
    let weight = exp((logitOf(key) - logitOf(top)) / choice.temperature);
    hits[rank] = token;
    hits[CAPACITY + rank] = bitcast<u32>(select(0.0, weight, greater < choice.topK));
  }
  workgroupBarrier();

  // Each thread sums for itself, in the same order: so the sums of neighbours agree to the last bit.
  for (var i = thread; i < n; i += ${THREADS}u) {
    var before = 0.0;
    var total = 0.0;
    for (var j = 0u; j < n; j++) {
      if (j == i) {
        before = total;
      }
      total += weightAt(j);
    }
    let isKept = weightAt(i) >= choice.minP && (isByToken || before < choice.topP * total);
    keys[i] = select(0u, hits[CAPACITY + i], isKept);
  }
  workgroupBarrier();
  for (var i = thread; i < n; i += ${THREADS}u) {
    var upTo = 0.0;
    var total = 0.0;
    for (var j = 0u; j < n; j++) {
      total += bitcast<f32>(keys[j]);
      if (j == i) {
        upTo = total;
      }
    }
    if (keys[i] != 0u && (upTo > choice.uniformNumber * total || upTo >= total)) {
      atomicMax(&winner, n - i);
    }
  }
  workgroupBarrier();
  if (thread == 0u) {
    let fromEnd = atomicLoad(&winner);
    if (fromEnd == 0u || top >= INFINITE_KEY) {
      chosen[0] = -1;
    } else {
      let token = hits[n - fromEnd];
      chosen[0] = i32(token);
      seen[token >> 5u] |= 1u << (token & 31u);
    }
  }
}`;
}
