// Between synchronous steps a worker must hear the messages that came meanwhile: in a browser nextTask goes over a
// MessageChannel, which the Node tests do not reach.

import { expect } from '@esm-bundle/chai';
import { nextTask } from '../../runtime/generation/event-loop.ts';

describe('nextTask', () => {
  it('lets a message through that was posted during a synchronous step', async () => {
    const { port1, port2 } = new MessageChannel();
    let heard = false;
    port1.onmessage = () => (heard = true);
    await nextTask();
    port2.postMessage('abort');
    let turns = 0;
    for (; !heard && turns < 10; turns++) await nextTask();
    port1.close();
    expect(heard).to.equal(true);
    // One step may have begun before the message was there.
    expect(turns).to.be.at.most(2);
  });

  it('resolves those who wait at the same time, in order', async () => {
    const order: number[] = [];
    await Promise.all([1, 2, 3].map((n) => nextTask().then(() => order.push(n))));
    expect(order).to.deep.equal([1, 2, 3]);
  });
});
