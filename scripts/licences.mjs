// Writes dist/THIRD_PARTY_LICENSES.txt: the licences of the packages whose code the bundles contain, and of the tables that
// were derived from others' work. Minified bundles carry no comments, so the notices travel beside them.

import { existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './root.mjs';

/** Bundled, with what they bring along. */
const PACKAGES = [
  '@huggingface/jinja',
  '@huggingface/tokenizers',
  '@lit/context',
  '@lit/reactive-element',
  'comlink',
  'dompurify',
  'lit',
  'lit-element',
  'lit-html',
  'marked',
];

/** Sources with a licence notice in their head: it is copied word for word. */
const NOTICES = ['runtime/quantization/ggml/grids.generated.ts'];

function licenceOf(name) {
  const folder = join(root, 'node_modules', name);
  const { version, license } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
  const file = readdirSync(folder).find((entry) => /^licen[cs]e/i.test(entry));
  const text = file ? readFileSync(join(folder, file), 'utf8').trim() : `Licensed under ${license}.`;
  return `${name} ${version} (${license})\n\n${text}`;
}

function noticeOf(path) {
  const notice = /^\/\*!?([^]*?)\*\//.exec(readFileSync(join(root, path), 'utf8'))?.[1];
  if (!notice) throw new Error(`${path} does not begin with its licence notice.`);
  return `Tables of ${path}\n\n${notice.trim()}`;
}

export function writeLicences() {
  const notices = NOTICES.filter((path) => existsSync(join(root, path))).map(noticeOf);
  const parts = [...PACKAGES.map(licenceOf), ...notices];
  writeFileSync(join(root, 'dist/THIRD_PARTY_LICENSES.txt'), `${parts.join(`\n\n${'-'.repeat(80)}\n\n`)}\n`);
}
