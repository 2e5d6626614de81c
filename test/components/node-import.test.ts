// The elements can be imported where there is no DOM: a server that renders the page must not throw.

import assert from 'node:assert/strict';
import { test } from 'node:test';

test('importing the elements in Node does not throw and touches no global', async () => {
  const before = new Set(Object.getOwnPropertyNames(globalThis));
  const elements = await import('../../components/index.ts');
  assert.equal(typeof (await import('../../components/embed.ts')).WpEmbed, 'function');
  assert.equal(typeof (await import('../../components/vision.ts')).WpVision, 'function');
  assert.equal(typeof elements.WpChat, 'function');
  assert.equal(typeof elements.WpModel, 'function');
  assert.equal(typeof elements.WpMemoryMeter, 'function');
  const added = Object.getOwnPropertyNames(globalThis).filter((name) => !before.has(name));
  const ofLit = /^(lit|reactive|customElements$|_\$|Event|CustomEvent|litIssued|CSSStyleSheet)/i;
  assert.deepEqual(
    added.filter((name) => !ofLit.test(name)),
    [],
  );
});
