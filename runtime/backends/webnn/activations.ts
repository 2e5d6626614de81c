// The activations of encoders, from WebNN's operations.

import type { Activation } from '../../graph/types.ts';
import type { CheckedBuilder } from './checked-builder.ts';
import type { MLOperand } from './ml-api.ts';
import { kindOf } from './support.ts';

export function activate(b: CheckedBuilder, x: MLOperand, activation: Activation): MLOperand {
  switch (activation) {
    case 'gelu':
      if (b.support.has('gelu', { input: kindOf(x) })) return b.unary('gelu', x);
      return halfTimesOnePlus(b, x, b.unary('erf', b.scale(x, Math.SQRT1_2)));
    case 'gelu-tanh': {
      // √(2/π)·(x + 0.044715·x³)
      const inner = b.add(b.scale(b.mul(b.mul(x, x), x), 0.044715), x);
      return halfTimesOnePlus(b, x, b.unary('tanh', b.scale(inner, Math.sqrt(2 / Math.PI))));
    }
    case 'gelu-quick':
      return b.mul(x, b.unary('sigmoid', b.scale(x, 1.702)));
    case 'silu':
      return b.mul(x, b.unary('sigmoid', x));
    case 'relu':
    case 'tanh':
    case 'sigmoid':
      return b.unary(activation, x);
  }
}

/** Of stacked rows (gate, up): f(gate)·up. */
export function activateGated(b: CheckedBuilder, x: MLOperand, activation: Activation): MLOperand {
  const width = x.shape[1]! / 2;
  return b.mul(activate(b, b.slice(x, 1, 0, width), activation), b.slice(x, 1, width, width));
}

function halfTimesOnePlus(b: CheckedBuilder, x: MLOperand, y: MLOperand): MLOperand {
  return b.mul(b.scale(x, 0.5), b.add(y, b.scalar(1)));
}
