// A whole load of a GGUF file up to what a backend would get, with what must hold of every file that is read.

import assert from 'node:assert/strict';
import { GraphBuilder } from '../../../runtime/graph/builder.ts';
import { lower } from '../../../runtime/graph/passes/index.ts';
import { findFamily, modelTypeOf } from '../../../runtime/models/index.ts';
import { withKinds } from '../../../runtime/planning/weight-kinds.ts';
import { readGgufTokenizer } from '../../../runtime/processing/gguf-tokenizer.ts';
import { createTokenizer } from '../../../runtime/processing/tokenizer.ts';
import { FORMATS, formatBytes, isQuantized, type PackedMatrix } from '../../../runtime/quantization/formats.ts';
import { openGguf } from '../../../runtime/weights/gguf/open.ts';
import { createWeightSource } from '../../../runtime/weights/weight-source.ts';
import { memoryFiles } from '../memory-files.ts';

/** What a load does with a file before a backend sees it; the weights are streamed unless `onlyHeader`. */
export async function load(bytes: Uint8Array, onlyHeader = false): Promise<void> {
  const files = Object.assign(memoryFiles({ 'm.gguf': bytes }), { weightsName: 'm.gguf' });
  try {
    const model = await openGguf(files);
    const { tokenizer, tokenizerConfig } = readGgufTokenizer(model.metadata);
    const family = findFamily(modelTypeOf(model.config));
    const config = family.config(model.config);
    assert.ok(config.layers <= model.checkpoint.tensors.size, 'a graph of layers that the file does not hold');
    if (onlyHeader) return;
    const builder = new GraphBuilder();
    family.build(builder, config);
    const authored = builder.build();
    const unfused = createWeightSource(model.checkpoint, authored);
    const graph = lower(withKinds(authored, (weight) => unfused.storedFormat(weight)));
    model.expectAllUsed(graph);
    createTokenizer(tokenizer, tokenizerConfig).encode('ab');
    const source = createWeightSource(model.checkpoint, graph);
    // What is stored in a format of ours stays so: without loss, and in no more bytes.
    const formats = new Map(
      graph.weights.map((weight) => {
        const stored = source.storedFormat(weight);
        const isKept = stored !== 'foreign' && stored !== 'bf16' && isQuantized(FORMATS[stored]);
        return [weight.name, weight.shape.length < 2 ? FORMATS.f32 : isKept ? FORMATS[stored] : FORMATS.q8g32];
      }),
    );
    for await (const { matrix } of source.stream(formats)) {
      assert.ok(matrix.rows > 0);
      assert.equal(packedBytes(matrix), formatBytes(matrix.format, matrix.rows, matrix.columns).total);
    }
  } finally {
    for (const { start, end } of files.opened.get('m.gguf')!.reads) assert.ok(start <= end && end <= bytes.length);
  }
}

function packedBytes({ planes, scales, minimums, scaleCodes }: PackedMatrix): number {
  const arrays = [...planes, scales, minimums, ...(scaleCodes ? [scaleCodes] : [])];
  return arrays.reduce((sum, { byteLength }) => sum + byteLength, 0);
}
