// What is said of a GGUF file that is not read.

import { WpError } from '../../errors.ts';

export function corruptGguf(file: string, what: string, details: Record<string, unknown> = {}): WpError {
  return new WpError(
    'corrupt-file',
    `${file} ${what}.`,
    'The file is damaged or was not downloaded completely: download it again.',
    { file, ...details },
  );
}

export function unsupportedGguf(
  code: 'unsupported-format' | 'unsupported-config' | 'unsupported-architecture',
  file: string,
  what: string,
  hint: string,
  details: Record<string, unknown> = {},
): WpError {
  return new WpError(code, `${file} ${what}.`, hint, { file, ...details });
}

/** Names and texts of an untrusted file, for a message. */
export function shown(text: string): string {
  return JSON.stringify(text.length <= 80 ? text : `${text.slice(0, 77)}…`);
}
