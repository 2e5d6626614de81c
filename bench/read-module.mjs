// Compiles bench/assembly/read.ts: the kernel that measures how fast one thread can read.

import { readFile } from 'node:fs/promises';
import asc from 'assemblyscript/asc';

export async function readModule() {
  const source = await readFile(new URL('./assembly/read.ts', import.meta.url), 'utf8');
  let bytes;
  const { error, stderr } = await asc.main(
    ['read.ts', '--outFile', 'read.wasm', '--runtime', 'stub', '--enable', 'simd', '-O3', '--noAssert'],
    {
      readFile: (name) => (name === 'read.ts' ? source : null),
      writeFile: (name, contents) => {
        if (name === 'read.wasm') bytes = contents;
      },
      listFiles: () => [],
    },
  );
  if (error) throw new Error(`${error.message}\n${stderr.toString()}`);
  return bytes;
}
