// Bits a role and a layer, as a policy: what `quantize` takes, and `loadModel` as its precision. A chunk of its own.
//
// Mixed precision follows the sensitivity of a transformer's parts: the tables that every token passes, and the queries,
// keys and values, keep 8 bits; what remains, which is most of the weights, takes the bits that were asked for. Norms are
// never quantised.

import { WpError } from '../errors.ts';
import type { Graph, Weight, WeightRole } from '../graph/types.ts';
import type { FormatName } from '../quantization/formats.ts';
import type { QuantizationBits, QuantizationOptions } from '../types.ts';
import type { PrecisionPolicy } from './precision-policy.ts';
import { isMatrix } from './weight-bytes.ts';

const BITS = [2, 3, 4, 8, 16] as const;
const GROUP_SIZES = [16, 32, 64, 128] as const;
const SCHEMES = ['symmetric', 'asymmetric'] as const;

type MatrixRole = Exclude<WeightRole, 'norm' | 'bias'>;

/** Bits of mixed precision; undefined is what was asked for. */
const MIXED: Readonly<Record<MatrixRole, 8 | undefined>> = {
  embedding: 8,
  position: 8,
  'attention-qkv': 8,
  'attention-output': undefined,
  'ffn-in': undefined,
  'ffn-out': undefined,
  output: 8,
  conv: 8,
};

/** Scales of two levels where the width allows them: they lose least in as many bytes. */
const BEST: Readonly<Record<QuantizationBits, readonly FormatName[]>> = {
  2: ['q2k', 'q2g32'],
  3: ['q3k', 'q3g32'],
  4: ['q4k', 'q4g32'],
  8: ['q8g32'],
  16: ['f16'],
};

/**
 * The policy of these options for the weights of a graph, lowered or not. Throws `invalid-argument` for a value that is not
 * allowed, and for an entry of `perLayer` that names no matrix.
 */
export function quantizationPolicy(options: QuantizationOptions, graph: Graph): PrecisionPolicy & BitsOf {
  const { bits, scheme, groupSize, mixedPrecision = false, perLayer = {} } = options;
  expectOneOf('bits', bits, BITS);
  if (scheme !== undefined) expectOneOf('scheme', scheme, SCHEMES);
  if (groupSize !== undefined) expectOneOf('groupSize', groupSize, GROUP_SIZES);
  const roles = rolesOf(mixedPrecision, bits);
  const overrides = overridesOf(perLayer, graph);

  const bitsOf: BitsOf['bitsOf'] = (weight) => {
    const own = weight.parts.map(({ tensor }) => overrides.get(tensor) ?? roles[weight.role as MatrixRole]);
    // A stack has one format: that of the part that wants most.
    return own.reduce((most, one) => (one > most ? one : most));
  };
  return {
    bitsOf,
    formatsFor: (weight) => formatsOf(bitsOf(weight), scheme, groupSize),
    reasons: describe(options, roles, overrides.size),
  };
}

export interface BitsOf {
  /** The bits that a matrix gets. */
  bitsOf(weight: Weight): QuantizationBits;
}

function formatsOf(
  bits: QuantizationBits,
  scheme: QuantizationOptions['scheme'],
  groupSize: QuantizationOptions['groupSize'],
): readonly FormatName[] {
  if (bits === 16 || (scheme === undefined && groupSize === undefined)) return BEST[bits];
  const suffix = scheme === 'asymmetric' ? 'm' : '';
  // A minimum costs as much as a scale: twice the group keeps the bits a weight.
  const size = groupSize ?? (scheme === 'asymmetric' ? 64 : 32);
  return GROUP_SIZES.filter((one) => one === size || (one < size && one >= 32))
    .reverse()
    .map((one) => `q${bits}g${one}${suffix}` as const);
}

function rolesOf(
  mixed: NonNullable<QuantizationOptions['mixedPrecision']>,
  bits: QuantizationBits,
): Record<MatrixRole, QuantizationBits> {
  const names = Object.keys(MIXED) as MatrixRole[];
  if (typeof mixed !== 'boolean' && (typeof mixed !== 'object' || mixed === null)) {
    throw invalid('mixedPrecision', mixed, ['true', 'false', 'an object of bits by role']);
  }
  const overrides = typeof mixed === 'object' ? mixed : {};
  for (const [role, value] of Object.entries(overrides)) {
    expectOneOf('a key of mixedPrecision', role, names);
    expectOneOf(`mixedPrecision["${role}"]`, value, BITS);
  }
  const roles = {} as Record<MatrixRole, QuantizationBits>;
  for (const role of names) {
    const usual = mixed === false ? bits : ((MIXED[role] ?? bits) as QuantizationBits);
    roles[role] = overrides[role] ?? (usual > bits ? usual : bits);
  }
  return roles;
}

/** By tensor. The later of two entries that name one tensor wins, so that a pattern can have exceptions after it. */
function overridesOf(
  perLayer: Readonly<Record<string, QuantizationBits>>,
  graph: Graph,
): Map<string, QuantizationBits> {
  if (typeof perLayer !== 'object' || perLayer === null) {
    throw invalid('perLayer', perLayer, ['an object of bits by tensor name']);
  }
  const tensors = graph.weights.filter(isMatrix).flatMap(({ parts }) => parts.map(({ tensor }) => tensor));
  const overrides = new Map<string, QuantizationBits>();
  for (const [key, bits] of Object.entries(perLayer)) {
    expectOneOf(`perLayer["${key}"]`, bits, BITS);
    const pattern = new RegExp(
      `^(?:model\\.)?${key
        .replace(/^model\./, '')
        .split('*')
        .map(escape)
        .join('.*')}(?:\\.weight)?$`,
    );
    const named = tensors.filter((tensor) => pattern.test(tensor));
    if (named.length === 0) {
      throw new WpError(
        'invalid-argument',
        `perLayer names "${key.slice(0, 80)}", which is no matrix of this model.`,
        'Use the names of the checkpoint, with * for what varies: "model.layers.0.*". A model with tied embeddings has no lm_head.',
        { actual: key, allowed: tensors.slice(0, 20) },
      );
    }
    for (const tensor of named) overrides.set(tensor, bits);
  }
  return overrides;
}

function escape(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
}

function describe(
  { bits, scheme, groupSize, mixedPrecision = false }: QuantizationOptions,
  roles: Readonly<Record<MatrixRole, QuantizationBits>>,
  overridden: number,
): string[] {
  const how = [scheme, groupSize && `groups of ${groupSize}`].filter(Boolean).join(', ');
  const reasons = [`${bits} bits a weight were asked for${how ? ` (${how})` : ''}.`];
  const others = Object.entries(roles).filter(([, own]) => own !== bits);
  if (mixedPrecision && others.length > 0) {
    reasons.push(`Mixed precision: ${others.map(([role, own]) => `${role} ${own} bits`).join(', ')}.`);
  }
  if (overridden > 0)
    reasons.push(`${overridden} ${overridden === 1 ? 'matrix has' : 'matrices have'} bits of its own.`);
  return reasons;
}

function expectOneOf(what: string, value: unknown, allowed: readonly unknown[]): void {
  if (!allowed.includes(value)) throw invalid(what, value, allowed);
}

function invalid(what: string, actual: unknown, allowed: readonly unknown[]): WpError {
  const shown = (JSON.stringify(actual) ?? String(actual)).slice(0, 80);
  return new WpError('invalid-argument', `${what} is ${shown}; allowed: ${allowed.join(', ')}.`, '', {
    actual,
    allowed,
  });
}
