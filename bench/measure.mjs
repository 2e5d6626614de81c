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
  // Measured as asked, not while it is being tuned.
  const model = await api.loadModel(job.source, { tuning: 'off', ...job.options });
  const loadMs = performance.now() - start;
  log(`loaded in ${Math.round(loadMs)} ms: ${model.info.plan.backendDescription}`);
  const sizes = { promptTokens: job.promptTokens, decodeTokens: job.decodeTokens };
  // Every engine warms up with a whole prompt: what is compiled for a prompt's length is not measured.
  await model.benchmark({ ...sizes, decodeTokens: Math.min(8, job.decodeTokens) });
  const tuning = job.tune ? await tune(model, log) : undefined;
  // In turns with the same model untuned, so that nothing else that the machine does decides between them.
  const untuned = job.tune ? await api.loadModel(job.source, { ...job.options, tuning: 'off' }) : undefined;
  const rounds = [];
  const untunedRounds = [];
  for (const each of untuned ? [model, untuned] : []) {
    await each.benchmark({ ...sizes, decodeTokens: Math.min(8, job.decodeTokens) });
  }
  for (let round = 1; round <= job.rounds; round += 1) {
    if (untuned) untunedRounds.push(await oneRound(untuned, sizes, `round ${round}, untuned`, log));
    rounds.push(await oneRound(model, sizes, `round ${round}`, log));
  }
  await untuned?.dispose();
  // Apart from the rounds: what measures each kernel takes its time.
  const { kernelTimings } = job.profile ? await model.benchmark({ ...sizes, decodeTokens: 1, profile: true }) : {};
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
    ...ratesOf(rounds),
    sampling: last.sampling,
    tuning: tuning && { ...tuning, untuned: ratesOf(untunedRounds) },
    dispatchesPerToken: last.dispatchesPerToken,
    weightBytesPerToken: last.weightBytesPerToken,
    kernels: last.kernels,
    kernelTimings,
    memory: last.memory,
    parameters: model.info.parameters,
  };
  await model.dispose();
  return result;
}

async function oneRound(model, sizes, title, log) {
  const result = await model.benchmark(sizes);
  const { promptTokensPerSecond, decodeTokensPerSecond } = result;
  log(`${title}: ${promptTokensPerSecond.toFixed(1)} prompt, ${decodeTokensPerSecond.toFixed(1)} decode tokens/s`);
  return result;
}

const ratesOf = (rounds) => ({
  promptTokensPerSecond: median(rounds.map((round) => round.promptTokensPerSecond)),
  decodeTokensPerSecond: median(rounds.map((round) => round.decodeTokensPerSecond)),
  rounds: rounds.map((round) => [round.promptTokensPerSecond, round.decodeTokensPerSecond]),
});

/** Tunes anew, and says what each kernel gained. */
async function tune(model, log) {
  const report = await model.tune({ again: true });
  const { record, measured, remaining, milliseconds, compilingMilliseconds } = report;
  const choices = record.choices.filter(({ key }) => measured.includes(key));
  log(
    `tuned in ${milliseconds} ms (and ${compilingMilliseconds} ms of compilers) by ${record.timer}: ${measured.length} kernels, ${remaining.length} left`,
  );
  for (const { key, chosen, standardMicroseconds, bestMicroseconds } of choices) {
    const taken = chosen ? JSON.stringify(chosen) : 'as it was';
    log(`  ${key}: ${standardMicroseconds} → ${bestMicroseconds} µs, ${taken}`);
  }
  return { milliseconds, compilingMilliseconds, timer: record.timer, remaining, choices };
}
