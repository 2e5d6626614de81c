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
  'onnxruntime-common',
  'onnxruntime-web',
];

/** Packages that come without their licence's text. */
const HOLDERS = { 'onnxruntime-common': 'Microsoft Corporation', 'onnxruntime-web': 'Microsoft Corporation' };

const MIT = (holder) => `MIT License

Copyright (c) ${holder}

Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated documentation
files (the "Software"), to deal in the Software without restriction, including without limitation the rights to use, copy,
modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit persons to whom the Software
is furnished to do so, subject to the following conditions: The above copyright notice and this permission notice shall be
included in all copies or substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE
WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR
COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE,
ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.`;

/** Sources with a licence notice in their head: it is copied word for word. */
const NOTICES = ['runtime/quantization/ggml/grids.generated.ts'];

function licenceOf(name) {
  const folder = join(root, 'node_modules', name);
  const { version, license } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
  const file = readdirSync(folder).find((entry) => /^licen[cs]e/i.test(entry));
  const known = license === 'MIT' && HOLDERS[name] ? MIT(HOLDERS[name]) : `Licensed under ${license}.`;
  const text = file ? readFileSync(join(folder, file), 'utf8').trim() : known;
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
