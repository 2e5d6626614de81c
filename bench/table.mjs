// The table that `npm run bench` prints: tokens a second, beside what the machine allows.

const mebibytes = (bytes) => (bytes === undefined ? '–' : (bytes / 2 ** 20).toFixed(0));
const percent = (ratio) => (Number.isFinite(ratio) ? `${(ratio * 100).toFixed(ratio < 0.1 ? 1 : 0)} %` : '–');

/** Share of the fastest decode that the bytes of the weights, or the dispatches, would allow. */
export function shares(result, limits) {
  const bytesPerSecond = limits[result.backend]?.bytesPerSecond;
  const threads = result.backend === 'wasm' ? (result.threads ?? 1) : 1;
  const byBytes = bytesPerSecond
    ? (result.decodeTokensPerSecond * result.weightBytesPerToken) / (bytesPerSecond * threads)
    : NaN;
  const perDispatch = limits.webgpu?.microsecondsPerDispatch;
  const byDispatches =
    result.backend === 'webgpu' && perDispatch
      ? (result.decodeTokensPerSecond * result.dispatchesPerToken * perDispatch) / 1e6
      : NaN;
  return { byBytes, byDispatches };
}

export function printTable(report) {
  const { limits, results } = report;
  console.log(`\n${report.what} — ${report.userAgent}`);
  if (limits.wasm) console.log(`limit, WASM, one thread: ${(limits.wasm.bytesPerSecond / 1e9).toFixed(1)} GB/s`);
  if (limits.webgpu) {
    const { adapter, bytesPerSecond, microsecondsPerDispatch } = limits.webgpu;
    console.log(
      `limit, WebGPU (${adapter}): ${(bytesPerSecond / 1e9).toFixed(0)} GB/s, ${microsecondsPerDispatch.toFixed(2)} µs a dependent dispatch`,
    );
  }
  const head = [
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
  const rows = results.map((result) => {
    if (result.error) return [result.engine, '', '', '', result.error, '', '', '', '', ''];
    const { byBytes, byDispatches } = shares(result, limits);
    return [
      result.engine,
      result.backend,
      result.precision,
      String(result.threads ?? ''),
      `${result.promptTokensPerSecond.toFixed(1)} (${result.promptTokens})`,
      `${result.decodeTokensPerSecond.toFixed(1)} (${result.decodeTokens})`,
      percent(byBytes),
      percent(byDispatches),
      mebibytes(result.memory?.actual.total),
      String(Math.round(result.loadMs)),
    ];
  });
  const widths = head.map((title, i) => Math.max(title.length, ...rows.map((row) => row[i].length)));
  const line = (cells) => console.log(cells.map((cell, i) => cell.padEnd(widths[i])).join('  '));
  line(head);
  line(widths.map((width) => '-'.repeat(width)));
  rows.forEach(line);
  const [ours, ...peers] = results.filter((result) => !result.error);
  for (const peer of peers) {
    const ratio = (key) => (ours[key] / peer[key]).toFixed(2);
    console.log(
      `wp-models ÷ ${peer.engine}: prompt ${ratio('promptTokensPerSecond')} ×, decode ${ratio('decodeTokensPerSecond')} ×`,
    );
  }
}
