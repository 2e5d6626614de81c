/** Why no test of WebGPU can run in this browser, or undefined when they can. */
export async function missingGpu(): Promise<string | undefined> {
  if (!navigator.gpu) return 'this browser has no WebGPU';
  return (await navigator.gpu.requestAdapter()) ? undefined : 'this browser offers no WebGPU adapter';
}
