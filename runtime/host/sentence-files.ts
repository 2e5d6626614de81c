// The files that sentence-transformers writes beside a model: how its texts become vectors.

import type { ModelFiles } from '../loading/model-files.ts';
import {
  plainEmbeddings,
  poolingFolder,
  readEmbeddingConfig,
  type EmbeddingConfig,
} from '../tasks/embedding-config.ts';

/** Throws `unsupported-config` for what would change the vectors and is not understood. */
export async function readSentenceFiles(files: ModelFiles, signal: AbortSignal): Promise<EmbeddingConfig> {
  const json = async (name: string): Promise<unknown> => (await files.open(name, signal))?.readJson(signal);
  const modules = await json('modules.json');
  // Without modules.json it is no folder of sentence-transformers, and has none of the others.
  if (modules === undefined) return plainEmbeddings();
  const folder = poolingFolder(modules);
  const [pooling, sentenceTransformers, transformer] = await Promise.all([
    folder === undefined ? undefined : json(folder === '' ? 'config.json' : `${folder}/config.json`),
    json('config_sentence_transformers.json'),
    json('sentence_bert_config.json'),
  ]);
  return readEmbeddingConfig({ modules, pooling, sentenceTransformers, transformer });
}
