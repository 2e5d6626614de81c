// A reporter for node:test that yields one JSON object: the counts, each failure, each skip with its reason. scripts/test.mjs
// reads it. Suites are not counted, their tests are; a file without tests is a failure.

import { relative, resolve } from 'node:path';

/** What node:test says of tests that --test-name-pattern leaves out: they are not skipped, they were not asked for. */
const notAskedFor = 'test name does not match pattern';

function describe({ error }) {
  const cause = error?.cause;
  const text = cause?.stack ?? cause?.message ?? (typeof cause === 'string' ? cause : undefined);
  return text ?? error?.stack ?? String(error);
}

export default async function* nodeJsonReporter(events) {
  const report = { passed: 0, failed: 0, skipped: 0, failures: [], skips: [] };
  const files = new Map();
  let filtered = false;
  for await (const { type, data } of events) {
    if (type !== 'test:pass' && type !== 'test:fail') continue;
    const file = data.file ? relative(process.cwd(), data.file) : '';
    const isFile = data.nesting === 0 && data.file !== undefined && resolve(data.name) === data.file;
    const isSuite = data.details?.type === 'suite';
    const tests = files.get(file) ?? { count: 0 };
    files.set(file, tests);
    if (data.skip === notAskedFor) {
      filtered = true;
    } else if (data.skip !== undefined && data.skip !== false) {
      tests.count++;
      report.skipped++;
      const reason = typeof data.skip === 'string' && data.skip ? data.skip : 'no reason given';
      report.skips.push({ file, title: data.name, reason });
    } else if (data.todo !== undefined && data.todo !== false && !isSuite) {
      tests.count++;
      report.skipped++;
      report.skips.push({
        file,
        title: data.name,
        reason: `to do${typeof data.todo === 'string' ? `: ${data.todo}` : ''}`,
      });
    } else if (type === 'test:fail') {
      tests.count++;
      // The failure of what stands inside is counted where it happened.
      if (data.details?.error?.failureType === 'subtestsFailed') continue;
      report.failed++;
      report.failures.push({ file, title: isFile ? '(file)' : data.name, message: describe(data.details ?? {}) });
    } else if (!isSuite && !isFile) {
      tests.count++;
      report.passed++;
    }
  }
  if (!filtered) {
    for (const [file, { count }] of files) {
      if (count > 0) continue;
      report.failed++;
      report.failures.push({ file, title: '(file)', message: 'the file ran no tests' });
    }
  }
  yield `${JSON.stringify(report, null, 2)}\n`;
}
