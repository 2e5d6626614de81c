// What the bundles leave out of the sources, on samples.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { compactTemplates, withoutReferences } from '../../scripts/bundle-transforms.mjs';

const fail = {
  error(message: string): never {
    throw new Error(message);
  },
};

function transform(plugin: ReturnType<typeof compactTemplates>, id: string, code: string): string {
  return plugin.transform.call(fail, code, id)?.code ?? code;
}

describe('compactTemplates', () => {
  const compact = (code: string, id = '/x/a.wgsl.ts'): string => transform(compactTemplates(), id, code);

  it('takes comments and indentation out of WGSL', () => {
    const code = 'const a = `\n  let x = 1; // one\n\n  // alone\n    let y = 2 / 3;\n`;';
    assert.equal(compact(code), 'const a = `\nlet x=1;\nlet y=2 / 3;\n`;');
  });

  it('keeps what stands around an interpolation', () => {
    const code = 'const a = `fn f() -> ${type} {\n  let x = ${value} ;\n  ${rest}\n}`;';
    assert.equal(compact(code), 'const a = `fn f()-> ${type}{\nlet x=${value};\n${rest}\n}`;');
  });

  it('leaves a comment alone that goes on after an interpolation', () => {
    const code = 'const a = `x; // of ${count} rows\n  y;`;';
    assert.equal(compact(code), 'const a = `x;// of ${count} rows\ny;`;');
  });

  it('reaches templates inside of interpolations', () => {
    const code = 'const a = `  a\n  ${b ? `  c\n    d // e` : ""}\n  f`;';
    assert.equal(compact(code), 'const a = `  a\n${b ? `  c\nd` : ""}\nf`;');
  });

  it('takes comments and line ends out of CSS, indentation out of HTML, and touches no other text', () => {
    const code =
      'css`\n  /* why */\n  a {\n    margin: ${x} 2px;\n  }\n`; html`<p\n  class="a"\n>\n\n  a  b ${y}\n</p>`;';
    assert.equal(compact(code, '/x/a.ts'), 'css` a{margin: ${x} 2px;}`; html`<p\nclass="a"\n>\na  b ${y}\n</p>`;');
    assert.equal(compact('const a = `\n  // text\n`;', '/x/a.ts'), 'const a = `\n  // text\n`;');
  });
});

describe('withoutReferences', () => {
  const strip = (code: string, id = '/x/runtime/ops/add.ts'): string => transform(withoutReferences(), id, code);

  it('drops the reference and nothing else', () => {
    const code = `export const add: OperationDefinition<'add'> = {\n  shape() { return []; },\n\n  reference([a]) {\n    return [a];\n  },\n\n  cost() { return 1; },\n};`;
    assert.equal(
      strip(code),
      `export const add: OperationDefinition<'add'> = {\n  shape() { return []; },\n\n  cost() { return 1; },\n};`,
    );
  });

  it('leaves other folders alone', () => {
    const code = 'const a = { reference() { return 1; } };';
    assert.equal(strip(code, '/x/runtime/graph/add.ts'), code);
  });

  it('says so when an operation has none', () => {
    assert.throws(() => strip(`const a: OperationDefinition<'add'> = {};`), /no method `reference`/);
  });
});
