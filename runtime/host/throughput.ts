// Throughput of the path that answers take, without tokenizer and text: what bench/ prints. Fetched when it is asked for.

import { WpError } from '../errors.ts';
import type { DecoderSession } from '../generation/decode-loop.ts';
import { resolveGenerationOptions } from '../generation/options.ts';
import type { BenchmarkResult, BenchmarkSizes, MemoryReport, ModelInfo } from '../types.ts';

const GREEDY = { temperature: 0, topK: 0, topP: 1, minP: 0, repetitionPenalty: 1, seed: 0 };

/** A greedy answer to a prompt of arbitrary tokens, from the empty cache. */
export async function measureThroughput(
  { session, info }: { session: DecoderSession; info: ModelInfo },
  memory: () => MemoryReport,
  { profile, ...sizes }: BenchmarkSizes,
  signal: AbortSignal,
): Promise<BenchmarkResult> {
  const { promptTokens, decodeTokens } = sizes;
  const length = promptTokens + decodeTokens;
  if (promptTokens < 1 || decodeTokens < 1 || length > session.contextLength) {
    throw new WpError(
      'invalid-argument',
      `A benchmark of ${promptTokens} + ${decodeTokens} tokens does not fit the context of ${session.contextLength}.`,
      'Ask for fewer tokens, or load the model with a larger contextLength.',
      { actual: length, allowed: session.contextLength },
    );
  }
  const prompt = Array.from({ length: promptTokens }, (_, i) => (i * 2654435761) % info.vocabularySize);
  // The prompt's own step gives the first token.
  const options = resolveGenerationOptions({ ...GREEDY, maxTokens: decodeTokens + 1 }, info.defaults);
  const events = session.generate(prompt, options, { eosIds: [], signal, isolated: true });
  const times: number[] = [];
  let report: Pick<BenchmarkResult, 'sampling' | 'memory'> | undefined;
  for await (const { type } of events) {
    times.push(performance.now());
    // As it is in the midst of an answer, by the program that gives it.
    if (type === 'started') continue;
    report ??= { sampling: session.samplesOnDevice(options) ? 'device' : 'host', memory: memory() };
  }
  const [start, prefilled] = times as [number, number];
  return {
    ...sizes,
    promptTokensPerSecond: promptTokens / ((prefilled - start) / 1000),
    decodeTokensPerSecond: decodeTokens / ((times.at(-1)! - prefilled) / 1000),
    ...session.program.profile(),
    // The tokens are out, so that what it leaves in the cache is behind all that is kept.
    kernelTimings: profile ? await session.program.measureKernels?.(length - 1) : undefined,
    ...report!,
  };
}
