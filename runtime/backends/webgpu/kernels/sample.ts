// The choice of a token from the logits, in two dispatches. The vocabulary is dealt out to groups, every GROUPS-th token to the
// same one; `sampleGroups` finds the largest logit of each, with many workgroups. The k-th largest of these is no larger than the
// k-th largest logit, so `samplePick`, one workgroup, looks only into the groups that reach it: a few thousand logits.

import type { Kernel } from './kernel.ts';
import { type SampleVariant, sampleGroupsWgsl, samplePickWgsl } from './sample.wgsl.ts';

/** Of samplePick: tokens that it can weigh against each other. Those that tie with the k-th beyond it are left out, the last first. */
export const SAMPLE_CAPACITY = 512;
export const MAX_TOP_K = 256;

/** A multiple of 256, no fewer than the largest top-k, as many as samplePick has memory for. Some may be empty. */
export function sampleGroups(vocabulary: number): number {
  return Math.min(2048, Math.max(256, vocabulary & ~255));
}

/** Of the uniform `choice`: see the struct in sample.wgsl.ts. */
export const CHOICE_BYTES = 32;

export const sampleGroupsKernel: Kernel<SampleVariant> = {
  name: 'sampleGroups',
  bindings: () => [
    { name: 'choice', access: 'uniform', type: 'Choice' },
    { name: 'logits', access: 'read', type: 'array<u32>' },
    { name: 'seen', access: 'read', type: 'array<u32>' },
    { name: 'maxima', access: 'write', type: 'array<u32>' },
  ],
  wgsl: sampleGroupsWgsl,
  workgroups: ({ groups }) => [groups / 32, 1, 1],
};

export const samplePickKernel: Kernel<SampleVariant> = {
  name: 'samplePick',
  bindings: () => [
    { name: 'choice', access: 'uniform', type: 'Choice' },
    { name: 'logits', access: 'read', type: 'array<u32>' },
    { name: 'seen', access: 'write', type: 'array<u32>' },
    { name: 'maxima', access: 'read', type: 'array<u32>' },
    { name: 'chosen', access: 'write', type: 'array<i32>' },
  ],
  wgsl: samplePickWgsl,
  workgroups: () => [1, 1, 1],
};
