// Cos and sin of the rotary position embedding, computed on the CPU in float64 and handed to each step: a GPU's own sin
// loses precision at large angles, and a step has few tokens. Sources: Su et al. 2021, https://arxiv.org/abs/2104.09864;
// linear and llama3 scaling as transformers' modeling_rope_utils computes them.

import type { RotaryConfig } from './rotary-config.ts';

/** What `rotaryRows` needs of a model's configuration. */
export interface RotaryShape {
  headDim: number;
  rotary: RotaryConfig;
}

/** Radians a position, one a pair of numbers: [headDim / 2]. */
export function inverseFrequencies({ headDim, rotary: { theta, scaling } }: RotaryShape): Float64Array {
  const plain = Float64Array.from({ length: headDim / 2 }, (_, i) => theta ** ((-2 * i) / headDim));
  switch (scaling.type) {
    case 'none':
      return plain;
    case 'linear':
      return plain.map((frequency) => frequency / scaling.factor);
    case 'divisors':
      return plain.map((frequency, i) => frequency / scaling.divisors[i]!);
    case 'llama3': {
      const { factor, lowFrequencyFactor, highFrequencyFactor, originalContextLength } = scaling;
      return plain.map((frequency) => {
        // How many turns the pair makes within the original context decides.
        const turns = (originalContextLength * frequency) / (2 * Math.PI);
        if (turns > highFrequencyFactor) return frequency;
        if (turns < lowFrequencyFactor) return frequency / factor;
        const kept = (turns - lowFrequencyFactor) / (highFrequencyFactor - lowFrequencyFactor);
        return (1 - kept) * (frequency / factor) + kept * frequency;
      });
    }
  }
}

/**
 * The rotations of `tokens` tokens at positions past … past + tokens − 1: [tokens, headDim], of each row the first half
 * is cos and the second half sin. It is the step input `rotary`.
 */
export function rotaryRows(config: RotaryShape, past: number, tokens: number): Float32Array {
  const frequencies = inverseFrequencies(config);
  const half = frequencies.length;
  const rows = new Float32Array(tokens * 2 * half);
  for (let token = 0; token < tokens; token++) {
    const row = token * 2 * half;
    for (let i = 0; i < half; i++) {
      const angle = (past + token) * frequencies[i]!;
      rows[row + i] = Math.cos(angle);
      rows[row + half + i] = Math.sin(angle);
    }
  }
  return rows;
}
