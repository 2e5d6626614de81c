// The table that `npm run bench` prints: tokens a second, beside what the machine allows, and against the peers.

const mebibytes = (bytes) => (bytes === undefined ? '–' : (bytes / 2 ** 20).toFixed(0));
export const percent = (ratio) => (Number.isFinite(ratio) ? `${(ratio * 100).toFixed(ratio < 0.1 ? 1 : 0)} %` : '–');
export const gigabytes = (perSecond) =>
  Number.isFinite(perSecond) ? `${(perSecond / 1e9).toFixed(perSecond < 1e10 ? 1 : 0)} GB/s` : '–';
export const teraflops = (perSecond) => {
  const tera = perSecond / 1e12;
  return Number.isFinite(perSecond) ? `${tera.toFixed(tera < 0.1 ? 4 : tera < 10 ? 2 : 1)} TFLOP/s` : '–';
};

/**
 * Share of the fastest decode that the bytes of the weights, or the dispatches, would allow; NaN where it is not known.
 *
 * @returns {{ byBytes: number, byDispatches: number }}
 */
export function shares(result, limits) {
  const bytesPerSecond = limits[result.backend]?.bytesPerSecond;
  // Of WASM, one thread was measured: that several read as many times as much is the most that they could.
  const threads = result.backend === 'wasm' ? (result.threads ?? 1) : 1;
  const byBytes = (result.decodeTokensPerSecond * (result.weightBytesPerToken ?? NaN)) / (bytesPerSecond * threads);
  const perDispatch = result.backend === 'webgpu' ? limits.webgpu?.microsecondsPerDispatch : undefined;
  const byDispatches = (result.decodeTokensPerSecond * (result.dispatchesPerToken ?? NaN) * perDispatch) / 1e6;
  return { byBytes, byDispatches };
}

/**
 * wp-models ÷ each peer, of the same subject.
 *
 * @returns {{ title: string, prompt: number, decode: number }[]} none where wp-models, or every peer, failed
 */
export function ratios(results) {
  const whole = results.filter((result) => !result.error);
  return whole
    .filter((result) => result.engine !== 'wp-models')
    .flatMap((peer) => {
      const ours = whole.find((result) => result.engine === 'wp-models' && result.what === peer.what);
      if (!ours) return [];
      const ratio = (key) => ours[key] / peer[key];
      return {
        title: peer.title ?? peer.engine,
        prompt: ratio('promptTokensPerSecond'),
        decode: ratio('decodeTokensPerSecond'),
      };
    });
}

/** @returns {string[]} a line for each limit that was measured */
export function limitLines({ wasm, webgpu }) {
  const lines = [];
  if (wasm) lines.push(`limit, WASM, one thread: ${(wasm.bytesPerSecond / 1e9).toFixed(1)} GB/s`);
  if (webgpu) {
    const speed = `${(webgpu.bytesPerSecond / 1e9).toFixed(0)} GB/s`;
    const flops = Object.entries(webgpu.flopsPerSecond ?? {}).map(([type, rate]) => `${teraflops(rate)} in ${type}`);
    const dispatch = `${webgpu.microsecondsPerDispatch.toFixed(2)} µs a dependent dispatch`;
    lines.push(`limit, WebGPU (${webgpu.adapter}): ${[speed, ...flops, dispatch].join(', ')}`);
  }
  return lines;
}

/** @returns {string | undefined} a word of caution, where a GPU's figures come from none */
export function softwareWarning({ limits, results }) {
  const onGpu = results.some((result) => result.backend === 'webgpu');
  if (!onGpu || !/swiftshader|llvmpipe|lavapipe|software/i.test(limits.webgpu?.adapter ?? '')) return undefined;
  return 'The WebGPU adapter is a software renderer: these figures say nothing about a GPU.';
}

export const COLUMNS = [
  'engine',
  'backend',
  'precision',
  'threads',
  'prompt tok/s',
  'decode tok/s',
  'of bytes limit',
  'of dispatch limit',
  'memory MiB',
  'load ms',
];

/** The cells of a result, one for each of `COLUMNS`. @returns {string[]} */
export function cellsOf(result, limits) {
  const name = result.title ?? result.engine;
  if (result.error) return [name, '', '', '', `failed: ${result.error}`, '', '', '', '', ''];
  const { byBytes, byDispatches } = shares(result, limits);
  return [
    name,
    result.backend,
    result.precision,
    String(result.threads ?? '–'),
    `${result.promptTokensPerSecond.toFixed(1)} (${result.promptTokens})`,
    `${result.decodeTokensPerSecond.toFixed(1)} (${result.decodeTokens})`,
    percent(byBytes),
    percent(byDispatches),
    mebibytes(result.memory?.actual.total),
    String(Math.round(result.loadMs)),
  ];
}

/**
 * Kernels of a decode step, the costliest first: each beside the bytes and the operations a second that this machine does
 * at most. A share is NaN where the limit, or what the kernel has to do, is not known.
 *
 * @returns {{ operation: string, variant: string, calls: number, microseconds: number, ofStep: number, bytesPerSecond: number,
 *   byBytes: number, flopsPerSecond: number, byFlops: number }[]}
 */
export function kernelRows({ kernelTimings = [], backend }, limits) {
  const limit = limits[backend];
  // In halves where the adapter has them: what a kernel in f32 could have taken.
  const mostFlops = Math.max(...Object.values(limit?.flopsPerSecond ?? { unknown: NaN }));
  const total = kernelTimings.reduce((sum, { calls, microseconds }) => sum + calls * microseconds, 0);
  return [...kernelTimings]
    .sort((a, b) => b.calls * b.microseconds - a.calls * a.microseconds)
    .map(({ operation, variant, calls, microseconds, bytes, flops }) => {
      const bytesPerSecond = bytes / (microseconds / 1e6);
      const flopsPerSecond = flops > 0 ? flops / (microseconds / 1e6) : NaN;
      return {
        operation,
        variant,
        calls,
        microseconds,
        ofStep: (calls * microseconds) / total,
        bytesPerSecond,
        byBytes: bytesPerSecond / limit?.bytesPerSecond,
        flopsPerSecond,
        byFlops: flopsPerSecond / mostFlops,
      };
    });
}

/** @returns {string[]} */
export function kernelLines(result, limits) {
  return kernelRows(result, limits).map((kernel) => {
    const { operation, variant, calls, microseconds, ofStep, bytesPerSecond, byBytes, flopsPerSecond, byFlops } =
      kernel;
    const rates = `${gigabytes(bytesPerSecond)} (${percent(byBytes)} of the limit), ${teraflops(flopsPerSecond)} (${percent(byFlops)})`;
    return `${percent(ofStep).padStart(6)}  ${String(calls).padStart(4)} × ${microseconds.toFixed(1)} µs  ${rates}  ${operation}: ${variant}`;
  });
}

export function printTable(report) {
  const { limits, results } = report;
  console.log(`\n${report.what} — ${report.userAgent}`);
  limitLines(limits).forEach((line) => console.log(line));
  const warning = softwareWarning(report);
  if (warning) console.log(warning);
  if (report.error) console.log(`failed: ${report.error}`);
  const rows = results.filter((result) => !result.error).map((result) => cellsOf(result, limits));
  const widths = COLUMNS.map((title, i) => Math.max(title.length, ...rows.map((row) => row[i].length)));
  const line = (cells) => console.log(cells.map((cell, i) => cell.padEnd(widths[i])).join('  '));
  line(COLUMNS);
  line(widths.map((width) => '-'.repeat(width)));
  rows.forEach(line);
  for (const result of results) kernelLines(result, limits).forEach((text) => console.log(text));
  for (const { title, prompt, decode } of ratios(results)) {
    console.log(`wp-models ÷ ${title}: prompt ${prompt.toFixed(2)} ×, decode ${decode.toFixed(2)} ×`);
  }
  for (const { title, error } of results) if (error) console.log(`${title} failed: ${error}`);
}
