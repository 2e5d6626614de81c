// The light edition of @huggingface/tokenizers, for runtime/processing/tokenizer-library.ts: what only WordPiece, Unigram
// and models with regular expressions use is made unreachable, so that rollup leaves it out. The library is one file
// without side effects; what a switch constructs is replaced by a refusal. Which tokenizer.json may meet this edition is
// decided by LIGHT_TYPES in tokenizer-library.ts, and the refusal is for mistakes in that list.

import { readFile } from 'node:fs/promises';

const LIBRARY = '@huggingface/tokenizers';
const LIGHT_IMPORTER = /\/runtime\/processing\/tokenizer-library\.ts$/;
const SUFFIX = '?light';

/** What is constructed, and how often the library says so. */
const UNREACHED = [
  [/\breturn new BertNormalizer_default\(/g, 1],
  [/\breturn new Precompiled_default\(/g, 1],
  [/\breturn new BertPreTokenizer_default\(/g, 1],
  [/\breturn new BertProcessing_default\(/g, 1],
  [/\breturn new Unigram_default\(/g, 2],
  [/\breturn new WordPiece_default2?\(/g, 3],
  [/\breturn new Legacy_default\(/g, 1],
  [/\breturn new CTC_default\(/g, 1],
  [/(?<!function )\brewrite_oniguruma_to_js\(/g, 1],
];

const REFUSAL = `const onlyInTheFullEdition = () => {
  throw new Error('Unsupported by the light edition of the tokenizers');
};
`;

/** The library's source without what the light edition leaves out. Throws when another version reads differently. */
export function lightTokenizers(code) {
  let light = code;
  for (const [pattern, expected] of UNREACHED) {
    const found = light.match(pattern)?.length ?? 0;
    if (found !== expected) {
      throw new Error(
        `${LIBRARY} has ${String(pattern)} ${found} times, not ${expected}: look at what this version brings.`,
      );
    }
    light = light.replace(pattern, (text) => `${text.startsWith('return') ? 'return ' : ''}onlyInTheFullEdition(`);
  }
  return REFUSAL + light;
}

export function withLightTokenizers() {
  return {
    name: 'with-light-tokenizers',
    async resolveId(source, importer, options) {
      if (source !== LIBRARY || !LIGHT_IMPORTER.test(importer ?? '')) return null;
      const resolved = await this.resolve(source, importer, { ...options, skipSelf: true });
      return resolved && { ...resolved, id: resolved.id + SUFFIX };
    },
    async load(id) {
      if (!id.endsWith(SUFFIX)) return null;
      return lightTokenizers(await readFile(id.slice(0, -SUFFIX.length), 'utf8'));
    },
  };
}
