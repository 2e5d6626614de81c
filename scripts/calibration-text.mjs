// A calibration text that nobody else wrote: the f16 model answers questions and goes on with beginnings of ours, by seed.
//
//   node scripts/calibration-text.mjs --from <folder of the f16 model> --out scripts/embedded-calibration.txt
//
// Of the prompts by which the quantised models are read (docs/precision.md) only "Tell me a story." is among these. The text is kept, since sums of
// floating-point numbers differ between machines and one other token makes another text.

import { writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { loadModel } from '../dist/index.js';

const CHATS = [
  'Tell me a story.',
  'Tell me a story about a cat and a bird.',
  'Tell me a story about a lonely lighthouse.',
  'Write a short story about a girl named Anna.',
  'Write a story about a boy and his kite.',
  'Tell me a bedtime story.',
  'Tell me a story about a brave mouse.',
  'Write a story about a lost shoe.',
  'Tell me a story about rain.',
  'Tell me a story about a farmer and his horse.',
  'Write a story about two friends at the beach.',
  'Tell me a story about a little train.',
  'Write a story about a birthday.',
  'Tell me a story about a bear who could not sleep.',
  'What is water?',
  'What is a volcano?',
  'What is music?',
  'What is democracy?',
  'What is a poem?',
  'What is iron?',
  'What is a cathedral?',
  'What is chess?',
  'What is the moon?',
  'What is a language?',
  'Who was Aristotle?',
  'Who was Mozart?',
  'Who was Shakespeare?',
  'Who was Queen Victoria?',
  'Who was Julius Caesar?',
  'Who was Isaac Newton?',
  'Tell me about London.',
  'Tell me about Egypt.',
  'Tell me about the Amazon.',
  'Tell me about whales.',
  'Tell me about football.',
  'Tell me about the Roman Empire.',
  'Tell me about bread.',
  'Tell me about Canada.',
  'Tell me about the violin.',
  'Tell me about trees.',
  'Hello!',
  'Hi, how are you?',
  'What can you do?',
  'What is your name?',
  'Thank you!',
  'Are you a robot?',
  'Good morning',
  'Can you help me?',
  'Continue: The ship left the harbour and',
  'Continue: He had never seen the king before, but',
  'Continue: In the garden there was',
  'Continue: The war ended when',
  'Continue: My dear sister,',
];
const BEGINNINGS = [
  'The castle was built in',
  'The species is found in',
  'Once there was a boy who',
  'The album was released in',
  'He was born in',
  'The battle of',
  '"I do not know," said',
  'It was late in the evening when',
  'The town lies',
  'The theory states that',
  'She looked at the letter and',
  'During the nineteenth century,',
  'The film',
  'The king had three sons',
  'An important part of the economy',
  'The road',
  'Mr. Brown was',
  'The season began with',
  'The church',
  'One day, a little dog',
];
const SAMPLING = { temperature: 0.8, topK: 40, topP: 0.95, repetitionPenalty: 1.05 };

const { values: options } = parseArgs({ options: { from: { type: 'string' }, out: { type: 'string' } } });
if (!options.from || !options.out) throw new Error('Usage: calibration-text.mjs --from <folder> --out <file>');
const model = await loadModel(options.from, { precision: 'f16', backend: 'wasm', contextLength: 512 });

async function textOf(stream) {
  let text = '';
  for await (const part of stream) if (!part.done) text += part.text;
  return text;
}

let text = '';
let seed = 1;
for (const question of CHATS) {
  const answer = await textOf(
    model.chat([{ role: 'user', content: question }], { ...SAMPLING, maxTokens: 220, seed: seed++ }),
  );
  text += `<|im_start|>user\n${question}<|im_end|>\n<|im_start|>assistant\n${answer.trim()}<|im_end|>\n`;
}
for (const beginning of BEGINNINGS) {
  const rest = await textOf(model.complete(beginning, { ...SAMPLING, maxTokens: 300, seed: seed++ }));
  text += `${beginning}${rest}\n\n`;
}
await writeFile(options.out, text);
await model.dispose();
process.exit(0);
