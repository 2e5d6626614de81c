import {
  argMax,
  openDecoder,
  parseGoldens,
  relativeError,
  tolerance,
  type VARIANTS,
} from '../test/integration/golden-decoder.ts';
import { familyStory, fixtureUrl, readFixture, readJson, wasmBackend, type FamilyRun } from './family-card.ts';
import type { Story, StoryMeta } from './story.ts';

export default { title: 'Families/Decoders' } satisfies StoryMeta;

/** The prompt, and six tokens on the cache. */
async function runDecoder(variant: (typeof VARIANTS)[number]): Promise<FamilyRun> {
  const folder = `decoders/${variant}`;
  const json = new TextDecoder().decode(await readFixture(`${folder}/goldens.json`));
  const goldens = parseGoldens(json, await readFixture(`${folder}/goldens.bin`));
  const { prompt, decoded, vocabulary } = goldens;
  const decoder = await openDecoder(fixtureUrl(`${folder}/`).href, await wasmBackend());
  const compare = (name: string, ours: Float32Array, golden: Float32Array) => ({
    name,
    ours,
    golden,
    error: relativeError(ours, golden),
    tolerance: tolerance(variant),
  });
  const prefill = await decoder.step(prompt, 0, true);
  const comparisons = [compare('Logits of the prompt', prefill, goldens.prefill)];
  const chosen = [argMax(prefill.subarray(-vocabulary))];
  for (const [step, token] of decoded.slice(0, 6).entries()) {
    const logits = await decoder.step([token], prompt.length + step);
    chosen.push(argMax(logits));
    const golden = goldens.decode.subarray(step * vocabulary, (step + 1) * vocabulary);
    if (step === 5) comparisons.push(compare('Logits of the sixth token', logits, golden));
  }
  decoder.program.dispose();
  const expected = decoded.slice(0, 7).join(' ');
  if (chosen.join(' ') !== expected) throw new Error(`${variant} goes on with ${chosen.join(' ')}, not ${expected}`);
  const input = `It reads the tokens ${prompt.slice(0, 6).join(' ')} … and goes on with ${expected} …, as transformers does.`;
  return { config: await readJson(`${folder}/config.json`), input, comparisons };
}

const decoder = (name: string, variant: (typeof VARIANTS)[number], about: string): Story =>
  familyStory(name, about, () => runDecoder(variant));

export const Llama = decoder('Llama', 'llama-llama3', 'Grouped queries, SwiGLU, and the rotations of Llama 3.');
export const Mistral = decoder('Mistral', 'mistral-window', 'Llama’s layers, with attention in a sliding window.');
export const Qwen2 = decoder('Qwen 2', 'qwen2-bias', 'Biases on queries, keys and values.');
export const Qwen3 = decoder('Qwen 3', 'qwen3-qk-norm', 'Queries and keys are normalised, head by head.');
export const SmolLM = decoder('SmolLM', 'smollm', 'Llama’s layers, small, with embeddings that are also the output.');
