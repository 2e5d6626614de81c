// What `npm test` is made of. A stage is a command and a way to read its result; scripts/test.mjs runs them and adds up.
// The checks (formatting, types, sizes …) count as one test each.

import { existsSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { findFirefox, findPackagedChromium } from './browsers.mjs';
import { filesUnder } from './fingerprint.mjs';
import { root } from './root.mjs';
import { findWebKit } from './webkit.mjs';

const tests = filesUnder(join(root, 'test')).map((file) => relative(root, file).replaceAll('\\', '/'));
const outside = /^test\/(fixtures|webkit|package)\//;

/** Files of node:test; `*.browser.test.ts` are @web/test-runner's. */
const nodeFiles = tests.filter(
  (file) => /\.test\.ts$/.test(file) && !/\.browser\.test\.ts$/.test(file) && !outside.test(file),
);
const isInBrowser = (file) => /\.browser\.test\.ts$/.test(file) && !outside.test(file);
const webNnFiles = tests.filter((file) => isInBrowser(file) && file.startsWith('test/webnn/'));
const browserFiles = tests.filter((file) => isInBrowser(file) && !webNnFiles.includes(file));
const within = (folder) => tests.filter((file) => file.startsWith(`test/${folder}/`) && file.endsWith('.test.ts'));

const check = (name, title, args) => ({ name, title, args, kind: 'check' });

function nodeTests(name, title, files, { concurrency = 2 } = {}) {
  return {
    name,
    title,
    kind: 'report',
    files,
    args: ({ report, grep, live }) => [
      '--import',
      'tsx',
      '--test',
      `--test-concurrency=${concurrency}`,
      ...(grep ? [`--test-name-pattern=${grep}`] : []),
      ...(live ? ['--test-reporter=spec', '--test-reporter-destination=stdout'] : []),
      '--test-reporter=./scripts/node-json-reporter.mjs',
      `--test-reporter-destination=${report}`,
      ...files,
    ],
  };
}

function browserTests(name, title, { browser = name, files = browserFiles } = {}) {
  return {
    name,
    title,
    kind: 'report',
    files,
    args: () => ['node_modules/@web/test-runner/dist/bin.js'],
    env: ({ report, grep }) => ({
      BROWSER: browser,
      WP_FILES: files.join(','),
      WP_REPORT: report,
      ...(grep ? { WP_GREP: grep } : {}),
    }),
  };
}

/** Most of a browser's time is SwiftShader's compiler: a stage of their own, so that a second processor is not idle at the end. */
const isOfKernels = (file) => file.startsWith('test/webgpu/');

/** `unless` gives the reason for which a stage cannot run here; its files are then counted as skipped. */
export const stages = [
  check('format', 'Formatting (Prettier)', [
    'node_modules/prettier/bin/prettier.cjs',
    '--check',
    '--log-level=warn',
    '.',
  ]),
  check('lint', 'Lint (ESLint)', ['node_modules/eslint/bin/eslint.js', '--max-warnings=0', '.']),
  check('types', 'Types (tsc)', ['node_modules/typescript/bin/tsc', '--noEmit', '-p', '.']),
  check('manifest', 'custom-elements.json is current', ['scripts/manifest.mjs', '--check']),
  check('sizes', 'Size budgets', ['scripts/sizes.mjs']),
  check('storybook', 'Storybook builds', [
    'node_modules/storybook/dist/bin/dispatcher.js',
    'build',
    '--loglevel=warn',
    '--output-dir=build/storybook',
  ]),
  browserTests('chromium-webgpu', 'Chromium, WebGPU', { browser: 'chromium', files: browserFiles.filter(isOfKernels) }),
  nodeTests('node', 'Node', nodeFiles),
  browserTests('chromium', 'Chromium', { files: browserFiles.filter((file) => !isOfKernels(file)) }),
  {
    ...browserTests('firefox', 'Firefox'),
    unless: () => (findFirefox() ? undefined : 'no Firefox is installed here (FIREFOX_PATH may name one)'),
  },
  {
    ...browserTests('webnn', 'WebNN, where it computes', { files: webNnFiles }),
    unless: () =>
      findPackagedChromium() ? undefined : 'only the Chromium inside @sparticuz/chromium (Linux, x64) computes WebNN',
  },
  {
    ...nodeTests('webkit', 'WebKitGTK', within('webkit'), { concurrency: 1 }),
    unless: () => findWebKit().missing,
  },
  nodeTests('package', 'The package as its users get it', within('package'), { concurrency: 1 }),
];

/** The counts of a stage that wrote a report; undefined when it did not come so far. */
export function readReport(path) {
  return existsSync(path) ? JSON.parse(readFileSync(path, 'utf8')) : undefined;
}
