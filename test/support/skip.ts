// Skips a browser test and says why: the reason is printed in the summary of `npm test`. Node tests use node:test's own
// `{ skip: 'reason' }` or `t.skip('reason')`.

/**
 * Call as `skip(this, 'reason')` in a test or a before-hook (`function () {…}`, not an arrow). Ends the test at once;
 * in a before-hook it skips every test of the suite.
 */
export function skip(context: Mocha.Context, reason: string): never {
  // Mocha's types do not know that `context.test` may be a hook.
  const running = context.test as { title: string; type?: string } | undefined;
  console.log(`[skip] ${running?.type === 'test' ? running.title : '*'} :: ${reason}`);
  return context.skip();
}
