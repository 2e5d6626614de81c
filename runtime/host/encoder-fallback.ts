// Loading an encoder, where it was wished: WebNN may refuse a model only when it meets it, and then the next backend takes over.

import { type EncoderLoad, loadEncoder as loadByPlan } from './encoder-model.ts';
import type { HostedModel } from './loaded-model.ts';
import { webnnRefusal } from './webnn-refusal.ts';

/** Loads an encoder. Rejects as `load` does. */
export async function loadEncoder(load: EncoderLoad): Promise<HostedModel> {
  try {
    return await loadByPlan(load);
  } catch (thrown) {
    const refusal = webnnRefusal(thrown);
    if (refusal === undefined) throw thrown;
    return loadByPlan({ ...load, webnnRefusal: refusal });
  }
}
