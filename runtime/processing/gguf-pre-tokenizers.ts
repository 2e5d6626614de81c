// How a byte-level BPE vocabulary cuts a text before merging, by the name that GGUF files give it (`tokenizer.ggml.pre`).
// Patterns are applied one after another, each to the pieces of the one before. Sources: the tokenizer.json of the models
// that the names come from, and llama.cpp's vocabulary code, which says which names mean the same.

import { WpError } from '../errors.ts';

export interface PreTokenizerRules {
  patterns: readonly string[];
  /** A piece that is a token as a whole is not cut and merged again. */
  ignoreMerges?: true;
  /** Text begins with BOS unless the file says otherwise. */
  addsBos?: true;
  /** The models' own tokenizers compose characters first. */
  composes?: true;
}

const CONTRACTIONS = "'s|'t|'re|'ve|'m|'ll|'d";
const ANY_CASE_CONTRACTIONS = "(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])";
const GPT2 = `${CONTRACTIONS}| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+`;
/** As GPT-4 cuts, with up to `digits` digits together. */
const gpt4 = (digits: string): string =>
  `${ANY_CASE_CONTRACTIONS}|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}${digits}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+`;
const THREE_DIGITS = '[0-9][0-9][0-9]';
const UPPER = '[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]';
const LOWER = '[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]';

const gpt2: PreTokenizerRules = { patterns: [GPT2] };
const llama3: PreTokenizerRules = { patterns: [gpt4('{1,3}')], ignoreMerges: true, addsBos: true };
const qwen2: PreTokenizerRules = { patterns: [gpt4('')], composes: true };
const smollm: PreTokenizerRules = { patterns: ['\\p{N}', GPT2] };

const RULES: Readonly<Record<string, PreTokenizerRules>> = {
  default: { patterns: ['[\\p{P}\\$\\+<=>\\^~\\|]+', GPT2, '\\p{N}+', THREE_DIGITS] },
  'gpt-2': gpt2,
  'phi-2': gpt2,
  mpt: gpt2,
  olmo: gpt2,
  'llama-bpe': llama3,
  'llama-v3': llama3,
  llama3,
  'smaug-bpe': { patterns: [gpt4('{1,3}')] },
  dbrx: { patterns: [gpt4('{1,3}')] },
  qwen2,
  'deepseek-r1-qwen': qwen2,
  smollm,
  starcoder: smollm,
  refact: smollm,
  'command-r': smollm,
  falcon: { patterns: ['[\\p{P}\\$\\+<=>\\^~\\|`]+', GPT2, THREE_DIGITS] },
  tekken: {
    patterns: [
      `[^\\r\\n\\p{L}\\p{N}]?${UPPER}*${LOWER}+|[^\\r\\n\\p{L}\\p{N}]?${UPPER}+${LOWER}*|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+`,
    ],
    ignoreMerges: true,
    addsBos: true,
  },
};

/** Throws `unsupported-config` for a name that is not known: another cut would give the model other tokens. */
export function preTokenizerRules(name: string): PreTokenizerRules {
  const rules = Object.hasOwn(RULES, name) ? RULES[name] : undefined;
  if (rules) return rules;
  const allowed = Object.keys(RULES);
  throw new WpError(
    'unsupported-config',
    `The model's vocabulary is cut as ${JSON.stringify(name.slice(0, 80))} (tokenizer.ggml.pre), which this version does not know.`,
    `Supported: ${allowed.join(', ')}.`,
    { field: 'tokenizer.ggml.pre', actual: name.slice(0, 80), allowed },
  );
}

/** Names to write, the usual one of several that mean the same first. */
export const PRE_TOKENIZER_NAMES: readonly string[] = Object.keys(RULES).filter((name) => name !== 'default');
