// Logits are compared as keys: integers in the order of the floats, of which NaN is the highest. So nothing depends on how a
// driver treats infinities and NaN, and a threshold can be found bit by bit.

export interface SampleVariant {
  kernel: 'sampleGroups' | 'samplePick';
  vocabulary: number;
  /** A multiple of 256. */
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
  let slot = thread % 32u;
  let group = workgroup.x * 32u + slot;
  var best = 0u;
  for (var token = group + (thread / 32u) * GROUPS; token < VOCABULARY; token += 8u * GROUPS) {
    best = max(best, keyAt(token));
  }
  atomicMax(&highest[slot], best);
  workgroupBarrier();
  maxima[group] = atomicLoad(&highest[slot]);
}`;
}

/**
 * One workgroup: a threshold, the tokens above it, their order, their weights, the draw. In the end `chosen` holds the token, or
 * −1 where the logits cannot be sampled. Order and meaning are those of generation/sampler.ts.
 */
export function samplePickWgsl(variant: SampleVariant): string {
  const { vocabulary, groups, capacity } = variant;
  return `${common(variant)}
const CAPACITY = ${capacity}u;
const PER_GROUP = ${Math.ceil(vocabulary / groups)}u;
const PER_THREAD = ${groups / THREADS}u;
var<workgroup> highest: atomic<u32>;
var<workgroup> counts: array<atomic<u32>, 32>;
var<workgroup> hitCount: atomic<u32>;
// Groups that reach the threshold; later tokens, in the order in which they are drawn, with their weights.
var<workgroup> hits: array<u32, ${Math.max(groups, capacity)}>;
var<workgroup> weights: array<f32, CAPACITY>;
var<workgroup> found: atomic<u32>;
var<workgroup> isFull: u32;
var<workgroup> keys: array<u32, CAPACITY>;
var<workgroup> tokens: array<u32, CAPACITY>;

// Finds the tokens with a key above this one, and those of the same whose complement is no less than the order.
fn gather(thread: u32, key: u32, order: u32) -> u32 {
  workgroupBarrier();
  atomicStore(&found, 0u);
  workgroupBarrier();
  let end = atomicLoad(&hitCount) * PER_GROUP;
  for (var i = thread; i < end; i += ${THREADS}u) {
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

@compute @workgroup_size(${THREADS})
fn main(@builtin(local_invocation_index) thread: u32) {
  var own: array<u32, PER_THREAD>;
  for (var i = 0u; i < PER_THREAD; i++) {
    own[i] = maxima[thread + i * ${THREADS}u];
    atomicMax(&highest, own[i]);
  }
  workgroupBarrier();
  let top = atomicLoad(&highest);
  var least = top;
  if (choice.topK > 1u) {
    // From below is enough: the low bits are left at 0.
    least = 0u;
    for (var bit = 31u; bit > 11u; bit--) {
      let trial = least | (1u << bit);
      var count = 0u;
      for (var i = 0u; i < PER_THREAD; i++) {
        count += u32(own[i] >= trial);
      }
      if (count > 0u) {
        atomicAdd(&counts[bit], count);
      }
      workgroupBarrier();
      if (atomicLoad(&counts[bit]) >= choice.topK) {
        least = trial;
      }
    }
  }
  // −∞ is never drawn.
  least = max(least, 0x00800000u);
  for (var i = 0u; i < PER_THREAD; i++) {
    if (own[i] >= least) {
      hits[atomicAdd(&hitCount, 1u)] = thread + i * ${THREADS}u;
    }
  }
  let reaching = gather(thread, least, 0u);
  if (thread == 0u) {
    isFull = u32(reaching > CAPACITY);
  }
  if (workgroupUniformLoad(&isFull) == 1u) {
    // Many ties, or many large logits in few groups: the bits of the last token that has room.
    var key = 0u;
    var order = 0u;
    for (var bit = 63u; bit < 64u; bit--) {
      let trial = 1u << (bit % 32u);
      let keyBit = select(0u, trial, bit > 31u);
      if (gather(thread, key | keyBit, order | (trial ^ keyBit)) >= CAPACITY) {
        key |= keyBit;
        order |= trial ^ keyBit;
      }
    }
    gather(thread, key, order);
  }
  let n = min(atomicLoad(&found), CAPACITY);

  // As the host does it: by weight where top-p has to sum up from the largest, else by token.
  for (var i = thread; i < n; i += ${THREADS}u) {
    let key = keys[i];
    let token = tokens[i];
    var greater = 0u;
    var rank = 0u;
    for (var j = 0u; j < n; j++) {
      let isBefore = tokens[j] < token;
      greater += u32(keys[j] > key);
      rank += u32(select(isBefore, keys[j] > key || (keys[j] == key && isBefore), choice.topP < 1.0));
    }
    let weight = exp((logitOf(key) - logitOf(top)) / choice.temperature);
    hits[rank] = token;
    weights[rank] = select(0.0, weight, greater < choice.topK);
  }
  workgroupBarrier();
  if (thread > 0u) {
    return;
  }
  var total = 0.0;
  for (var i = 0u; i < n; i++) {
    total += weights[i];
  }
  var sum = 0.0;
  var kept = 0.0;
  for (var i = 0u; i < n; i++) {
    let weight = weights[i];
    if (weight < choice.minP || sum >= choice.topP * total) {
      weights[i] = 0.0;
    }
    sum += weight;
    kept += weights[i];
  }
  var token = -1;
  var rest = choice.uniformNumber * kept;
  for (var i = 0u; i < n && rest >= 0.0; i++) {
    if (weights[i] > 0.0) {
      token = i32(hits[i]);
      rest -= weights[i];
    }
  }
  // An infinity, or not a number.
  if (top >= 0xff800000u) {
    token = -1;
  }
  chosen[0] = token;
  if (token >= 0) {
    seen[token >> 5u] |= 1u << u32(token & 31);
  }
}`;
}
