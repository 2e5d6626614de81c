// The built package, with the types of its source: integration tests in Node run what users get.

import { existsSync } from 'node:fs';

export type Api = typeof import('../../runtime/index.ts');

export async function distApi(): Promise<Api> {
  const entry = new URL('../../dist/index.js', import.meta.url);
  if (!existsSync(entry)) throw new Error('dist/ is not built: run `npm run build` first.');
  return (await import(entry.href)) as Api;
}

/** The text of an answer, and its last part. */
export async function collect(
  parts: AsyncIterable<import('../../runtime/index.ts').ChatPart>,
): Promise<{ text: string; end: Extract<import('../../runtime/index.ts').ChatPart, { done: true }> }> {
  let text = '';
  for await (const part of parts) {
    if (part.done) return { text, end: part };
    text += part.text;
  }
  throw new Error('The stream ended without its last part.');
}
