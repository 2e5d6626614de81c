// What a family of models is: the model types it reads, how it reads their configuration, and how it writes their graph.
// One file a family; index.ts lists them.

import type { GraphBuilder } from '../graph/builder.ts';

export interface ModelFamily<Config> {
  /** Values of `model_type` in config.json that this family builds. */
  readonly modelTypes: readonly string[];
  /**
   * config.json as data. Throws `unsupported-config` for every field that would change the mathematics and is not
   * understood: it names the field, its value and what is allowed.
   */
  config(json: unknown): Config;
  /** Writes the model into the builder: inputs, weights, layers, outputs. */
  build(builder: GraphBuilder, config: Config): void;
}
