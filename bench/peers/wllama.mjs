// wllama (llama.cpp in WASM) on the same shape and precision, in the same page. A development dependency of the bench alone.

import { median } from '../measure.mjs';

const MODULE = '/node_modules/@wllama/wllama/esm/index.min.js';
const WASM = '/node_modules/@wllama/wllama/esm/wasm/wllama.wasm';

/** @param {{ gguf: string, threads: number, gpuLayers: number, promptTokens: number, decodeTokens: number, rounds: number }} job */
export async function measureWllama(job, log = () => {}) {
  const { Wllama } = await import(MODULE);
  const wllama = new Wllama({ default: WASM }, { suppressNativeLog: true });
  const start = performance.now();
  const blob = await (await fetch(job.gguf)).blob();
  await wllama.loadModel([blob], {
    n_ctx: job.promptTokens + job.decodeTokens + 64,
    n_batch: 512,
    n_threads: job.threads,
    n_gpu_layers: job.gpuLayers,
  });
  const loadMs = performance.now() - start;
  log(`wllama loaded in ${Math.round(loadMs)} ms`);
  const prompt = [];
  const decode = [];
  let counts;
  for (let round = 0; round <= job.rounds; round += 1) {
    // A different first character each round, so that no prefix is reused.
    const text = String.fromCharCode(97 + round) + promptText(job.promptTokens - 1, job.charactersPerToken);
    const answer = await wllama.createCompletion({
      prompt: text,
      max_tokens: job.decodeTokens,
      temperature: 0,
      ignore_eos: true,
      cache_prompt: false,
    });
    const { timings } = answer;
    counts = { prompt: timings.prompt_n, decode: timings.predicted_n };
    log(
      `wllama round ${round}: ${timings.prompt_per_second.toFixed(1)} prompt (${timings.prompt_n}), ${timings.predicted_per_second.toFixed(1)} decode (${timings.predicted_n})`,
    );
    if (round === 0) continue; // warm-up
    prompt.push(timings.prompt_per_second);
    decode.push(timings.predicted_per_second);
  }
  await wllama.exit();
  return {
    engine: 'wllama',
    precision: 'Q4_0',
    backend: job.gpuLayers ? 'webgpu' : 'wasm',
    threads: job.threads,
    loadMs,
    promptTokens: counts.prompt,
    decodeTokens: counts.decode,
    promptTokensPerSecond: median(prompt),
    decodeTokensPerSecond: median(decode),
  };
}

/** Text of about `tokens` tokens: single letters between spaces where the vocabulary merges, else letters. */
function promptText(tokens, charactersPerToken = 1) {
  const letters = 'xqzjkvbwyg';
  let text = '';
  for (let i = 0; i < tokens; i += 1) text += charactersPerToken > 1 ? ` ${letters[i % 10]}` : letters[(i * 7) % 10];
  return text;
}
