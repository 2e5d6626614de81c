// Writes custom-elements.json from the elements' sources. `--check` writes nothing and fails when the file is not what the
// sources say: it is committed, so that it can be read, and must not drift.

import { readFileSync, existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { cli } from '@custom-elements-manifest/analyzer/cli.js';
import { root } from './root.mjs';

const file = join(root, 'custom-elements.json');
const manifest = await cli({ argv: ['analyze', '--quiet'], cwd: root, noWrite: true });

const isPublic = ({ privacy, name }) => privacy !== 'private' && privacy !== 'protected' && !name?.startsWith('#');

// A reader wants the elements and their public members; the order must not depend on the disk.
manifest.modules = manifest.modules
  .map((module) => ({ ...module, declarations: module.declarations.filter(({ customElement }) => customElement) }))
  .filter(({ declarations }) => declarations.length > 0)
  .sort((a, b) => (a.path < b.path ? -1 : 1));
for (const { path, declarations, exports: names } of manifest.modules) {
  for (const declaration of declarations) {
    if (declaration.members) declaration.members = declaration.members.filter(isPublic);
    // components/index.ts registers them by a helper, which the analyzer does not see through.
    names.push({
      kind: 'custom-element-definition',
      name: declaration.tagName,
      declaration: { name: declaration.name, module: path },
    });
  }
}
if (manifest.modules.length === 0) {
  console.error('No element was found in components/: custom-elements.json would be empty.');
  process.exit(1);
}

const wanted = `${JSON.stringify(manifest, null, 2)}\n`;
const present = existsSync(file) ? readFileSync(file, 'utf8') : '';
if (!process.argv.includes('--check')) {
  writeFileSync(file, wanted);
  console.log(`custom-elements.json: ${manifest.modules.length} elements.`);
} else if (present !== wanted) {
  const [a, b] = [present.split('\n'), wanted.split('\n')];
  const line = a.findIndex((text, index) => text !== b[index]);
  console.error(
    `custom-elements.json has drifted from the sources (first at line ${line + 1}: "${a[line]?.trim()}", now "${b[line]?.trim()}"). Run: npm run manifest`,
  );
  process.exit(1);
}
