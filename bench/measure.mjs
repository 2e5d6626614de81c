// One measurement of wp-models, the same in a browser and in Node: load, warm up, then the median of several rounds.

export const median = (values) => {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
};

/**
 * @param {{ loadModel: Function }} api
 * @param {{ source: string, options: object, promptTokens: number, decodeTokens: number, rounds: number }} job
 */
export async function measure(api, job, log = () => {}) {
  const start = performance.now();
  const model = await api.loadModel(job.source, job.options);
  const loadMs = performance.now() - start;
  log(`loaded in ${Math.round(loadMs)} ms: ${model.info.plan.backendDescription}`);
  const sizes = { promptTokens: job.promptTokens, decodeTokens: job.decodeTokens };
  // Every engine warms up with a whole prompt: what is compiled for a prompt's length is not measured.
  await model.benchmark({ ...sizes, decodeTokens: Math.min(8, job.decodeTokens) });
  const rounds = [];
  for (let round = 0; round < job.rounds; round += 1) {
    rounds.push(await model.benchmark(sizes));
    log(
      `round ${round + 1}: ${rounds.at(-1).promptTokensPerSecond.toFixed(1)} prompt, ${rounds.at(-1).decodeTokensPerSecond.toFixed(1)} decode tokens/s`,
    );
  }
  const last = rounds.at(-1);
  const result = {
    engine: 'wp-models',
    precision: model.info.plan.precision,
    bitsPerWeight: model.info.plan.bitsPerWeight,
    backend: model.info.plan.backend,
    backendDescription: model.info.plan.backendDescription,
    threads: model.info.plan.threads,
    loadMs,
    promptTokens: last.promptTokens,
    decodeTokens: last.decodeTokens,
    promptTokensPerSecond: median(rounds.map((r) => r.promptTokensPerSecond)),
    decodeTokensPerSecond: median(rounds.map((r) => r.decodeTokensPerSecond)),
    rounds: rounds.map((r) => [r.promptTokensPerSecond, r.decodeTokensPerSecond]),
    dispatchesPerToken: last.dispatchesPerToken,
    weightBytesPerToken: last.weightBytesPerToken,
    kernels: last.kernels,
    memory: last.memory,
    parameters: model.info.parameters,
  };
  await model.dispose();
  return result;
}
