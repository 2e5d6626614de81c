// The page's own script: it copies the snippet and shows the plan of the model that the chat loaded. The elements need
// none of it.
// @ts-check

const chat = document.querySelector('wp-chat');
const plan = document.querySelector('#plan');

chat?.addEventListener('wp-ready', (event) => {
  const { plan: decided } = event.detail.model.info;
  const facts = [
    ...decided.reasons.map(({ topic, reason }) => [topic, reason]),
    ['runs on', decided.backendDescription],
    ['download', `${(decided.downloadBytes / 1e6).toFixed(1)} MB, once`],
  ];
  plan?.replaceChildren(...facts.map(([topic = '', reason = '']) => row(topic, reason)));
});

/**
 * @param {string} topic
 * @param {string} reason
 */
function row(topic, reason) {
  const group = document.createElement('div');
  const term = document.createElement('dt');
  const description = document.createElement('dd');
  term.textContent = topic;
  description.textContent = reason;
  group.append(term, description);
  return group;
}

const copyButton = document.querySelector('#copy-snippet');
copyButton?.addEventListener('click', async () => {
  const text = document.querySelector('#snippet')?.textContent ?? '';
  try {
    await navigator.clipboard.writeText(text);
    copyButton.textContent = 'Copied';
  } catch {
    copyButton.textContent = 'Select the text to copy it';
  }
});
