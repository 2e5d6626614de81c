// Attribute converters: an attribute that is absent, empty or no number is `undefined`, never NaN or a false default.

import type { ComplexAttributeConverter } from 'lit';

export const numberAttribute: ComplexAttributeConverter<number | undefined> = {
  fromAttribute: (value) => {
    const number = value === null || value.trim() === '' ? Number.NaN : Number(value);
    return Number.isFinite(number) ? number : undefined;
  },
  toAttribute: (value) => (value === undefined ? null : String(value)),
};

export const textAttribute: ComplexAttributeConverter<unknown> = {
  fromAttribute: (value) => value ?? undefined,
  toAttribute: (value) => (typeof value === 'string' ? value : null),
};

/** One of a few words; anything else is the first of them. */
export function oneOf<Word extends string>(...words: [Word, ...Word[]]): ComplexAttributeConverter<Word> {
  return { fromAttribute: (value) => words.find((word) => word === value) ?? words[0] };
}

/** `First idea | Second idea`, or a JSON array of strings. */
export const listAttribute: ComplexAttributeConverter<readonly string[]> = {
  fromAttribute: (value) => {
    if (!value?.trim()) return [];
    if (value.trim().startsWith('[')) {
      try {
        const list: unknown = JSON.parse(value);
        if (Array.isArray(list)) return list.map(String);
      } catch {
        // Not JSON: it is a text that begins with a bracket.
      }
    }
    return value
      .split('|')
      .map((item) => item.trim())
      .filter(Boolean);
  },
};
