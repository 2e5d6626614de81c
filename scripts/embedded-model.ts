// Builds the model that the package ships: a Hugging Face folder in f16 becomes a folder whose matrices are 4-bit.
//
//   npx tsx scripts/embedded-model.ts --from <folder> --out models/fable-25m
//
// Writes model.safetensors (the convention of runtime/quantization/quantized-checkpoint.ts), config.json, tokenizer.json,
// tokenizer_config.json and generation_config.json. MODEL_CARD.md stands in the output folder and is written by hand: run
// test/fixtures/fable-25m/measure.py for its figures. The same input gives the same bytes.

import { mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { GraphBuilder } from '../runtime/graph/builder.ts';
import { nodeFiles } from '../runtime/loading/node-files.ts';
import { findFamily, modelTypeOf } from '../runtime/models/index.ts';
import { FORMATS, type WeightFormat } from '../runtime/quantization/formats.ts';
import { writeQuantizedCheckpoint, type NamedMatrix } from '../runtime/quantization/quantized-checkpoint.ts';
import { openCheckpoint } from '../runtime/weights/checkpoint.ts';
import { createWeightSource } from '../runtime/weights/weight-source.ts';

const NOTICE =
  'A tiny language model, trained from scratch for wp-models. It tells stories and describes things; most of its facts are wrong.';

/** What may be shipped: a larger file makes the package, and the first visit of a page, too heavy. */
const MAXIMUM_BYTES = 12.6e6;

const { values: options } = parseArgs({ options: { from: { type: 'string' }, out: { type: 'string' } } });
if (!options.from || !options.out) throw new Error('Usage: embedded-model.ts --from <folder> --out <folder>');
const { from, out } = { from: options.from, out: options.out };

await mkdir(out, { recursive: true });
const configText = await readFile(`${from}/config.json`, 'utf8');
const configJson: unknown = JSON.parse(configText);
const family = findFamily(modelTypeOf(configJson));
const builder = new GraphBuilder();
family.build(builder, family.config(configJson));
const graph = builder.build();

const files = nodeFiles(from, { description: from, weightsName: undefined });
const source = createWeightSource(await openCheckpoint(files), graph);
const formats = new Map<string, WeightFormat>(
  graph.weights.map(({ name, shape }) => [name, shape.length === 2 ? FORMATS.q4g32 : FORMATS.f16]),
);
const packed = new Map<string, NamedMatrix>();
for await (const { name, matrix } of source.stream(formats)) {
  const isVector = graph.weights.find((weight) => weight.name === name)!.shape.length === 1;
  packed.set(name, { name, matrix, isVector });
}
// In the order of the graph: the order in which a layer after layer wants them.
const file = writeQuantizedCheckpoint(
  graph.weights.map(({ name }) => packed.get(name)!),
  NOTICE,
);
if (file.length > MAXIMUM_BYTES)
  throw new Error(`The weights take ${file.length} bytes; at most ${MAXIMUM_BYTES} may ship.`);
await writeFile(`${out}/model.safetensors`, file);

// config.json says what the numbers were before; tokenizer.json is minified.
for (const name of ['config.json', 'generation_config.json', 'tokenizer_config.json', 'tokenizer.json']) {
  const json: unknown = JSON.parse(await readFile(`${from}/${name}`, 'utf8'));
  const text = name === 'tokenizer.json' ? JSON.stringify(json) : JSON.stringify(json, undefined, 2);
  await writeFile(`${out}/${name}`, `${text}\n`);
}
const before = (await stat(`${from}/model.safetensors`)).size;
console.log(`model.safetensors: ${before} bytes → ${file.length} bytes`);
