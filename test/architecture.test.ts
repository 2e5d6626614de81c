// The architecture as a test: who may import whom, no cycles, no file too long to be read in one sitting. The rules are in
// architecture/rules.ts. The second half shows, on samples, that each kind of violation is caught.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { findCycles, findImportViolations, findLongFiles } from './architecture/violations.ts';
import { parseModule, readModules } from './support/module-imports.ts';

const sources = ['runtime', 'components', 'workers', 'cli'];

describe('architecture', () => {
  const modules = readModules(sources);

  it('reads the sources', () => {
    for (const folder of sources)
      assert.ok(
        modules.some(({ path }) => path.startsWith(`${folder}/`)),
        folder,
      );
  });

  it('imports only what a layer may know', () => {
    assert.deepEqual(findImportViolations(modules), []);
  });

  it('has no cycles of imports', () => {
    assert.deepEqual(findCycles(modules), []);
  });

  it('keeps every file short, or says why it is long', () => {
    const all = [...modules, ...readModules(['test', 'bench', 'stories', 'site', 'examples'])];
    assert.deepEqual(findLongFiles(all), []);
  });
});

describe('architecture rules, on samples that break them', () => {
  const errors = parseModule('runtime/errors.ts', '');
  const api = parseModule('runtime/index.ts', '');
  const host = parseModule('runtime/host.ts', '');
  const gpu = parseModule('runtime/backends/webgpu/index.ts', '');
  const family = parseModule('runtime/models/llama.ts', '');
  const contract = parseModule('runtime/backends/backend.ts', '');
  const target = [errors, api, host, gpu, family, contract];

  const violations = (path: string, text: string): string[] =>
    findImportViolations([...target, parseModule(path, text)]).filter((line) => line.startsWith(`${path}:`));

  const forbidden: Record<string, [path: string, text: string]> = {
    'an element that reaches below the API': ['components/wp-x.ts', `import { a } from '../runtime/errors.ts';`],
    'a backend that knows another': ['runtime/backends/wasm/x.ts', `import { a } from '../webgpu/index.ts';`],
    'a type of a layer that may not be known': [
      'runtime/models/x.ts',
      `import type { A } from '../backends/backend.ts';`,
    ],
    'a re-export': ['runtime/graph/x.ts', `export * from '../models/llama.ts';`],
    'a dynamic import of a file': ['runtime/tasks/x.ts', `const a = await import('../backends/webgpu/index.ts');`],
    'a type in import(…)': ['components/wp-x.ts', `type A = import('../runtime/host.ts').RuntimeHost;`],
    'a value where only types are allowed': ['runtime/generation/x.ts', `import { a } from '../backends/backend.ts';`],
    'a static import of the ONNX runtime': ['runtime/host/x.ts', `import * as ort from 'onnxruntime-web';`],
    'a package of another layer': ['runtime/ops/x.ts', `import { html } from 'lit';`],
    'a static import of Node': ['runtime/host/x.ts', `import { cpus } from 'node:os';`],
    'Node in an element': ['components/wp-x.ts', `const os = await import('node:os');`],
    'a file that does not exist': ['runtime/host/x.ts', `import { a } from '../nowhere.ts';`],
  };
  for (const [title, [path, text]] of Object.entries(forbidden)) {
    it(`catches ${title}`, () => assert.equal(violations(path, `\n${text}\n`).length, 1));
  }

  const allowed: Record<string, [path: string, text: string]> = {
    'an element that uses the API': ['components/wp-x.ts', `import { a } from '../runtime/index.ts';\nimport 'lit';`],
    'types where types are allowed': ['runtime/generation/x.ts', `import { type A } from '../backends/backend.ts';`],
    'the host, which knows both': [
      'runtime/host/x.ts',
      `import { a } from '../models/llama.ts';\nimport { b } from '../backends/webgpu/index.ts';`,
    ],
    'Node, dynamically': ['runtime/host/x.ts', `const os = await import('node:os');`],
    'an import that is only written in a comment': ['components/wp-x.ts', `// import { a } from '../runtime/host.ts';`],
  };
  for (const [title, [path, text]] of Object.entries(allowed)) {
    it(`allows ${title}`, () => assert.deepEqual(violations(path, `${text}\n`), []));
  }

  it('refuses a file that belongs to no layer', () => {
    assert.throws(() => findImportViolations([parseModule('runtime/nowhere/x.ts', '')]), /belongs to no layer/);
  });

  it('catches a cycle, and not one of types', () => {
    const a = parseModule('a.ts', `import { b } from './b.ts';`);
    const b = parseModule('b.ts', `export { c } from './c.ts';`);
    const c = parseModule('c.ts', `import { a } from './a.ts';`);
    const typed = parseModule('c.ts', `import { type A } from './a.ts';`);
    assert.deepEqual(findCycles([a, b, c]), ['a.ts → b.ts → c.ts → a.ts']);
    assert.deepEqual(findCycles([a, b, typed]), []);
  });

  it('catches a long file, unless its head says why', () => {
    const body = 'let x;\n'.repeat(400);
    assert.equal(findLongFiles([parseModule('a.ts', `// A file.\n${body}`)]).length, 1);
    assert.equal(findLongFiles([parseModule('a.ts', body)]).length, 0);
    const reason = '// It is longer than 400 lines because it is one table.\n';
    assert.equal(findLongFiles([parseModule('a.ts', reason + body)]).length, 0);
  });
});
