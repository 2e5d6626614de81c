// `npm start`: from a fresh clone to a page with a chat. Installs when needed, builds when needed, serves, prints the
// address. `--plain` serves without cross-origin isolation, as most pages of the web are served; `--port <number>`.

import { parseArgs } from 'node:util';
import { checkNode, ensureInstalled } from './install.mjs';
import { root } from './root.mjs';
import { startServer } from './server.mjs';

checkNode();

function readOptions() {
  try {
    const { values } = parseArgs({
      options: { plain: { type: 'boolean' }, port: { type: 'string', default: process.env.PORT ?? '8080' } },
    });
    const port = Number(values.port);
    if (!Number.isInteger(port) || port < 0 || port > 65535)
      throw new Error(`--port is "${values.port}"; 0 to 65535 is allowed.`);
    return { plain: Boolean(values.plain), port };
  } catch (error) {
    console.error(`${error.message}\nUsage: npm start -- [--port <number>] [--plain]`);
    return process.exit(2);
  }
}

const { plain, port } = readOptions();
ensureInstalled();
const { build } = await import('./build.mjs');
try {
  await build();
} catch (error) {
  console.error(error instanceof Error ? (error.stack ?? error.message) : error);
  process.exit(1);
}

const server = await startServer({ root, port, fallback: true, isolated: !plain, home: '/site/' });
if (port !== 0 && server.port !== port) console.log(`\nPort ${port} is taken.`);
console.log(`\nwp-models is at ${server.url}${plain ? ' (without cross-origin isolation)' : ''}\nCtrl-C ends it.`);

for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, () => {
    console.log('');
    void server.close().then(() => process.exit(0));
  });
}
