// custom-elements.json: what editors and documentation tools read about the elements. Made from the sources' doc comments by
// scripts/manifest.mjs.

export default {
  globs: ['components/**/*.ts'],
  exclude: ['components/internal/**', '**/*.test.ts'],
  litelement: true,
  outdir: '.',
  packagejson: false,
  quiet: true,
};
