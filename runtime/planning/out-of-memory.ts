// The error of a model that does not fit: its figures, and the changes that would make it fit, each tried.

import { WpError } from '../errors.ts';
import type { BackendName } from '../types.ts';
import { chooseBackends } from './backend-choice.ts';
import { SHORTEST_CONTEXT_LENGTH } from './context-length.ts';
import { findFit, type NoFit, type PlanRequest, type PlanWishes } from './fit.ts';
import { describeBytes, describeCount } from './reason.ts';

export function outOfMemory(backend: BackendName, request: PlanRequest, noFit: NoFit): WpError {
  const { misfit, memory, choice, contextLength } = noFit;
  const figures =
    `weights ${describeBytes(memory.weights)} at ${choice.precision}, KV cache ${describeBytes(memory.keyValueCache)} ` +
    `for ${describeCount(contextLength)} tokens, activations ${describeBytes(memory.activations)}`;
  const remedies = findRemedies(backend, request, noFit);
  return new WpError(
    'out-of-memory',
    `${misfit.what} needs ${describeBytes(misfit.neededBytes)} on ${backend}, and the limit is ` +
      `${describeBytes(misfit.allowedBytes)} (${misfit.source}): ${figures}.`,
    remedies.length > 0 ? `This would fit: ${remedies.join('; ')}.` : 'Choose a smaller model.',
    { neededBytes: misfit.neededBytes, allowedBytes: misfit.allowedBytes, source: misfit.source, backend, memory },
  );
}

/** Changes to the wishes that fit, as phrases: fewer bits, a shorter context, the other backend. */
function findRemedies(backend: BackendName, request: PlanRequest, { contextLength }: NoFit): string[] {
  const remedies: string[] = [];
  const fits = (changes: PlanWishes, on = backend): string | undefined => {
    const fit = findFit(on, { ...request, wishes: { ...request.wishes, ...changes } });
    return 'misfit' in fit ? undefined : describeBytes(fit.memory.total);
  };

  for (const precision of ['8bit', '4bit', '3bit', '2bit'] as const) {
    const total = request.wishes.precision === precision ? undefined : fits({ precision });
    if (total === undefined) continue;
    remedies.push(`precision "${precision}" (${total})`);
    break;
  }
  for (let shorter = contextLength / 2; shorter >= SHORTEST_CONTEXT_LENGTH; shorter /= 2) {
    const total = fits({ contextLength: Math.floor(shorter) });
    if (total === undefined) continue;
    remedies.push(`a contextLength of ${describeCount(Math.floor(shorter))} (${total})`);
    break;
  }
  if (request.wishes.backend === backend) {
    for (const { backend: other } of chooseBackends(request.capabilities, 'auto')) {
      const total = other === backend ? undefined : fits({}, other);
      if (total !== undefined) remedies.push(`backend "${other}" (${total})`);
    }
  }
  return remedies;
}
