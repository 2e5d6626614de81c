import { unreachable } from '../../../errors.ts';

/** `fn activation(x: T) -> T` for T = f32 or vec4<f32>. */
export function activationFunction(activation: 'silu' | 'gelu-tanh', type: 'f32' | 'vec4<f32>'): string {
  return `fn activation(x: ${type}) -> ${type} {\n  ${activationBody(activation, type)}\n}`;
}

function activationBody(activation: 'silu' | 'gelu-tanh', type: string): string {
  switch (activation) {
    // exp beyond f32 is undefined in WGSL; silu(−80) is 0 to f32's precision.
    case 'silu':
      return `return x / (1.0 + exp(-max(x, ${type}(-80.0))));`;
    // Some drivers compute tanh as a quotient of exps and return NaN for large arguments; tanh(±10) is ±1 in f32.
    case 'gelu-tanh':
      return `let inner = 0.7978845608028654 * (x + 0.044715 * x * x * x);
  return 0.5 * x * (1.0 + tanh(clamp(inner, ${type}(-10.0), ${type}(10.0))));`;
    default:
      return unreachable(activation);
  }
}
