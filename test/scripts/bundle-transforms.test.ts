// What the bundles leave out of the sources, on samples.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import {
  compactTemplates,
  letInsteadOfConst,
  withoutReferences,
  withoutUnusedComlink,
} from '../../scripts/bundle-transforms.mjs';

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
    assert.equal(compact(code), 'const a = `\nlet x=1;\nlet y=2/3;\n`;');
  });

  it('keeps what stands around an interpolation', () => {
    const code = 'const a = `fn f() -> ${type} {\n  let x = ${value} ;\n  ${rest}\n}`;';
    assert.equal(compact(code), 'const a = `fn f()-> ${type}{\nlet x=${value};\n${rest}\n}`;');
  });

  it('takes the spaces around operators out, but not those that keep two operators apart', () => {
    const code = 'const a = `a = b + c[i] * (d >> 2u) - -e / *p; f = &g & &h; i += ${x} - 1 ; j < k && !l;`;';
    assert.equal(compact(code), 'const a = `a=b+c[i]*(d>>2u)- -e / *p;f=&g & &h;i +=${x} - 1;j<k && !l;`;');
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

describe('withoutUnusedComlink', () => {
  const path = fileURLToPath(import.meta.resolve('comlink')).replace(/dist\/.*$/, 'dist/esm/comlink.mjs');
  const comlink = readFileSync(path, 'utf8');

  it('leaves a Comlink that still calls, answers and passes errors on', async () => {
    const code = transform(withoutUnusedComlink(), path, comlink);
    assert.doesNotMatch(code, /"(?:SET|CONSTRUCT|ENDPOINT)" \/\* MessageType\.\w+ \*\/:|\["proxy"/);
    // Node would look for the source map that the last line names.
    const script = code.replace(/\/\/# sourceMappingURL.*/, '');
    const url = `data:text/javascript;base64,${Buffer.from(script).toString('base64')}`;
    const { expose, wrap } = (await import(url)) as typeof import('comlink');
    const { port1, port2 } = new MessageChannel();
    const service = {
      add: (a: number, b: number): number => a + b,
      fail: (): never => {
        throw new RangeError('too far');
      },
    };
    expose(service, port1 as unknown as Parameters<typeof expose>[1]);
    const remote = wrap<typeof service>(port2 as unknown as Parameters<typeof wrap>[0]);
    assert.equal(await remote.add(2, 3), 5);
    await assert.rejects(() => remote.fail(), { name: 'RangeError', message: 'too far' });
    port1.close();
  });

  it('says so when another version reads differently, and leaves other modules alone', () => {
    assert.throws(() => transform(withoutUnusedComlink(), path, 'export {};'), /look at what this version brings/);
    assert.equal(transform(withoutUnusedComlink(), '/x/a.ts', comlink), comlink);
  });
});

describe('letInsteadOfConst', () => {
  it('changes the declarations and no other text', () => {
    const code =
      'const a = "const b"; for (const x of a) { const { constant } = x; let c = `const ${constant}`; var v; }';
    assert.equal(
      letInsteadOfConst().renderChunk(code).code,
      'let a = "const b"; for (let x of a) { let { constant } = x; let c = `const ${constant}`; var v; }',
    );
  });
});
