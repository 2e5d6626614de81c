// The whole tokenizers library, as a chunk of its own: see tokenizer-library.ts.

export { Tokenizer } from '@huggingface/tokenizers';
