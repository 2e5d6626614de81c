// Three bundles. The page's side: index.js (the API), elements.js (the elements, for a <script type="module">) and cli.js,
// which share chunks. The worker's side: model.worker.js, which a page or Node starts as a module of its own and which
// therefore shares nothing. These lie flat in dist/, because the runtime looks for the worker and for models/ beside
// itself. And the elements once more, for server-side rendering.

import { builtinModules } from 'node:module';
import commonjs from '@rollup/plugin-commonjs';
import nodeResolve from '@rollup/plugin-node-resolve';
import terser from '@rollup/plugin-terser';
import esbuild from 'rollup-plugin-esbuild';
import {
  compactTemplates,
  letInsteadOfConst,
  withoutReferences,
  withoutUnusedComlink,
} from './scripts/bundle-transforms.mjs';
import { withLightTokenizers } from './scripts/light-tokenizers.mjs';

/** Never in a bundle: what Node brings. */
const isExternal = (id) => id.startsWith('node:') || builtinModules.includes(id);

/**
 * Nor ONNX Runtime, which a page fetches only when it opens an .onnx file: its editions are copied to dist/onnx/ as they are
 * (scripts/build.mjs), since each looks for its .wasm beside itself and starts its threads from its own file.
 */
const ONNX_EDITIONS = {
  'onnxruntime-web/wasm': './onnx/ort.wasm.bundle.min.js',
  'onnxruntime-web/webgpu': './onnx/ort.webgpu.bundle.min.js',
};

/**
 * Browsers must never meet `node:` in a static import, which would fail the whole module. The command line is Node's
 * own, so it may.
 */
function nodeOnlyDynamically(allowedEntry) {
  return {
    name: 'node-only-dynamically',
    generateBundle(_options, bundle) {
      for (const chunk of Object.values(bundle)) {
        if (chunk.type !== 'chunk' || chunk.name === allowedEntry) continue;
        const found = chunk.imports.find(isExternal);
        if (found) this.error(`${chunk.fileName} imports ${found} statically; import it dynamically.`);
        if (chunk.moduleIds.some((id) => id.includes('/node_modules/onnxruntime-')))
          this.error(`${chunk.fileName} contains ONNX Runtime; it is imported from dist/onnx/ only.`);
      }
    },
  };
}

const plugins = (allowedEntry) => [
  withoutReferences(),
  withoutUnusedComlink(),
  compactTemplates(),
  withLightTokenizers(),
  nodeResolve({
    browser: true,
    exportConditions: ['production'],
    preferBuiltins: true,
    extensions: ['.ts', '.mjs', '.js'],
  }),
  commonjs(),
  esbuild({
    target: 'es2022',
    tsconfig: 'tsconfig.json',
  }),
  letInsteadOfConst(),
  terser({
    module: true,
    ecma: 2022,
    compress: {
      passes: 4,
      unsafe_arrows: true,
      unsafe_methods: true,
      keep_fargs: false,
      // Measured after gzip, both shorter: statements repeat more than comma expressions do, and of the functions only
      // those that are a single expression are worth being put in the place of their calls.
      sequences: false,
      inline: 1,
    },
    format: { comments: false },
  }),
  nodeOnlyDynamically(allowedEntry),
];

function onwarn(warning, warn) {
  // A circular import or an unresolved name in a bundle that is shipped is a defect, not a remark.
  if (['CIRCULAR_DEPENDENCY', 'UNRESOLVED_IMPORT', 'MISSING_EXPORT'].includes(warning.code)) {
    const inPackage = warning.ids?.every((id) => id.includes('/node_modules/'));
    if (!inPackage) throw new Error(`${warning.code}: ${warning.message}`);
    return;
  }
  warn(warning);
}

const output = {
  dir: 'dist',
  format: 'es',
  entryFileNames: '[name].js',
  chunkFileNames: '[name]-[hash].js',
  sourcemap: Boolean(process.env.WP_SOURCEMAP),
  generatedCode: 'es2015',
};

const page = {
  input: { index: 'runtime/index.ts', elements: 'components/index.ts', cli: 'cli/main.ts' },
  output: { ...output, banner: (chunk) => (chunk.name === 'cli' && chunk.isEntry ? '#!/usr/bin/env node' : '') },
  external: isExternal,
  plugins: plugins('cli'),
  onwarn,
};

const worker = {
  input: { 'model.worker': 'workers/model.worker.ts' },
  output: {
    ...output,
    paths: ONNX_EDITIONS,
    // A backend that is imported dynamically is named after its folder, not `index`.
    chunkFileNames: ({ moduleIds }) => {
      const entry = moduleIds.map((id) => /backends\/(\w+)\/index\.ts$/.exec(id)?.[1]).find(Boolean);
      return `worker-${entry ?? '[name]'}-[hash].js`;
    },
  },
  external: (id) => isExternal(id) || id in ONNX_EDITIONS,
  plugins: plugins(undefined),
  onwarn,
};

const isApi = (id) => id.endsWith('/runtime/index.ts');

/**
 * The elements as Node imports them, during server-side rendering: Lit and the rest are left to Node, which then finds the
 * editions of theirs that know no DOM. Only the export condition `node` leads here.
 */
const server = {
  input: { elements: 'components/index.ts', embed: 'components/embed.ts', vision: 'components/vision.ts' },
  output: {
    ...output,
    dir: 'dist/server',
    // The API is the same module that `import 'wp-models'` gives.
    paths: (id) => (isApi(id) ? '../index.js' : id),
  },
  external: (id) => !/^[./]/.test(id) || isApi(id),
  plugins: [esbuild({ target: 'es2022', tsconfig: 'tsconfig.json' })],
  onwarn,
};

/**
 * <wp-embed> and <wp-vision>, for pages that use them: beside elements.js, and apart from it. As another entry of the page's bundle it would cut
 * elements.js into chunks that are 1.7 KB longer for every chat. The API is shared, and with it the worker.
 */
const apart = (name) => ({
  input: { [name]: `components/${name}.ts` },
  output: { ...output, paths: (id) => (isApi(id) ? './index.js' : id) },
  external: (id) => isExternal(id) || isApi(id),
  plugins: plugins(undefined),
  onwarn,
});

export default { page, embed: apart('embed'), vision: apart('vision'), worker, server };
