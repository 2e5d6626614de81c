// wllama (llama.cpp in WASM) on the same shape and precision, in the same page. A development dependency of the bench alone.
// Its own timings are taken: they leave out tokenizing, and what stands between its worker and the page.

import { median } from '../measure.mjs';
import { SHAPES, weightBytesPerToken } from '../shapes.mjs';
import { ggufFile } from '../synthetic-model.mjs';

const MODULE = '/node_modules/@wllama/wllama/esm/index.min.js';
const WASM = '/node_modules/@wllama/wllama/esm/wasm/wllama.wasm';

/**
 * @param {{ gguf?: string, precision?: string, shape?: string, bits: 4 | 8, backend: 'wasm' | 'webgpu', threads: number, promptTokens: number,
 *   decodeTokens: number, rounds: number }} job the address of a file, or a shape whose file is made here
 */
export async function measureWllama(job, log = () => {}) {
  const { Wllama } = await import(MODULE);
  const wllama = new Wllama({ default: WASM }, { suppressNativeLog: true });
  const blob = job.gguf ? await (await fetch(job.gguf)).blob() : ggufFile(SHAPES[job.shape], job.bits).blob();
  const start = performance.now();
  try {
    await wllama.loadModel([blob], {
      n_ctx: job.promptTokens + job.decodeTokens + 64,
      n_batch: 512,
      n_threads: job.threads,
      n_gpu_layers: job.backend === 'webgpu' ? 999 : 0,
    });
    const loadMs = performance.now() - start;
    log(`wllama loaded in ${Math.round(loadMs)} ms`);
    const warmUp = { ...job, decodeTokens: Math.min(8, job.decodeTokens) };
    const letters = await lettersFor(wllama, warmUp);
    const rounds = [];
    for (let round = 1; round <= job.rounds; round += 1) {
      const timings = await complete(wllama, job, letters, round);
      const { prompt_per_second: prompt, predicted_per_second: decode } = timings;
      log(`wllama round ${round}: ${prompt.toFixed(1)} prompt, ${decode.toFixed(1)} decode tokens/s`);
      rounds.push([prompt, decode]);
    }
    return {
      engine: 'wllama',
      precision: job.precision ?? (job.bits === 8 ? 'Q8_0' : 'Q4_0'),
      backend: job.backend,
      threads: job.threads,
      loadMs,
      promptTokens: job.promptTokens,
      decodeTokens: job.decodeTokens,
      promptTokensPerSecond: median(rounds.map(([prompt]) => prompt)),
      decodeTokensPerSecond: median(rounds.map(([, decode]) => decode)),
      rounds,
      weightBytesPerToken: job.shape && weightBytesPerToken(SHAPES[job.shape], job.bits + 0.5),
    };
  } finally {
    await wllama.exit();
  }
}

/**
 * How many letters make a prompt of as many tokens as the other engines read, found by trying, which also warms up: wllama
 * takes text only. In a synthetic vocabulary a letter is a token; in most others a letter after a space is.
 */
async function lettersFor(wllama, job) {
  let letters = job.promptTokens;
  for (let trial = 0; trial < 5; trial += 1) {
    const { prompt_n: tokens } = await complete(wllama, job, letters, 26 - trial);
    if (tokens === job.promptTokens) return letters;
    letters += job.promptTokens - tokens;
  }
  throw new Error(`No text of exactly ${job.promptTokens} tokens was found for wllama.`);
}

/** One completion; its timings. `round` is the first letter, another one each time, so that no prefix is used again. */
async function complete(wllama, job, letters, round) {
  const others = 'xqzjkvbwyg';
  let prompt = String.fromCharCode(97 + (round % 26));
  for (let i = 1; i < letters; i += 1) prompt += (job.gguf ? ' ' : '') + others[(i * 7) % 10];
  const { timings } = await wllama.createCompletion({
    prompt,
    max_tokens: job.decodeTokens,
    temperature: 0,
    ignore_eos: true,
    cache_prompt: false,
  });
  if (timings.predicted_n !== job.decodeTokens) {
    throw new Error(`wllama wrote ${timings.predicted_n} tokens, not ${job.decodeTokens}.`);
  }
  return timings;
}
