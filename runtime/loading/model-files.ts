// What the rest of the runtime sees of a model's folder, wherever it is: named files that are opened lazily and read by
// range. The implementations are http-files.ts, blob-files.ts and node-files.ts; open-files.ts chooses among them.

import { WpError } from '../errors.ts';

export interface ModelFile {
  /** Relative to the model's folder: 'model.safetensors'. */
  readonly name: string;
  readonly url?: string | undefined;
  /** In bytes. */
  readonly size: number;
  /** The whole file as UTF-8. Files above 256 MiB are refused (`corrupt-file`): no text of a model is that long. */
  readText(signal?: AbortSignal): Promise<string>;
  /** The whole file as JSON; `corrupt-file` when it is not JSON. The caller validates the shape. */
  readJson(signal?: AbortSignal): Promise<unknown>;
  /** Bytes [start, end), a fresh array that the caller owns. `corrupt-file` when the range reaches past the end. */
  readRange(start: number, end: number, signal?: AbortSignal): Promise<Uint8Array>;
}

export interface ModelFiles {
  /** The place, for messages: a URL or a folder. */
  readonly description: string;
  /** The file of weights that the source named itself, when it did: 'weights-fp16.safetensors'. */
  readonly weightsName?: string | undefined;
  /** Resolves to undefined when there is no such file; rejects when that cannot be told. */
  open(name: string, signal?: AbortSignal): Promise<ModelFile | undefined>;
  /** These will be asked for: whichever of them an earlier visit stored are opened at once. */
  anticipate?(names: readonly string[], signal: AbortSignal): void;
  /** What the person should know about how the files were loaded: why they are not kept, say. */
  notes(): readonly { topic: string; reason: string }[];
  /** Releases handles, locks and connections. Files must not be read afterwards. Idempotent. */
  close(): Promise<void>;
}

const maximumTextBytes = 256 * 2 ** 20;

/** Everything of a ModelFile that follows from `fetchRange`. */
export abstract class RangeFile implements ModelFile {
  abstract readonly url: string | undefined;

  constructor(
    readonly name: string,
    readonly size: number,
  ) {}

  /** Bytes of a range that is known to lie inside the file. */
  protected abstract fetchRange(start: number, end: number, signal: AbortSignal | undefined): Promise<Uint8Array>;

  async readRange(start: number, end: number, signal?: AbortSignal): Promise<Uint8Array> {
    if (!Number.isSafeInteger(start) || !Number.isSafeInteger(end) || start < 0 || end < start) {
      throw new WpError('internal', `${this.name}: bytes ${start}–${end} are not a range.`, '', { start, end });
    }
    if (end > this.size) throw truncatedFile(this.name, end, this.size);
    if (start === end) return new Uint8Array(0);
    return this.fetchRange(start, end, signal);
  }

  async readText(signal?: AbortSignal): Promise<string> {
    if (this.size > maximumTextBytes) {
      throw new WpError(
        'corrupt-file',
        `${this.name} is ${this.size} bytes long; a text of a model has at most ${maximumTextBytes}.`,
        'Check that the address names the right file.',
        { file: this.name, actual: this.size, allowed: maximumTextBytes },
      );
    }
    const bytes = await this.readRange(0, this.size, signal);
    try {
      return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    } catch (cause) {
      throw new WpError(
        'corrupt-file',
        `${this.name} is not UTF-8 text.`,
        'Download the file again.',
        { file: this.name },
        { cause },
      );
    }
  }

  async readJson(signal?: AbortSignal): Promise<unknown> {
    const text = await this.readText(signal);
    try {
      return JSON.parse(text) as unknown;
    } catch (cause) {
      throw new WpError(
        'corrupt-file',
        `${this.name} is not JSON: ${cause instanceof Error ? cause.message : String(cause)}`,
        'Download the file again, or repair it.',
        { file: this.name, begins: text.slice(0, 40) },
        { cause },
      );
    }
  }
}

/** Opens a file that must be there: `not-found` otherwise. */
export async function openRequired(files: ModelFiles, name: string, signal?: AbortSignal): Promise<ModelFile> {
  const file = await files.open(name, signal);
  if (file) return file;
  throw new WpError(
    'not-found',
    `${files.description} has no ${name}.`,
    'A model is a folder with config.json, tokenizer.json and model.safetensors (or its shards with model.safetensors.index.json).',
    { file: name, folder: files.description },
  );
}

export function truncatedFile(name: string, end: number, size: number): WpError {
  return new WpError(
    'corrupt-file',
    `${name} ends after ${size} bytes; bytes up to ${end} were needed.`,
    'The file is truncated: download it again.',
    { file: name, actual: size, needed: end },
  );
}

/** Files that a model may do without: for these, an answer that is no file counts as "not there". */
export function isOptionalFile(name: string): boolean {
  return !(
    name === 'config.json' ||
    name === 'tokenizer.json' ||
    /\.(safetensors(\.index\.json)?|gguf|onnx)$/i.test(name)
  );
}
