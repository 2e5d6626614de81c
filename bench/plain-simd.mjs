// Serves wp-models as to a browser without relaxed SIMD: what WebAssembly validates is what it decides by, so a few lines
// before its scripts that refuse the one instruction are enough, and nothing of the product knows of them.

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

const PRELUDE = `{
  const validate = WebAssembly.validate;
  // i32x4.relaxed_dot_i8x16_i7x16_add_s
  const isRelaxed = (bytes) => bytes.some((byte, i) => byte === 0xfd && bytes[i + 1] === 0x93 && bytes[i + 2] === 0x02);
  WebAssembly.validate = (bytes) => validate(bytes) && !isRelaxed(new Uint8Array(bytes.buffer ?? bytes));
}
`;

/** Answers requests for scripts under /dist/. @param {string} root the project @returns {Promise<boolean>} true when it did */
export async function servePlainSimd(root, response, { pathname }) {
  if (!/^\/dist\/[\w.-]+\.js$/.test(pathname)) return false;
  const script = await readFile(join(root, pathname), 'utf8');
  response.writeHead(200, { 'content-type': 'text/javascript; charset=utf-8', 'cache-control': 'no-store' });
  response.end(PRELUDE + script);
  return true;
}
