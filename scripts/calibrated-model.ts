// Builds a smaller model than embedded-model.ts does: a Hugging Face folder in f16 becomes a folder whose matrices have 2 to 6
// bits, as many each as it needs: calibrated on a text by our own runtime, bits assigned by measured sensitivity under a
// budget, rounded by GPTQ layer after layer. docs/precision.md has what comes out of it.
//
//   npx tsx scripts/calibrated-model.ts --from <folder> --out <folder> [--calibrate <text>] [--budget <bytes>]
//
// Without a text it is scripts/embedded-calibration.txt: stories, answers and paragraphs that the f16 model itself wrote
// (scripts/calibration-text.mjs), so that nobody else's text is needed and none that is measured can be in it.
//
// Writes model.safetensors (the convention of runtime/quantization/quantized-checkpoint.ts), config.json, tokenizer.json,
// tokenizer_config.json and generation_config.json. Takes some minutes.

import { mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import {
  assignBits,
  calibrate,
  measureSensitivity,
  outsideLayers,
  quantizeLayers,
  textWindows,
} from '../runtime/quantization/calibration/index.ts';
import { FORMATS } from '../runtime/quantization/formats.ts';
import { writeQuantizedCheckpoint, type NamedMatrix } from '../runtime/quantization/quantized-checkpoint.ts';
import { CANDIDATES, openModel } from './calibration-model.ts';

const NOTICE =
  'A tiny language model, trained from scratch for wp-models. It tells stories and describes things; most of its facts are wrong.';

/** Bytes of the matrices. A larger file makes the package, and the first visit of a page, heavier. */
const DEFAULT_BUDGET = '10300000';
/** Windows of the text: to calibrate on, and among them those on which sensitivity is measured. */
const WINDOWS = { count: 40, length: 512 };
const SENSITIVITY_WINDOWS = { every: 4, first: 2, length: 256 };

const { values: options } = parseArgs({
  options: {
    from: { type: 'string' },
    out: { type: 'string' },
    calibrate: { type: 'string', default: fileURLToPath(new URL('embedded-calibration.txt', import.meta.url)) },
    budget: { type: 'string', default: DEFAULT_BUDGET },
    threads: { type: 'string' },
  },
});
if (!options.from || !options.out) {
  throw new Error('Usage: calibrated-model.ts --from <folder> --out <folder>');
}
const { from, out } = { from: options.from, out: options.out };
const say = (what: string) => (done: number, all: number) => console.log(`${what}: ${done} of ${all}`);

await mkdir(out, { recursive: true });
const { model, graph, tokenize } = await openModel(from, options.threads ? Number(options.threads) : undefined);
const windows = textWindows(tokenize(await readFile(options.calibrate, 'utf8')), WINDOWS);
const outside = new Set(outsideLayers(graph).map(({ name }) => name));
const calibration = await calibrate(model, windows, { gather: outside, onProgress: say('calibrated') });
const probed = windows
  .filter((_, i) => i % SENSITIVITY_WINDOWS.every === SENSITIVITY_WINDOWS.first)
  .map((window) => window.slice(0, SENSITIVITY_WINDOWS.length));
const units = await measureSensitivity(model, probed, calibration, {
  candidates: CANDIDATES.map((name) => FORMATS[name]),
  onProgress: say('weighed'),
});
const { formats, bytes, cost } = assignBits(units, Number(options.budget));
console.log(`${bytes} bytes of matrices; estimated divergence ${cost.toFixed(3)} nats a token before compensation`);
const packed = new Map<string, NamedMatrix>();
for await (const named of quantizeLayers(model, windows, { formats, calibration, onProgress: say('quantised') })) {
  packed.set(named.name, named);
  console.log(`${named.name}: ${named.matrix.format.name}`);
}
// In the order of the graph: the order in which a layer after layer wants them.
const file = writeQuantizedCheckpoint(
  graph.weights.map(({ name }) => packed.get(name)!),
  NOTICE,
);
await writeFile(`${out}/model.safetensors`, file);

// config.json says what the numbers were before; tokenizer.json is minified.
for (const name of ['config.json', 'generation_config.json', 'tokenizer_config.json', 'tokenizer.json']) {
  const json: unknown = JSON.parse(await readFile(`${from}/${name}`, 'utf8'));
  const text = name === 'tokenizer.json' ? JSON.stringify(json) : JSON.stringify(json, undefined, 2);
  await writeFile(`${out}/${name}`, `${text}\n`);
}
const before = (await stat(`${from}/model.safetensors`)).size;
console.log(`model.safetensors: ${before} bytes → ${file.length} bytes`);
process.exit(0); // the backend's threads would wait for more work
