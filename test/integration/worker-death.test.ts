// Who waits for a worker hears of its death once, and is not remembered when it no longer waits.

import assert from 'node:assert/strict';
import { it } from 'node:test';
import { type Connection, onDeath, unwrap } from '../../runtime/connection.ts';
import { WpError } from '../../runtime/errors.ts';

function connection(): { link: Connection; die: () => Promise<void> } {
  let report!: (error: WpError) => void;
  const died = new Promise<WpError>((resolve) => (report = resolve));
  const link = { died, hold: () => () => undefined } as Partial<Connection> as Connection;
  return {
    link,
    async die() {
      report(new WpError('worker-failed', 'It stopped.'));
      await died;
    },
  };
}

it('those that wait hear of it, those that come later too, those that were answered do not', async () => {
  const { link, die } = connection();
  const heard: string[] = [];
  onDeath(link, ({ code }) => heard.push(`waits: ${code}`));
  onDeath(link, () => heard.push('answered'))();
  await die();
  onDeath(link, ({ code }) => heard.push(`later: ${code}`));
  assert.deepEqual(heard, ['waits: worker-failed', 'later: worker-failed']);
});

it('a reply that never comes is rejected; one that came stays', async () => {
  const { link, die } = connection();
  assert.equal(await unwrap(link, Promise.resolve({ ok: true, value: 7 })), 7);
  const waiting = unwrap(link, new Promise<never>(() => undefined));
  await die();
  await assert.rejects(waiting, (error) => error instanceof WpError && error.code === 'worker-failed');
  await assert.rejects(unwrap(link, new Promise<never>(() => undefined)));
});
