// `npm test`: installs and builds when needed, runs every stage, two at a time, and adds up. The last line is
// `N passed, N failed, N skipped`. A stage that ran no test is a failure; what is skipped is listed with its reason.
//
//   npm test -- --only node,chromium   some stages      npm test -- --grep attention   tests by name
//   npm test -- --serial               one at a time    npm test -- --no-build         with dist/ as it is

import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { parseArgs } from 'node:util';
import { checkNode, ensureInstalled } from './install.mjs';
import { root } from './root.mjs';

/** A stage that takes longer hangs. Shaders on a software adapter take most of a browser's stage. */
const stageTimeoutMs = 20 * 60_000;

checkNode();
const { values: options } = parseArgs({
  options: {
    only: { type: 'string' },
    grep: { type: 'string' },
    serial: { type: 'boolean', default: false },
    'no-build': { type: 'boolean', default: false },
  },
});
ensureInstalled();
const { stages, readReport } = await import('./stages.mjs');
const { build } = await import('./build.mjs');

function chosenStages() {
  if (!options.only) return stages;
  const names = options.only.split(',');
  const unknown = names.filter((name) => !stages.some((stage) => stage.name === name));
  if (unknown.length > 0) {
    console.error(`There is no stage ${unknown.join(', ')}; there are ${stages.map(({ name }) => name).join(', ')}.`);
    process.exit(2);
  }
  return stages.filter(({ name }) => names.includes(name));
}

const children = new Set();

/** SIGTERM lets a test runner close its browser, after which it may go on waiting for it: it is then killed. */
async function end(child) {
  const closed = new Promise((resolve) => child.once('close', resolve));
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), 5_000);
  await closed;
  clearTimeout(timer);
}

for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, () => {
    void Promise.all([...children].map(end)).then(() => process.exit(130));
  });
}

function execute(args, env, live) {
  return new Promise((resolve) => {
    const stdio = live ? ['ignore', 'inherit', 'inherit'] : ['ignore', 'pipe', 'pipe'];
    const child = spawn(process.execPath, args, { cwd: root, stdio, env: { ...process.env, ...env } });
    children.add(child);
    let output = '';
    child.stdout?.on('data', (data) => (output += data));
    child.stderr?.on('data', (data) => (output += data));
    let timedOut = false;
    const timer = setTimeout(() => {
      timedOut = true;
      void end(child);
    }, stageTimeoutMs);
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      children.delete(child);
      const why = timedOut ? `it ran longer than ${stageTimeoutMs / 60_000} minutes` : (signal ?? `exit code ${code}`);
      resolve({ ok: code === 0, output, why });
    });
  });
}

/** One failure more than the stage's own: it broke, or it ran nothing. */
function withFailure(report, message) {
  const failures = [...report.failures, { file: '', title: '(stage)', message }];
  return { ...report, failed: report.failed + 1, failures };
}

async function runStage(stage, folder, live) {
  const nothing = { passed: 0, failed: 0, skipped: 0, failures: [], skips: [] };
  const reason = stage.unless?.();
  if (reason) {
    const skips = stage.files.map((file) => ({ file, title: '(file)', reason }));
    if (skips.length === 0) skips.push({ file: '', title: '(stage)', reason });
    return { ...nothing, skipped: skips.length, skips };
  }
  if (stage.kind === 'report' && stage.files.length === 0) return withFailure(nothing, 'the stage has no test files');
  const context = { report: join(folder, `${stage.name}.json`), grep: options.grep, live };
  const args = typeof stage.args === 'function' ? stage.args(context) : stage.args;
  const { ok, output, why } = await execute(args, stage.env?.(context), live);
  if (stage.kind === 'check') {
    if (ok) return { ...nothing, passed: 1, output };
    return {
      ...nothing,
      failed: 1,
      output,
      failures: [{ file: '', title: stage.title, message: output.trim() || why }],
    };
  }
  const report = readReport(context.report);
  if (!report) return withFailure({ ...nothing, output }, `it ended without a report: ${why}\n${output.trim()}`);
  const ran = report.passed + report.failed;
  if (ran === 0 && report.skipped === 0 && !options.grep) return withFailure({ ...report, output }, 'it ran no tests');
  if (ran === 0 && !options.grep) return withFailure({ ...report, output }, 'every one of its tests was skipped');
  if (!ok && report.failed === 0) return withFailure({ ...report, output }, `it failed: ${why}\n${output.trim()}`);
  return { ...report, output };
}

function printFailures(stage, { failures }) {
  for (const { file, title, message } of failures) {
    const lines = message.split('\n');
    const shown = lines.length > 60 ? [...lines.slice(0, 60), `… ${lines.length - 60} lines more`] : lines;
    console.log(`\n✗ ${stage.title}: ${[file, title].filter(Boolean).join(' › ')}`);
    console.log(shown.map((line) => `    ${line}`).join('\n'));
  }
}

/** The same reason is printed once, with what it concerns. */
function printSkips(results) {
  const byReason = new Map();
  for (const [stage, { skips }] of results) {
    for (const { file, title, reason } of skips) {
      const key = `${stage.title}: ${reason}`;
      byReason.set(key, [...(byReason.get(key) ?? []), [file, title].filter(Boolean).join(' › ')]);
    }
  }
  if (byReason.size === 0) return;
  console.log('\nSkipped');
  for (const [reason, where] of byReason) {
    console.log(`  ${where.length} × ${reason}`);
    for (const place of where.slice(0, 8)) console.log(`      ${place}`);
    if (where.length > 8) console.log(`      … and ${where.length - 8} more`);
  }
}

function printTable(rows) {
  const header = ['stage', 'passed', 'failed', 'skipped', 'seconds'];
  const cells = [header, ...rows];
  const widths = header.map((_, column) => Math.max(...cells.map((row) => row[column].length)));
  console.log('');
  for (const row of cells) {
    console.log(
      row.map((cell, column) => (column === 0 ? cell.padEnd(widths[0]) : cell.padStart(widths[column]))).join('  '),
    );
  }
}

const chosen = chosenStages();
const results = new Map();
const seconds = new Map();
const folder = mkdtempSync(join(tmpdir(), 'wp-models-test-'));
const startedAt = performance.now();
try {
  if (!options['no-build']) {
    const started = performance.now();
    const stage = { name: 'build', title: 'Build' };
    try {
      await build();
      results.set(stage, { passed: 1, failed: 0, skipped: 0, failures: [], skips: [] });
    } catch (error) {
      const message = error instanceof Error ? (error.stack ?? error.message) : String(error);
      results.set(stage, { passed: 0, failed: 1, skipped: 0, skips: [], failures: [{ file: '', title: '', message }] });
      printFailures(stage, results.get(stage));
    }
    seconds.set(stage, (performance.now() - started) / 1000);
  }
  const live = chosen.length === 1;
  const waiting = [...chosen];
  const worker = async () => {
    for (let stage = waiting.shift(); stage; stage = waiting.shift()) {
      const started = performance.now();
      const result = await runStage(stage, folder, live);
      seconds.set(stage, (performance.now() - started) / 1000);
      results.set(stage, result);
      const { passed, failed, skipped } = result;
      console.log(`${failed > 0 ? '✗' : '✓'} ${stage.title}: ${passed} passed, ${failed} failed, ${skipped} skipped`);
      if (!live || stage.kind === 'check' || failed > 0) printFailures(stage, result);
    }
  };
  const workers = options.serial ? 1 : Math.min(2, availableParallelism());
  await Promise.all(Array.from({ length: workers }, worker));
} finally {
  rmSync(folder, { recursive: true, force: true });
}

printSkips(results);
const total = { passed: 0, failed: 0, skipped: 0 };
const rows = [];
for (const [stage, { passed, failed, skipped }] of results) {
  total.passed += passed;
  total.failed += failed;
  total.skipped += skipped;
  rows.push([stage.title, String(passed), String(failed), String(skipped), seconds.get(stage).toFixed(1)]);
}
printTable(rows);
console.log(`\n${((performance.now() - startedAt) / 1000).toFixed(0)} s`);
if (total.passed + total.failed === 0) {
  total.failed += 1;
  console.log('No test ran at all, which is a failure.');
}
console.log(`${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`);
process.exitCode = total.failed > 0 ? 1 : 0;
