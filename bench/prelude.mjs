// Serves the product's scripts with a few lines before them, which change or watch the browser under them: nothing of the
// product knows of it.

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

/**
 * Answers requests for scripts under /dist/.
 *
 * @param {string} root the project
 * @param {string} prelude JavaScript
 * @returns {Promise<boolean>} true when it did
 */
export async function servePrelude(root, prelude, response, { pathname }) {
  if (!/^\/dist\/[\w.-]+\.js$/.test(pathname)) return false;
  const script = await readFile(join(root, pathname), 'utf8');
  response.writeHead(200, { 'content-type': 'text/javascript; charset=utf-8', 'cache-control': 'no-store' });
  response.end(prelude + script);
  return true;
}
