// Under a strict content security policy (no inline styles, no inline scripts, no eval) the elements render, load and
// answer without a single violation. What the policy must allow beside 'self' is the runtime's matter, not theirs.

import { expect } from '@esm-bundle/chai';
import { until } from './support.ts';

interface PolicyWindow extends Window {
  violations: string[];
  outcome?: string;
}

const PAGE = `<!doctype html>
<html lang="en"><head>
<meta http-equiv="Content-Security-Policy" content="default-src 'self'; script-src 'self' 'nonce-test'; style-src 'self'; object-src 'none'">
</head><body>
<script type="module" nonce="test">
  window.violations = [];
  addEventListener('securitypolicyviolation', (event) => violations.push(event.violatedDirective + ' ' + event.sourceFile));
  const { installFakeLoader, FakeModel } = await import('/test/components/fake-model.ts');
  await import('/components/index.ts');
  await import('/components/vision.ts');
  const { loads } = installFakeLoader();
  document.body.innerHTML = '<wp-chat id="c" src="wp:fake"></wp-chat><wp-memory-meter for="c"></wp-memory-meter>';
  const chat = document.querySelector('wp-chat');
  while (loads.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  loads[0].progress({ loadedBytes: 5, totalBytes: 10 });
  await chat.updateComplete;
  loads[0].succeed(new FakeModel({ answer: () => ['**bold** <b style="color:red">x</b>', '\\n\\n\`\`\`js\\nx\\n\`\`\`'] }));
  await chat.send('Hi');
  while (!document.querySelector('wp-memory-meter').report) await new Promise((resolve) => setTimeout(resolve, 5));
  while (!chat.shadowRoot.querySelector('figure')) await new Promise((resolve) => setTimeout(resolve, 5));
  const vision = document.createElement('wp-vision');
  vision.src = 'wp:fake';
  vision.image = document.createElement('canvas');
  document.body.append(vision);
  while (loads.length === 1) await new Promise((resolve) => setTimeout(resolve, 5));
  loads[1].succeed(new FakeModel({ classes: [{ label: 'boat', score: 0.7 }] }));
  while (!vision.scores) await new Promise((resolve) => setTimeout(resolve, 5));
  await vision.updateComplete;
  window.outcome = chat.messages.at(-1).role + ' ' + chat.shadowRoot.querySelectorAll('.prose strong, figure').length;
</script>
</body></html>`;

it('a strict content security policy suffices for the elements', async () => {
  const frame = document.createElement('iframe');
  frame.style.cssText = 'inline-size: 600px; block-size: 900px';
  frame.srcdoc = PAGE;
  document.body.append(frame);
  try {
    const page = () => frame.contentWindow as PolicyWindow | null;
    await until('the answer', () => page()?.outcome);
    expect(page()?.outcome).to.equal('assistant 2');
    expect(page()?.violations).to.deep.equal([]);
  } finally {
    frame.remove();
  }
});
