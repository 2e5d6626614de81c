// Encoders: what turns texts or images into vectors or classes. This is the way in for a host.
//
//   const model = readEncoder(configJson);                       // throws for what is not understood
//   const text = model.text!;                                     // and model.vision; CLIP and SigLIP have both
//   const graph = text.graph({ outputs: ['embedding'], pooling: 'mean', tensorNames });   // lowered
//   const program = await backend.compileEncoder(graph, { formats, maxTokens, maxOutputs });   // backends/backend.ts
//   for await (const { name, matrix } of weights.stream(formats)) await program.setWeight(name, matrix);
//   await program.ready();
//   const { embedding } = await program.run(text.inputs(graph, [{ ids }, { ids: others }]));
//   // embedding: Float32Array [2 × text.widths.embedding], row i is text i
//
// Texts of a step are packed, not padded: a step costs its tokens. `maxTokens` (all texts of a step together) and `maxOutputs`
// (texts of a step) are the caller's choice, `maxTokens` at least its longest text: the chunk that `planModel` plans is a
// decoder's. More texts are more steps; sorted by length, steps of equal size waste nothing. Vision graphs are for a fixed number
// of images, and their programs take any maxTokens. Planning, weights and formats work as for decoders: every weight of a graph
// has a role.
//
// Not on the path of a chat: a host imports this file when `findFamily` knows no decoder of the model type.

import { WpError } from '../../errors.ts';
import type { Graph } from '../../graph/types.ts';
import { readTextConfig, TEXT_MODEL_TYPES, type TextConfig } from './text-config.ts';
import { buildTextGraph, type Pooling, type TextGraphOptions } from './text-encoder.ts';
import { textInputs, type EncoderInputs, type TextSequence } from './text-inputs.ts';
import { readVisionConfig, VISION_MODEL_TYPES, type VisionConfig } from './vision-config.ts';
import { buildVisionGraph, visionInputs, type VisionGraphOptions } from './vision-encoder.ts';

export interface TextEncoder {
  config: TextConfig;
  /** Columns of the outputs. `logits` is undefined without a classification head. */
  widths: { hidden: number; pooled: number | undefined; embedding: number; logits: number | undefined };
  /** The lowered graph. Throws `invalid-argument` for an output that this checkpoint does not have. */
  graph(options: TextGraphOptions): Graph;
  /** A step's inputs. `pooling` as given to `graph`. Throws `invalid-argument` for texts that do not fit. */
  inputs(graph: Graph, sequences: readonly TextSequence[], pooling?: Pooling): EncoderInputs;
}

export interface VisionEncoder {
  config: VisionConfig;
  widths: { hidden: number; pooled: number | undefined; embedding: number; logits: number | undefined };
  graph(options: VisionGraphOptions): Graph;
  /** A step's inputs from [images·height·width·channels] numbers, channels last; as many images as the graph was built for. */
  inputs(graph: Graph, pixels: Float32Array<ArrayBuffer>): EncoderInputs;
}

/** How CLIP and SigLIP compare: exp(scale)·cosine (+ bias), by softmax over the texts or a sigmoid for each. */
export interface Similarity {
  /** Tensors of one number each in the checkpoint. */
  scaleTensor: string;
  biasTensor: string | undefined;
  probabilities: 'softmax' | 'sigmoid';
}

export interface EncoderModel {
  modelType: string;
  text: TextEncoder | undefined;
  vision: VisionEncoder | undefined;
  similarity: Similarity | undefined;
}

/** Models of two towers: the types of the towers, and how they are compared. */
const TWO_TOWERS: Readonly<Record<string, { text: string; vision: string; similarity: Similarity }>> = {
  clip: {
    text: 'clip_text_model',
    vision: 'clip_vision_model',
    similarity: { scaleTensor: 'logit_scale', biasTensor: undefined, probabilities: 'softmax' },
  },
  siglip: {
    text: 'siglip_text_model',
    vision: 'siglip_vision_model',
    similarity: { scaleTensor: 'logit_scale', biasTensor: 'logit_bias', probabilities: 'sigmoid' },
  },
};

export const ENCODER_MODEL_TYPES: readonly string[] = [
  ...TEXT_MODEL_TYPES,
  ...VISION_MODEL_TYPES,
  ...Object.keys(TWO_TOWERS),
];

/**
 * An encoder by its parsed config.json. Throws `unsupported-architecture` for a model type that is none, and
 * `unsupported-config`, with field and value, for what changes the mathematics and is not understood.
 */
export function readEncoder(configJson: unknown): EncoderModel {
  const modelType = (configJson as { model_type?: unknown } | null)?.model_type;
  if (typeof modelType !== 'string' || !ENCODER_MODEL_TYPES.includes(modelType)) {
    throw new WpError(
      'unsupported-architecture',
      `The model type ${JSON.stringify(modelType)} is no encoder that is supported; supported: ${ENCODER_MODEL_TYPES.join(', ')}.`,
      'Choose a model of one of these types.',
      { actual: modelType, allowed: ENCODER_MODEL_TYPES },
    );
  }
  const towers = Object.hasOwn(TWO_TOWERS, modelType) ? TWO_TOWERS[modelType] : undefined;
  if (!towers) {
    const isText = TEXT_MODEL_TYPES.includes(modelType);
    return {
      modelType,
      text: isText ? textEncoder(readTextConfig(configJson)) : undefined,
      vision: isText ? undefined : visionEncoder(readVisionConfig(configJson)),
      similarity: undefined,
    };
  }
  const fields = configJson as Record<string, unknown>;
  const tower = (field: string, type: string): Record<string, unknown> => {
    const given = fields[field] ?? {};
    if (typeof given !== 'object' || Array.isArray(given)) {
      throw new WpError('unsupported-config', `config.json has no object ${field}.`, '', { field, actual: given });
    }
    // The towers share the projection's width, which the whole model says.
    const projection = fields['projection_dim'] === undefined ? {} : { projection_dim: fields['projection_dim'] };
    return { ...given, ...projection, model_type: type };
  };
  return {
    modelType,
    text: textEncoder(readTextConfig(tower('text_config', towers.text))),
    vision: visionEncoder(readVisionConfig(tower('vision_config', towers.vision))),
    similarity: towers.similarity,
  };
}

function textEncoder(config: TextConfig): TextEncoder {
  const { hiddenSize, pooler, head } = config;
  const isProjected = pooler !== undefined && pooler.activation === undefined;
  return {
    config,
    widths: {
      hidden: hiddenSize,
      pooled: pooler?.width,
      embedding: isProjected ? pooler.width : hiddenSize,
      logits: head?.labels,
    },
    graph: (options) => buildTextGraph(config, options),
    inputs: (graph, sequences, pooling) => textInputs(config, graph, sequences, pooling),
  };
}

function visionEncoder(config: VisionConfig): VisionEncoder {
  const { hiddenSize, pooler, projection, head } = config;
  return {
    config,
    widths: {
      hidden: hiddenSize,
      pooled: pooler === 'none' ? undefined : hiddenSize,
      embedding: projection ?? hiddenSize,
      logits: head?.labels,
    },
    graph: (options) => buildVisionGraph(config, options),
    inputs: (graph, pixels) => visionInputs(config, graph, pixels),
  };
}

export type { Graph as EncoderGraph } from '../../graph/types.ts';
export type { EncoderInputs, TextSequence } from './text-inputs.ts';
export type { Pooling, TextGraphOptions, TextOutput } from './text-encoder.ts';
export type { VisionGraphOptions, VisionOutput } from './vision-encoder.ts';
