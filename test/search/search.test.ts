// Exact search in Node: the plain loop's results from the CPU's scan, and what is refused.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { openVectorSearch } from '../../runtime/search/vector-search.ts';
import { plainSearch, searchBy, searchCases } from './search-cases.ts';

describe('exact search', () => {
  for (const searched of searchCases()) {
    it(`wasm, ${searched.name}: as a plain loop`, async () => {
      assert.deepEqual(await searchBy('wasm', searched), plainSearch(searched));
    });
  }

  it('passes most vectors by', async () => {
    const searched = searchCases()[0]!;
    const { codeQuery, quantizeRows, strideOf } = await import('../../runtime/search/quantized-rows.ts');
    const { openWasmScan } = await import('../../runtime/search/wasm-scan.ts');
    const { vectors, dimensions, query } = searched;
    const rows = 1024;
    const stride = strideOf(dimensions);
    const scan = await openWasmScan({ rows, stride });
    const block = { codes: new Int8Array(rows * stride), scales: new Float32Array(rows * 2) };
    quantizeRows(vectors, dimensions, 0, rows, block);
    scan.write(block, 0, rows);
    const found = await scan.candidates(codeQuery(query, dimensions), 10, -Infinity);
    assert.ok(found.length >= 10 && found.length < 100, `${found.length} candidates`);
  });

  it('takes WebAssembly by itself, and says why', async () => {
    const search = await openVectorSearch(new Float32Array(30).fill(0.5), { dimensions: 3 });
    assert.equal(search.backend, 'wasm');
    assert.match(search.reason, /GPU/);
    assert.equal(search.size, 10);
    const both = await Promise.all([search.search(Float32Array.of(1, 0, 0)), search.search(Float32Array.of(0, -1, 0))]);
    assert.deepEqual(
      both.map((hits) => hits[3]),
      [
        { index: 3, score: 0.5 },
        { index: 3, score: -0.5 },
      ],
    );
    search.dispose();
    await assert.rejects(search.search(new Float32Array(3)), { code: 'disposed' });
  });

  it('refuses what cannot be searched', async () => {
    const open = (numbers: number[], dimensions: number) =>
      openVectorSearch(Float32Array.from(numbers), { dimensions });
    await assert.rejects(open([1, 2, 3], 2), { code: 'invalid-argument' });
    await assert.rejects(open([], 0), { code: 'invalid-argument' });
    await assert.rejects(open([1, NaN], 2), { code: 'invalid-argument' });
    await assert.rejects(open([1, 0, Infinity, 0], 2), { code: 'invalid-argument' });
    const search = await open([1, 0, 0, 1], 2);
    await assert.rejects(search.search(Float32Array.of(1)), { code: 'invalid-argument' });
    await assert.rejects(search.search(Float32Array.of(NaN, 1)), { code: 'invalid-argument' });
    await assert.rejects(search.search(Float32Array.of(1, 0), { count: 0 }), { code: 'invalid-argument' });
    await assert.rejects(search.search(Float32Array.of(1, 0), { threshold: NaN }), { code: 'invalid-argument' });
    await assert.rejects(search.search(Float32Array.of(1, 0), { signal: AbortSignal.abort() }), { name: 'AbortError' });
    await assert.rejects(openVectorSearch(new Float32Array(2), { dimensions: 2, backend: 'webgpu' }), {
      code: 'backend-unavailable',
    });
  });
});
