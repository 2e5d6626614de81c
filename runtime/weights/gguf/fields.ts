// Reads the metadata of one architecture key by key and remembers which were read: a key that is left over may change what
// the model computes, and is an error unless it is listed as harmless.

import type { GgufMetadata, GgufValue } from './metadata.ts';
import { shown, unsupportedGguf } from './refusals.ts';

export class ArchitectureFields {
  readonly #read = new Set<string>();

  /** Keys are given without the architecture's name: 'attention.head_count' for llama.attention.head_count. */
  constructor(
    private readonly metadata: GgufMetadata,
    readonly architecture: string,
    readonly file: string,
  ) {}

  value(key: string): GgufValue | undefined {
    this.#read.add(key);
    return this.metadata.get(`${this.architecture}.${key}`);
  }

  /**
   * A finite number; a list of equal numbers (one a layer) counts as that number. What was rounded to a float32 on its way
   * into the file is what was meant: 0.00001, not 0.00000999999974.
   */
  number(key: string): number | undefined {
    const value = this.value(key);
    const list: readonly unknown[] = Array.isArray(value) ? value : [value];
    const first = list[0];
    if (first === undefined && !Array.isArray(value)) return undefined;
    if (typeof first === 'number' && Number.isFinite(first) && list.every((one) => one === first)) {
      const wasRounded = !Number.isInteger(first) && Math.fround(first) === first;
      return wasRounded ? Number(first.toPrecision(7)) : first;
    }
    throw this.unsupported(key, value, 'one finite number for all layers');
  }

  required(key: string): number {
    const value = this.number(key);
    if (value === undefined) throw this.missing(key);
    return value;
  }

  /** Throws when the key is there with another value. */
  mustBe(key: string, allowed: readonly GgufValue[]): void {
    const value = this.value(key);
    if (value === undefined || allowed.includes(value)) return;
    throw this.unsupported(key, value, allowed.map((one) => JSON.stringify(one)).join(' or '));
  }

  rejectUnread(): void {
    for (const [key, value] of this.metadata) {
      if (!key.startsWith(`${this.architecture}.`)) continue;
      if (this.#read.has(key.slice(this.architecture.length + 1))) continue;
      throw unsupportedGguf(
        'unsupported-config',
        this.file,
        `has ${shown(key)} = ${describe(value)}, which this version does not know: it may change what the model computes`,
        'Choose another model; if the field does not change the mathematics, report it so that it can be listed as harmless.',
        { field: key, actual: Array.isArray(value) ? value.slice(0, 8) : value },
      );
    }
  }

  unsupported(key: string, actual: GgufValue | undefined, allowed: string): Error {
    const field = `${this.architecture}.${key}`;
    return unsupportedGguf(
      'unsupported-config',
      this.file,
      `has ${field} = ${describe(actual)}; supported: ${allowed}`,
      'Choose another model, or a variant of this one without it.',
      { field, actual: Array.isArray(actual) ? (actual as readonly unknown[]).slice(0, 8) : actual, allowed },
    );
  }

  missing(key: string): Error {
    const field = `${this.architecture}.${key}`;
    return unsupportedGguf('unsupported-config', this.file, `has no ${field}`, 'Check that the file is complete.', {
      field,
    });
  }
}

function describe(value: GgufValue | undefined): string {
  const text = JSON.stringify(Array.isArray(value) ? value.slice(0, 8) : value) ?? 'nothing';
  return text.length > 60 ? `${text.slice(0, 57)}…` : text;
}
