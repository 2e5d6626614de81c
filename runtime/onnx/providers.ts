// Which of ONNX Runtime's execution providers runs a model: the order in which `auto` tries them, or the one that was asked for.

import { WpError } from '../errors.ts';
import type { OnnxInfo } from '../tensors.ts';
import type { Capabilities } from '../types.ts';
import type { OnnxHeader } from './header.ts';

export type Provider = OnnxInfo['provider'];

export interface ProviderChoice {
  provider: Provider;
  /** Why this one, as a sentence. */
  reason: string;
}

/**
 * The providers to try, best first; never empty. `auto` moves on when one cannot make a session of the model.
 * Throws `backend-unavailable` when the one asked for is missing here.
 */
export function chooseProviders(
  { webgpu, webnn, wasm, browser }: Capabilities,
  wish: string,
  /** Undefined while the file has not been read. */
  header: Pick<OnnxHeader, 'inputs' | 'outputs' | 'weights'> | undefined,
): ProviderChoice[] {
  const isNode = browser.name === 'node';
  const hasF16 = webgpu.available && webgpu.features.includes('shader-f16');
  const lacksF16 = header && usesF16(header) && !hasF16 ? 'The file computes with f16, and WebGPU has none here.' : '';
  if (wish !== 'auto') {
    const missing =
      wish === 'webgpu'
        ? !webgpu.available && webgpu.reason
        : wish === 'webnn'
          ? !webnn.available && webnn.reason
          : wish === 'wasm'
            ? !wasm.available && wasm.reason
            : 'ONNX files run on webgpu, webnn or wasm.';
    if (missing === false && wish === 'webgpu' && lacksF16) {
      throw new WpError(
        'backend-unavailable',
        `WebGPU was asked for: ${lacksF16}`,
        'Use a variant of f32, or backend "auto".',
        {
          actual: wish,
          missing: 'shader-f16',
        },
      );
    }
    if (missing === false) return [{ provider: wish as Provider, reason: `${NAMES[wish as Provider]} was asked for.` }];
    throw new WpError(
      'backend-unavailable',
      `${wish} was asked for and is not available: ${missing}`,
      'Use backend "auto" or "wasm".',
      { actual: wish, webgpu: webgpu.available || webgpu.reason, webnn: webnn.reason, wasm: wasm.reason },
    );
  }
  const choices: ProviderChoice[] = [];
  if (webgpu.available && !webgpu.isFallback && !isNode && !lacksF16) {
    choices.push({ provider: 'webgpu', reason: `WebGPU runs on ${webgpu.description || 'this device’s GPU'}.` });
  }
  // WebNN compiles a graph for its shapes: sizes that are open until a run would leave most of it to the CPU.
  const isStatic = header?.inputs.every(({ dims }) => dims?.every((size) => typeof size === 'number')) ?? false;
  if (webnn.available && isStatic)
    choices.push({ provider: 'webnn', reason: 'WebNN runs it: all its shapes are fixed.' });
  const noGpu = webgpu.available
    ? lacksF16 || `WebGPU is emulated on the CPU here (${webgpu.description})`
    : `There is no WebGPU: ${webgpu.reason}`;
  if (wasm.available) choices.push({ provider: 'wasm', reason: `WebAssembly. ${noGpu}` });
  if (choices.length > 0) return choices;
  throw new WpError(
    'backend-unavailable',
    `Nothing here can run an ONNX file. ${noGpu} WebAssembly: ${wasm.reason}`,
    'Use a current version of Chrome, Edge, Firefox or Safari.',
    { wasm: wasm.reason },
  );
}

export const NAMES: Readonly<Record<Provider, string>> = { webgpu: 'WebGPU', webnn: 'WebNN', wasm: 'WebAssembly' };

/** ONNX' number of f16. */
const FLOAT16 = 10;

function usesF16({ inputs, outputs, weights }: Pick<OnnxHeader, 'inputs' | 'outputs' | 'weights'>): boolean {
  return (
    [...inputs, ...outputs].some(({ type }) => type === 'float16') ||
    weights.some(({ dataType }) => dataType === FLOAT16)
  );
}
