// Which of ONNX Runtime's execution providers runs a model: the order in which `auto` tries them, or the one that was asked for.

import { WpError } from '../errors.ts';
import type { OnnxInfo } from '../tensors.ts';
import type { BackendName, Capabilities } from '../types.ts';
import type { OnnxHeader } from './header.ts';

export type Provider = OnnxInfo['provider'];

export interface ProviderChoice {
  provider: Provider;
  /** Why this one, as a sentence. */
  reason: string;
}

type Ends = Pick<OnnxHeader, 'inputs' | 'outputs' | 'weights'>;

/**
 * The providers to try, best first; never empty. `auto` and `webnn` move on when one cannot make a session of the model: browsers
 * decide model by model what their WebNN runs. Throws `backend-unavailable` when WebGPU or WebAssembly was asked for and is missing.
 */
export function chooseProviders(
  capabilities: Capabilities,
  wish: BackendName | 'auto',
  /** Undefined while the file has not been read. */
  header: Ends | undefined,
): ProviderChoice[] {
  const { webnn, wasm } = capabilities;
  const noGpu = whyNoGpu(capabilities, header);
  if (wish === 'webgpu' || wish === 'wasm') {
    const missing = wish === 'webgpu' ? noGpu : wasm.available ? '' : wasm.reason;
    if (!missing) return [{ provider: wish, reason: `${NAMES[wish]} was asked for.` }];
    throw new WpError(
      'backend-unavailable',
      `${NAMES[wish]} was asked for and cannot run this file: ${missing}`,
      'Use backend "auto".',
      { actual: wish, reason: missing },
    );
  }
  const automatic = chooseAutomatically(capabilities, noGpu);
  if (wish === 'auto') return automatic;
  if (webnn.available) {
    const open = openSizes(header);
    const rest = open && `It compiles for fixed sizes: what depends on ${open} is computed by WebAssembly.`;
    return [{ provider: 'webnn', reason: `WebNN was asked for. ${rest}`.trim() }, ...automatic];
  }
  return automatic.map(({ provider, reason }) => ({
    provider,
    reason: `WebNN was asked for. ${webnn.reason} ${reason}`,
  }));
}

/** WebNN is never among them: no browser says how fast its devices are. */
function chooseAutomatically({ webgpu, wasm }: Capabilities, noGpu: string): ProviderChoice[] {
  const choices: ProviderChoice[] = [];
  if (webgpu.available && !webgpu.isFallback && !noGpu) {
    choices.push({ provider: 'webgpu', reason: `WebGPU runs on ${webgpu.description || 'this device’s GPU'}.` });
  }
  if (wasm.available) {
    const emulated = webgpu.available && webgpu.isFallback;
    const why = noGpu || (emulated ? `WebGPU is emulated on the CPU here (${webgpu.description}).` : '');
    choices.push({ provider: 'wasm', reason: `WebAssembly runs it. ${why}`.trim() });
  }
  if (choices.length > 0) return choices;
  throw new WpError(
    'backend-unavailable',
    `Nothing here can run an ONNX file. ${noGpu} WebAssembly: ${wasm.reason}`,
    'Use a current version of Chrome, Edge, Firefox or Safari.',
    { wasm: wasm.reason },
  );
}

/** '' where WebGPU can run the file. */
function whyNoGpu({ webgpu }: Capabilities, header: Ends | undefined): string {
  if (!webgpu.available) return `There is no WebGPU: ${webgpu.reason}`;
  const lacksF16 = header && usesF16(header) && !webgpu.features.includes('shader-f16');
  return lacksF16 ? 'The file computes with f16, and WebGPU has none here.' : '';
}

/** Sizes of inputs that the file leaves open, by name; '' where there are none. */
function openSizes(header: Ends | undefined): string {
  const sizes = header?.inputs.flatMap(({ dims }) => dims ?? [undefined]) ?? [];
  return [...new Set(sizes.filter((size) => typeof size !== 'number').map((size) => size ?? 'unnamed sizes'))].join(
    ', ',
  );
}

export const NAMES: Readonly<Record<Provider, string>> = { webgpu: 'WebGPU', webnn: 'WebNN', wasm: 'WebAssembly' };

/** ONNX' number of f16. */
const FLOAT16 = 10;

function usesF16({ inputs, outputs, weights }: Ends): boolean {
  return (
    [...inputs, ...outputs].some(({ type }) => type === 'float16') ||
    weights.some(({ dataType }) => dataType === FLOAT16)
  );
}
