// Reads a config.json field by field, and remembers which fields were read: what is left over at the end is unknown, and
// an unknown field is an error unless it is listed as harmless. Family-independent; decoder-config.ts is an example.

import { WpError } from '../errors.ts';

export class ConfigReader {
  readonly #fields: Readonly<Record<string, unknown>>;
  readonly #read = new Set<string>();

  /** `where` names the object in messages: 'config.json', 'config.json: rope_scaling'. */
  constructor(
    json: unknown,
    readonly where: string,
  ) {
    if (typeof json !== 'object' || json === null || Array.isArray(json)) {
      throw new WpError('unsupported-config', `${where} is not an object of fields.`, 'Check the file: it may be a different one.', {
        actual: Array.isArray(json) ? 'array' : json === null ? 'null' : typeof json,
        allowed: 'object',
      });
    }
    this.#fields = json as Record<string, unknown>;
  }

  /** The field's value, marked as read; null counts as absent, as in Python. */
  value(name: string): unknown {
    this.#read.add(name);
    return Object.hasOwn(this.#fields, name) ? (this.#fields[name] ?? undefined) : undefined;
  }

  /** True when the file has the field, be it null. */
  has(name: string): boolean {
    return Object.hasOwn(this.#fields, name);
  }

  /** A whole number in [1, largest]. */
  count(name: string, largest: number, otherwise?: number): number {
    const value = this.value(name) ?? otherwise;
    if (typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= largest) return value;
    if (value === undefined) throw this.missing(name);
    throw this.unsupported(name, value, `a whole number from 1 to ${largest}`);
  }

  /** A finite number greater than zero. */
  positive(name: string, otherwise?: number): number {
    const value = this.value(name) ?? otherwise;
    if (typeof value === 'number' && Number.isFinite(value) && value > 0) return value;
    if (value === undefined) throw this.missing(name);
    throw this.unsupported(name, value, 'a number greater than 0');
  }

  flag(name: string, otherwise: boolean): boolean {
    const value = this.value(name) ?? otherwise;
    if (typeof value === 'boolean') return value;
    throw this.unsupported(name, value, 'true or false');
  }

  text(name: string, otherwise?: string): string {
    const value = this.value(name) ?? otherwise;
    if (typeof value === 'string') return value;
    if (value === undefined) throw this.missing(name);
    throw this.unsupported(name, value, 'a string');
  }

  /** One of the names in `choices`, as what it maps to. */
  choice<T>(name: string, choices: Readonly<Record<string, T>>, otherwise: string): T {
    const key = this.text(name, otherwise);
    if (Object.hasOwn(choices, key)) return choices[key]!;
    throw this.unsupported(name, key, Object.keys(choices).join(', '));
  }

  /** A token id, a list of them, or nothing. */
  tokens(name: string): number[] {
    const value = this.value(name);
    const list = value === undefined ? [] : Array.isArray(value) ? (value as unknown[]) : [value];
    return list.map((id) => {
      if (typeof id === 'number' && Number.isInteger(id) && id >= 0) return id;
      throw this.unsupported(name, value, 'a token id or a list of them');
    });
  }

  /** Throws for the first field that is neither read nor `harmless`. A field that is null says nothing. */
  rejectUnread(harmless: ReadonlySet<string>, hint: string): void {
    for (const [name, value] of Object.entries(this.#fields)) {
      if (this.#read.has(name) || harmless.has(name) || value === null) continue;
      throw new WpError(
        'unsupported-config',
        `${this.where} has ${name} = ${shown(value)}, which this version does not know: it may change what the model computes.`,
        hint,
        { field: name, actual: value },
      );
    }
  }

  unsupported(name: string, actual: unknown, allowed: string, hint = ''): WpError {
    return new WpError(
      'unsupported-config',
      `${this.where} has ${name} = ${shown(actual)}; supported: ${allowed}.`,
      hint || 'Choose another model, or a variant of this one without it.',
      { field: name, actual, allowed },
    );
  }

  missing(name: string): WpError {
    return new WpError('unsupported-config', `${this.where} has no ${name}.`, 'Check that the file is complete.', {
      field: name,
      actual: undefined,
    });
  }
}

/** A value for a message: JSON, cut where it gets long. */
function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 80 ? `${text.slice(0, 77)}…` : text;
}
