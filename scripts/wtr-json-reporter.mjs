// A reporter for @web/test-runner that writes what happened as JSON: the counts, each failure, each skip with its reason,
// and the twenty files whose tests took longest.
// A test gives its reason by `skip(this, 'why')` of test/support/skip.ts, which logs one line that is read here.

import { writeFileSync } from 'node:fs';
import { relative } from 'node:path';

/** The line that test/support/skip.ts logs. */
const skipLine = /^\[skip\] (.*?) :: (.*)$/s;

function collect(suite, titles, into) {
  for (const test of suite.tests) into.push({ ...test, title: [...titles, test.name].join(' › ') });
  for (const inner of suite.suites) collect(inner, [...titles, inner.name].filter(Boolean), into);
}

/** @param {string} path the file to write */
export function jsonReporter(path) {
  return {
    onTestRunFinished({ sessions }) {
      const report = { passed: 0, failed: 0, skipped: 0, files: sessions.length, failures: [], skips: [], slowest: [] };
      for (const session of sessions) {
        const file = relative(process.cwd(), session.testFile);
        const tests = [];
        if (session.testResults) collect(session.testResults, [], tests);
        const milliseconds = tests.reduce((sum, test) => sum + (test.duration ?? 0), 0);
        report.slowest.push({ file, seconds: Math.round(milliseconds / 1000) });
        const reasons = new Map();
        for (const log of session.logs.flat(2)) {
          const match = typeof log === 'string' ? skipLine.exec(log) : null;
          if (match) reasons.set(match[1], match[2]);
        }
        for (const test of tests) {
          if (test.skipped) {
            report.skipped++;
            const reason =
              reasons.get(test.name) ?? reasons.get('*') ?? 'no reason given: use skip() of test/support/skip.ts';
            report.skips.push({ file, title: test.title, reason });
          } else if (test.passed) {
            report.passed++;
          } else {
            report.failed++;
            report.failures.push({
              file,
              title: test.title,
              message: test.error?.message ?? 'failed without a message',
            });
          }
        }
        // A file that broke outside its tests (an import that failed, a crash, a timeout) is a failure of its own.
        if (session.errors.length > 0 || (!session.passed && !tests.some((test) => !test.passed && !test.skipped))) {
          report.failed++;
          const message = session.errors.map((error) => error.message).join('; ') || `the session is ${session.status}`;
          report.failures.push({ file, title: '(file)', message });
        } else if (tests.length === 0 && !process.env.WP_GREP) {
          report.failed++;
          report.failures.push({ file, title: '(file)', message: 'the file ran no tests' });
        }
      }
      report.slowest = report.slowest.sort((one, other) => other.seconds - one.seconds).slice(0, 20);
      writeFileSync(path, JSON.stringify(report, null, 2));
    },
  };
}
