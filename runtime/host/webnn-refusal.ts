// What WebNN refuses while a model loads: the plan is made again without it, so that another backend runs the model and the plan
// says why.

import { detectCapabilities } from '../capabilities/detect.ts';
import { WpError } from '../errors.ts';
import type { Capabilities } from '../types.ts';

/** The sentence that says why WebNN cannot run a model; undefined for any other failure. */
export function webnnRefusal(thrown: unknown): string | undefined {
  if (!(thrown instanceof WpError) || thrown.details['backend'] !== 'webnn') return undefined;
  return thrown.code === 'unsupported-operation' || thrown.code === 'backend-unavailable' ? thrown.message : undefined;
}

/** This environment's capabilities, without WebNN once it has refused. */
export async function encoderCapabilities(refusal: string | undefined): Promise<Capabilities> {
  const capabilities = await detectCapabilities();
  return refusal === undefined ? capabilities : { ...capabilities, webnn: { available: false, reason: refusal } };
}
