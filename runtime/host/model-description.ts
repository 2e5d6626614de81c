// The small files of a model's folder, read together before anything is decided: what the model is, how it writes and how
// it wants to be sampled.

import { WpError } from '../errors.ts';
import { openRequired, type ModelFiles } from '../loading/model-files.ts';
import { isDecoder, modelTypeOf } from '../models/index.ts';
import { isRecord } from '../processing/json.ts';

/** Parsed files; undefined where the folder has none. */
export interface ModelDescription {
  config: unknown;
  generationConfig: unknown;
  tokenizer: unknown;
  tokenizerConfig: unknown;
  templateText: string | undefined;
  templateJson: unknown;
}

/**
 * @throws WpError `not-found` without a config.json; of a model that writes, `missing-tokenizer` without a tokenizer.json (of the
 * others, some read images only).
 */
export async function readModelFiles(files: ModelFiles, signal: AbortSignal): Promise<ModelDescription> {
  const optionalJson = async (name: string): Promise<unknown> => (await files.open(name, signal))?.readJson(signal);
  const optionalText = async (name: string): Promise<string | undefined> =>
    (await files.open(name, signal))?.readText(signal);
  files.anticipate?.(['tokenizer.json', 'tokenizer_config.json', 'model.safetensors'], signal);
  // The configuration first: what is not a model must fail as that, and not as a missing tokenizer.
  const config = await (await openRequired(files, 'config.json', signal)).readJson(signal);
  const writes = isDecoder(modelTypeOf(config));
  // Fetched while the other files come. A failure is told where the code is needed.
  if (!writes) import('./encoder-model.ts').catch(() => undefined);
  // Each file that is not there is an error in the page's console, so none is asked for that this kind of model has not: one that
  // sees images alone says their size where one of two towers names its towers.
  const reads = writes || !('image_size' in (config as object));
  const [generationConfig, tokenizer, tokenizerConfig] = await Promise.all([
    writes ? optionalJson('generation_config.json') : undefined,
    reads ? optionalJson('tokenizer.json') : undefined,
    reads ? optionalJson('tokenizer_config.json') : undefined,
  ]);
  // Asked for only when the usual place has no template.
  const hasTemplate = isRecord(tokenizerConfig) && tokenizerConfig.chat_template !== undefined;
  const [templateText, templateJson] =
    hasTemplate || !writes
      ? [undefined, undefined]
      : await Promise.all([optionalText('chat_template.jinja'), optionalJson('chat_template.json')]);
  if (tokenizer === undefined && writes) {
    throw new WpError(
      'missing-tokenizer',
      `${files.description} has no tokenizer.json.`,
      'Put the tokenizer.json of the model beside its weights; slow tokenizers can be converted with transformers’ AutoTokenizer.',
      { source: files.description },
    );
  }
  return { config, generationConfig, tokenizer, tokenizerConfig, templateText, templateJson };
}
