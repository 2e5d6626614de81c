// A model's folder opened for calibration in Node: graph, weights by name, tokenizer, and our WASM backend to run it.

import { readFile } from 'node:fs/promises';
import { createWasmBackend } from '../runtime/backends/wasm/index.ts';
import { GraphBuilder } from '../runtime/graph/builder.ts';
import type { Graph } from '../runtime/graph/types.ts';
import { nodeFiles } from '../runtime/loading/node-files.ts';
import { findFamily, modelTypeOf, rotaryRows } from '../runtime/models/index.ts';
import { createTokenizer } from '../runtime/processing/tokenizer.ts';
import type { CalibrationModel } from '../runtime/quantization/calibration/index.ts';
import { formatBytes, type QuantFormatName } from '../runtime/quantization/formats.ts';
import type { NamedMatrix } from '../runtime/quantization/quantized-checkpoint.ts';
import { openCheckpoint } from '../runtime/weights/checkpoint.ts';
import { createWeightSource } from '../runtime/weights/weight-source.ts';

export interface OpenedModel {
  model: CalibrationModel;
  graph: Graph;
  tokenize(text: string): number[];
}

/** Formats among which bits are assigned: the two-level rows give most for their bytes. */
export const CANDIDATES: readonly QuantFormatName[] = ['q2k', 'q3k', 'q4k', 'q5k', 'q6k'];

/** @param threads of the WASM backend; default: the cores. */
export async function openModel(folder: string, threads?: number): Promise<OpenedModel> {
  const json = async (name: string): Promise<unknown> => JSON.parse(await readFile(`${folder}/${name}`, 'utf8'));
  const configJson = await json('config.json');
  const family = findFamily(modelTypeOf(configJson));
  const config = family.config(configJson);
  const builder = new GraphBuilder();
  family.build(builder, config);
  const graph = builder.build();
  const checkpoint = await openCheckpoint(nodeFiles(folder, { description: folder, weightsName: undefined }));
  const tokenizer = createTokenizer(await json('tokenizer.json'), await json('tokenizer_config.json'));
  return {
    graph,
    model: {
      graph,
      backend: await createWasmBackend({ threads }),
      rotaryRows: (past, tokens) => rotaryRows(config, past, tokens),
      weights: (of, formats, signal) => createWeightSource(checkpoint, of).stream(formats, signal),
    },
    tokenize: (text) => [...tokenizer.encode(text)],
  };
}

/** Bytes of matrices and vectors, scales included. */
export function totalBytes(matrices: readonly NamedMatrix[]): number {
  return matrices.reduce((sum, { matrix }) => sum + formatBytes(matrix.format, matrix.rows, matrix.columns).total, 0);
}
