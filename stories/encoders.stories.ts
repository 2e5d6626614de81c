import {
  openEncoderGoldens,
  packWeights,
  relativeError,
  type ENCODER_VARIANTS,
} from '../test/support/encoder-goldens.ts';
import { runEncoder } from '../test/support/run-encoder.ts';
import { familyStory, readFixture, readJson, wasmBackend, type Comparison, type FamilyRun } from './family-card.ts';
import type { Story, StoryMeta } from './story.ts';

export default { title: 'Families/Encoders' } satisfies StoryMeta;

const OUTPUTS: Record<string, string> = {
  hidden: 'Hidden states',
  pooled: 'Pooled output',
  embedding: 'Embeddings',
  logits: 'Logits',
};

async function runFamily(variant: (typeof ENCODER_VARIANTS)[number]): Promise<FamilyRun> {
  const { model, cases, tensors } = await openEncoderGoldens((path) => readFixture(`encoders/${path}`), variant);
  const backend = await wasmBackend();
  const comparisons: Comparison[] = [];
  for (const { name, graph, inputs, expected } of cases.filter(({ name }) => !name.endsWith('pooling'))) {
    const outputs = await runEncoder(backend, graph, packWeights(graph, tensors, 'f16'), inputs);
    for (const [output, golden] of Object.entries(expected)) {
      const ours = outputs[output]!;
      const title = `${OUTPUTS[output]!}${name === 'images' ? ' of two images' : ''}`;
      comparisons.push({ name: title, ours, golden, error: relativeError(ours, golden), tolerance: 1e-5 });
    }
  }
  const inputs = [model.text && 'texts', model.vision && 'images'].filter(Boolean).join(' and ');
  const config = await readJson<Record<string, unknown>>(`encoders/${variant}/config.json`);
  return { config, input: `It reads ${inputs}.`, comparisons };
}

const encoder = (name: string, variant: (typeof ENCODER_VARIANTS)[number], about: string): Story =>
  familyStory(name, about, () => runFamily(variant));

export const Bert = encoder('BERT', 'bert', 'Learned positions, segments, and norms after each block.');
export const Roberta = encoder(
  'RoBERTa',
  'roberta-classes',
  'Positions that begin behind the padding; a head for classes.',
);
export const DistilBert = encoder('DistilBERT', 'distilbert-classes', 'BERT without segments; a head for classes.');
export const Mpnet = encoder('MPNet', 'mpnet', 'A learned bias for each distance between two tokens.');
export const XlmRoberta = encoder('XLM-RoBERTa', 'xlm-roberta-rank', 'RoBERTa for many languages; a head that ranks.');
export const NomicBert = encoder('Nomic BERT', 'nomic-bert', 'Rotations in place of learned positions, SwiGLU.');
export const ModernBert = encoder('ModernBERT', 'modernbert-classes', 'Attention in windows and over all, in turns.');
export const Vit = encoder('ViT', 'vit', 'An image as a sequence of patches.');
export const Deit = encoder('DeiT', 'deit-teacher', 'ViT with a second token, which a teacher taught.');
export const Dinov2 = encoder('DINOv2', 'dinov2-classes', 'ViT with scales on its layers; features for any task.');
export const Clip = encoder('CLIP', 'clip', 'A tower for texts and one for images, which meet in one space.');
export const Siglip = encoder('SigLIP', 'siglip', 'Two towers as CLIP’s; an attention pools the image.');
