// Loads, asks and disposes of thirty models, one after another, and prints the bytes that are resident after each as JSON.
// Run with --gc-global: every collection is a full one then, in the model's worker too, so that what stays is what is held.

import { loadModel } from '../../dist/index.js';

const resident = [];
for (let round = 0; round < 30; round++) {
  const model = await loadModel('wp:fable-25m', { contextLength: 1024 });
  await model.logits([1, 2, 3]);
  const { actual } = await model.memory();
  if (!(actual.total > 10e6)) throw new Error(`A model takes ${actual.total} bytes?`);
  await model.dispose();
  resident.push(process.memoryUsage.rss());
}
console.log(JSON.stringify(resident));
