// A SentencePiece vocabulary as merges. SentencePiece joins, again and again, the two neighbours whose union has the highest
// score; so each way to cut a token into two tokens is a merge, and merges are ordered by the score of what they make.

import { TOKEN_TYPE, type GgufVocabulary } from './gguf-vocabulary.ts';

/** Pairs in the order in which a BPE model applies them. */
export function mergesOfScores({ tokens, types, scores }: GgufVocabulary): [string, string][] {
  const scoreOf = new Map<string, number>();
  tokens.forEach((token, id) => {
    // Control tokens and bytes never come out of a text's own characters.
    if (types[id] === TOKEN_TYPE.normal || types[id] === TOKEN_TYPE.unused) scoreOf.set(token, scores?.[id] ?? 0);
  });
  const merges: { left: string; right: string; score: number }[] = [];
  for (const [token, score] of scoreOf) {
    for (let cut = 1; cut < token.length; cut++) {
      const left = token.slice(0, cut);
      const right = token.slice(cut);
      if (scoreOf.has(left) && scoreOf.has(right)) merges.push({ left, right, score });
    }
  }
  // Among equals, those with the longer left part first, as transformers converts such vocabularies.
  merges.sort((a, b) => b.score - a.score || b.left.length - a.left.length || b.right.length - a.right.length);
  return merges.map(({ left, right }) => [left, right]);
}
