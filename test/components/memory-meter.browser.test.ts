// <wp-memory-meter>: what it shows, and that it asks only when there is a reason and someone sees it.

import { expect } from '@esm-bundle/chai';
import { WpError } from '../../runtime/index.ts';
import { FakeModel, installReadyLoader } from './fake-model.ts';
import { expectAccessible, gate, inShadow, maybeInShadow, mount, removeMounted, rendered, until } from './support.ts';

describe('wp-memory-meter', () => {
  let restore = () => {};
  let fake: FakeModel;

  beforeEach(() => {
    fake = new FakeModel();
    restore = installReadyLoader(fake);
  });
  afterEach(() => {
    removeMounted();
    restore();
  });

  const within = (meter: string) => {
    const box = mount(`<wp-model src="wp:fake">${meter}</wp-model>`);
    return { model: box.querySelector('wp-model')!, meter: box.querySelector('wp-memory-meter')! };
  };

  it('shows planned and actual bytes, and the room in the context', async () => {
    fake.contextUsed = 256;
    const { meter } = within('<wp-memory-meter></wp-memory-meter>');
    await until('measured', () => meter.report);
    await meter.updateComplete;
    const rows = [...meter.shadowRoot!.querySelectorAll('tbody tr, tfoot tr')].map((row) =>
      [...row.children].map((cell) => cell.textContent?.trim()),
    );
    expect(rows).to.deep.equal([
      ['Weights', '12.2 MB', '12.2 MB'],
      ['KV cache', '6.3 MB', '2.5 MB'],
      ['Activations', '1.9 MB', '1.9 MB'],
      ['Other', '–', '400 kB'],
      ['In all', '20.4 MB', '17.0 MB'],
    ]);
    expect(inShadow(meter, '[part=context]').textContent).to.contain('256 of 1,024 tokens');
    const bar = inShadow(meter, '[role=meter]');
    expect(Number(bar.getAttribute('aria-valuenow'))).to.equal(17_036_000);
    expect(bar.getAttribute('aria-valuetext')).to.contain('17.0 MB of 20.4 MB planned').and.contain('KV cache 2.5 MB');
    const shares = [...meter.shadowRoot!.querySelectorAll<HTMLElement>('[part=bar] .segment')];
    expect(shares.map((share) => Math.round(parseFloat(share.style.flexBasis)))).to.deep.equal([60, 12, 9, 2]);
    await expectAccessible(meter);
  });

  it('compact is one bar without the table', async () => {
    const { meter } = within('<wp-memory-meter layout="compact"></wp-memory-meter>');
    await until('measured', () => meter.report);
    await meter.updateComplete;
    expect(maybeInShadow(meter, 'table')).to.equal(null);
    expect(inShadow(meter, '[role=meter]').getAttribute('aria-label')).to.equal('Memory in use');
  });

  it('is live while the model answers, and quiet afterwards', async () => {
    const steps = [gate(), gate()];
    restore();
    fake = new FakeModel({ answer: () => ['a', 'b'], beforePiece: (index) => steps[index]?.promise });
    restore = installReadyLoader(fake);
    const { model, meter } = within('<wp-memory-meter></wp-memory-meter>');
    await until('measured', () => meter.report);
    const handle = await model.load();
    const reading = (async () => {
      for await (const _part of handle.chat([{ role: 'user', content: 'hi' }])) void _part;
    })();
    steps[0]!.open();
    await until('the first token is seen', () => meter.report?.contextUsed === 1);
    const callsBefore = fake.memoryCalls;
    await until('it keeps asking', () => fake.memoryCalls >= callsBefore + 2);
    steps[1]!.open();
    await reading;
    await until('the last token is seen', () => meter.report?.contextUsed === 2);
    await new Promise((resolve) => setTimeout(resolve, 50));
    const callsAfter = fake.memoryCalls;
    await new Promise((resolve) => setTimeout(resolve, 1000));
    expect(fake.memoryCalls).to.equal(callsAfter);
  });

  it('asks for nothing while it is out of view', async () => {
    const box = mount(
      '<wp-model src="wp:fake"><div style="block-size: 5000px"></div><wp-memory-meter></wp-memory-meter></wp-model>',
    );
    const meter = box.querySelector('wp-memory-meter')!;
    await box.querySelector('wp-model')!.load();
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(fake.memoryCalls).to.equal(0);
    expect(meter.shadowRoot!.textContent).to.contain('20.4 MB planned');
    meter.scrollIntoView();
    await until('measured', () => meter.report);
    window.scrollTo(0, 0);
  });

  it('forgets the measurement with the model', async () => {
    const { model, meter } = within('<wp-memory-meter></wp-memory-meter>');
    await until('measured', () => meter.report);
    await model.dispose();
    await rendered();
    expect(meter.report).to.equal(undefined);
    expect(meter.shadowRoot!.textContent).to.contain('No model is loaded');
  });

  it('shows why it could not measure', async () => {
    fake.memory = () => Promise.reject(new WpError('worker-failed', 'The worker stopped.', 'Load the model again.'));
    const { meter } = within('<wp-memory-meter></wp-memory-meter>');
    await until('the reason', () => meter.shadowRoot!.textContent?.includes('The worker stopped.'));
  });
});

it('loading the elements twice registers them once', async () => {
  const { define } = await import('../../components/define.ts');
  const first = customElements.get('wp-chat');
  define('wp-chat', class extends HTMLElement {});
  expect(customElements.get('wp-chat')).to.equal(first);
});
