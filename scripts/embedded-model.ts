// Builds a model that the package ships: a Hugging Face folder in f16 or f32, of a decoder or of a text encoder, becomes a folder
// whose matrices have few bits.
//
//   npx tsx scripts/embedded-model.ts --from <folder> --out models/fable-25m
//   npx tsx scripts/embedded-model.ts --from <folder> --out models/<name> --bits 8 --notice ''
//
// What lies in models/ goes into dist/models with the next build, and is `wp:<name>` to a page. Writes model.safetensors (the
// convention of runtime/quantization/quantized-checkpoint.ts) and the folder's JSON files. MODEL_CARD.md stands in the output
// folder and is written by hand: test/fixtures/fable-25m/measure.py gives a decoder's figures. The same input gives the same bytes.

import { mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { GraphBuilder } from '../runtime/graph/builder.ts';
import type { Graph } from '../runtime/graph/types.ts';
import { nodeFiles } from '../runtime/loading/node-files.ts';
import { readEncoder } from '../runtime/models/encoders/index.ts';
import { FAMILIES, modelTypeOf } from '../runtime/models/index.ts';
import { FORMATS, type WeightFormat } from '../runtime/quantization/formats.ts';
import { writeQuantizedCheckpoint, type NamedMatrix } from '../runtime/quantization/quantized-checkpoint.ts';
import { poolingFolder } from '../runtime/tasks/embedding-config.ts';
import { openCheckpoint } from '../runtime/weights/checkpoint.ts';
import { createWeightSource } from '../runtime/weights/weight-source.ts';

const NOTICE =
  'A tiny language model, trained from scratch for wp-models. It tells stories and describes things; most of its facts are wrong.';

/** What may be shipped: a larger file makes the package, and the first visit of a page, too heavy. */
const MAXIMUM_BYTES = { decoder: 12.6e6, encoder: 25e6 };

const FORMAT_OF_BITS = { '4': FORMATS.q4g32, '8': FORMATS.q8g32 };

const { values: options } = parseArgs({
  options: {
    from: { type: 'string' },
    out: { type: 'string' },
    bits: { type: 'string', default: '4' },
    notice: { type: 'string', default: NOTICE },
  },
});
const matrixFormat = FORMAT_OF_BITS[options.bits as keyof typeof FORMAT_OF_BITS] as WeightFormat | undefined;
if (!options.from || !options.out || !matrixFormat) {
  throw new Error('Usage: embedded-model.ts --from <folder> --out <folder> [--bits 4|8] [--notice TEXT]');
}
const { from, out } = { from: options.from, out: options.out };

await mkdir(out, { recursive: true });
const configJson: unknown = JSON.parse(await readFile(join(from, 'config.json'), 'utf8'));
const modelType = modelTypeOf(configJson);
const family = FAMILIES.find(({ modelTypes }) => modelTypes.includes(modelType));
const checkpoint = await openCheckpoint(nodeFiles(from, { description: from, weightsName: undefined }));

const weights = family ? decoderWeights(family) : encoderWeights();
const source = createWeightSource(checkpoint, { weights } as Graph);
const formats = new Map<string, WeightFormat>(
  weights.map(({ name, shape, role }) => [
    name,
    shape.length === 2 && role !== 'position' ? matrixFormat : FORMATS.f16,
  ]),
);
const packed = new Map<string, NamedMatrix>();
for await (const { name, matrix } of source.stream(formats)) {
  const isVector = weights.find((weight) => weight.name === name)!.shape.length === 1;
  packed.set(name, { name, matrix, isVector });
}
// In the order of the graph: the order in which a layer after layer wants them.
const file = writeQuantizedCheckpoint(
  weights.map(({ name }) => packed.get(name)!),
  options.notice,
);
const maximum = MAXIMUM_BYTES[family ? 'decoder' : 'encoder'];
if (file.length > maximum) throw new Error(`The weights take ${file.length} bytes; at most ${maximum} may ship.`);
await writeFile(join(out, 'model.safetensors'), file);

// config.json says what the numbers were before; tokenizer.json is minified.
for (const name of family
  ? ['config.json', 'generation_config.json', 'tokenizer_config.json', 'tokenizer.json']
  : await sentenceFiles()) {
  const json: unknown = JSON.parse(await readFile(join(from, name), 'utf8'));
  const text = name === 'tokenizer.json' ? JSON.stringify(json) : JSON.stringify(json, undefined, 2);
  await mkdir(dirname(join(out, name)), { recursive: true });
  await writeFile(join(out, name), `${text}\n`);
}
const before = (await stat(join(from, 'model.safetensors'))).size;
console.log(`model.safetensors: ${before} bytes → ${file.length} bytes`);

function decoderWeights(decoder: NonNullable<typeof family>): Graph['weights'] {
  const builder = new GraphBuilder();
  decoder.build(builder, decoder.config(configJson));
  return builder.build().weights;
}

/** Of a lowered graph, whose matrices are stacked: each of the checkpoint's tensors by itself, under its own name. */
function encoderWeights(): Graph['weights'] {
  const { text } = readEncoder(configJson);
  if (!text) throw new Error('Only encoders of texts are embedded.');
  const tensorNames = new Set(checkpoint.tensors.keys());
  const outputs = text.config.head ? (['embedding', 'logits'] as const) : (['embedding'] as const);
  return text.graph({ outputs, normalize: false, tensorNames }).weights.flatMap((weight) =>
    weight.parts.map((part) => ({
      ...weight,
      name: part.tensor,
      parts: [part],
      shape: [part.rows, ...weight.shape.slice(1)],
    })),
  );
}

/** What sentence-transformers writes beside the weights, as far as it is there. */
async function sentenceFiles(): Promise<string[]> {
  const has = async (name: string): Promise<boolean> =>
    stat(join(from, name)).then(
      () => true,
      () => false,
    );
  const names = ['config.json', 'tokenizer.json', 'tokenizer_config.json'];
  if (!(await has('modules.json'))) return names;
  const folder = poolingFolder(JSON.parse(await readFile(join(from, 'modules.json'), 'utf8')));
  const pooling = folder === undefined ? [] : [join(folder, 'config.json')];
  const optional = ['config_sentence_transformers.json', 'sentence_bert_config.json'];
  const present = await Promise.all(optional.map(has));
  return [...names, 'modules.json', ...pooling, ...optional.filter((_, i) => present[i])];
}
