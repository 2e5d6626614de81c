// Which backend runs a model: the order in which `auto` tries them, or the one that was asked for.

import { unreachable, WpError } from '../errors.ts';
import type { BackendName, Capabilities } from '../types.ts';

export interface BackendChoice {
  backend: BackendName;
  /** Why this one, as a sentence. */
  reason: string;
}

/**
 * The backends to try, best first; never empty. A plan moves on to the next only when the model does not fit.
 * Throws `backend-unavailable` when the one asked for, or every one, is missing here.
 */
export function chooseBackends(
  capabilities: Capabilities,
  wish: BackendName | 'auto',
  isEncoder = false,
): BackendChoice[] {
  const { webgpu, webnn, wasm } = capabilities;
  switch (wish) {
    case 'webgpu':
      if (webgpu.available) return [{ backend: 'webgpu', reason: 'WebGPU was asked for.' }];
      throw unavailable(
        `WebGPU was asked for and is not available: ${webgpu.reason}`,
        'Use backend "auto" or "wasm".',
        capabilities,
      );
    case 'wasm':
      if (wasm.available) return [{ backend: 'wasm', reason: 'WebAssembly was asked for.' }];
      throw unavailable(
        `WebAssembly was asked for and is not available: ${wasm.reason}`,
        'Use backend "auto" or "webgpu".',
        capabilities,
      );
    case 'webnn': {
      // Browsers decide model by model what their WebNN runs: a wish for it gives way, with the reason.
      if (isEncoder && webnn.available) {
        return [{ backend: 'webnn', reason: 'WebNN was asked for.' }, ...automatic(capabilities)];
      }
      const missing = isEncoder ? webnn.reason : 'It runs encoders only.';
      const others = chooseBackends(capabilities, 'auto');
      return others.map(({ backend, reason }) => ({ backend, reason: `WebNN was asked for. ${missing} ${reason}` }));
    }
    case 'auto':
      break;
    default:
      unreachable(wish);
  }

  const choices = automatic(capabilities);
  if (choices.length > 0) return choices;
  throw unavailable(
    `Nothing here can run a model. WebGPU: ${webgpu.available ? webgpu.description : webgpu.reason} WebAssembly: ${wasm.reason}`,
    'Use a current version of Chrome, Edge, Firefox or Safari.',
    capabilities,
  );
}

/** WebNN is never among them: no browser says how fast its devices are. */
function automatic({ webgpu, wasm }: Capabilities): BackendChoice[] {
  const choices: BackendChoice[] = [];
  if (webgpu.available && !webgpu.isFallback) {
    choices.push({ backend: 'webgpu', reason: `WebGPU runs on ${webgpu.description || 'this device’s GPU'}.` });
  }
  if (wasm.available) {
    choices.push({
      backend: 'wasm',
      reason: webgpu.available
        ? `WebGPU is emulated on the CPU here (${webgpu.description}), which is slower than WebAssembly.`
        : `There is no WebGPU: ${webgpu.reason}`,
    });
  }
  if (webgpu.available && webgpu.isFallback) {
    choices.push({
      backend: 'webgpu',
      reason: `WebGPU is emulated on the CPU here (${webgpu.description}); there is nothing faster.`,
    });
  }
  return choices;
}

function unavailable(message: string, hint: string, { webgpu, wasm }: Capabilities): WpError {
  return new WpError('backend-unavailable', message, hint, {
    webgpu: webgpu.available ? webgpu.description : webgpu.reason,
    wasm: wasm.reason,
  });
}
