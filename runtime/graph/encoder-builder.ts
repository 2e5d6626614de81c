// The builder with the operations of encoders: one method an operation, as graph/builder.ts.

import { registerEncoderOperations } from '../ops/encoder-operations.ts';
import { GraphBuilder } from './builder.ts';
import { fuseAttend } from './passes/fuse-attend.ts';
import { lower } from './passes/index.ts';
import type { Activation, Graph, OperationAttributes, ValueId } from './types.ts';

export class EncoderGraphBuilder extends GraphBuilder {
  constructor() {
    super();
    registerEncoderOperations();
  }

  layerNorm(x: ValueId, attributes: OperationAttributes['layerNorm']): ValueId {
    return this.operation('layerNorm', [x], attributes);
  }

  activation(x: ValueId, activation: Activation): ValueId {
    return this.operation('activation', [x], { activation });
  }

  gatedGelu(gateAndUp: ValueId): ValueId {
    return this.operation('gatedGelu', [gateAndUp], {});
  }

  /** `spans` where the attributes have no segments, `buckets` where they have a relative bias. */
  attend(
    inputs: {
      queries: ValueId;
      keys: ValueId;
      values: ValueId;
      spans?: ValueId | undefined;
      buckets?: ValueId | undefined;
    },
    attributes: OperationAttributes['attend'],
  ): ValueId {
    const { queries, keys, values, spans, buckets } = inputs;
    const ids = [
      queries,
      keys,
      values,
      attributes.segments ? undefined : spans,
      attributes.relativeBias ? buckets : undefined,
    ];
    return this.operation(
      'attend',
      ids.filter((id) => id !== undefined),
      attributes,
    );
  }

  rotate(x: ValueId, rotary: ValueId, attributes: OperationAttributes['rotate']): ValueId {
    return this.operation('rotate', [x, rotary], attributes);
  }

  meanRows(x: ValueId, ranges: ValueId): ValueId {
    return this.operation('meanRows', [x, ranges], {});
  }

  normalizeRows(x: ValueId, epsilon = 1e-12): ValueId {
    return this.operation('normalizeRows', [x], { epsilon });
  }

  scaleColumns(x: ValueId, attributes: OperationAttributes['scaleColumns']): ValueId {
    return this.operation('scaleColumns', [x], attributes);
  }

  concatColumns(a: ValueId, b: ValueId): ValueId {
    return this.operation('concatColumns', [a, b], {});
  }

  tableRows(attributes: OperationAttributes['tableRows']): ValueId {
    return this.operation('tableRows', [], attributes);
  }

  addTable(x: ValueId, weight: string): ValueId {
    return this.operation('addTable', [x], { weight });
  }

  insertRows(x: ValueId, attributes: OperationAttributes['insertRows']): ValueId {
    return this.operation('insertRows', [x], attributes);
  }

  unfold(x: ValueId, attributes: OperationAttributes['unfold']): ValueId {
    return this.operation('unfold', [x], attributes);
  }

  conv2d(x: ValueId, attributes: OperationAttributes['conv2d']): ValueId {
    return this.operation('conv2d', [x], attributes);
  }

  convTranspose2d(x: ValueId, attributes: OperationAttributes['convTranspose2d']): ValueId {
    return this.operation('convTranspose2d', [x], attributes);
  }

  groupNorm(x: ValueId, attributes: OperationAttributes['groupNorm']): ValueId {
    return this.operation('groupNorm', [x], attributes);
  }

  upsample(x: ValueId, attributes: OperationAttributes['upsample']): ValueId {
    return this.operation('upsample', [x], attributes);
  }
}

/** From the graph that a family of encoders writes to the one that backends run: `lower`, and queries, keys and values as one. */
export function lowerEncoder(graph: Graph): Graph {
  return lower(fuseAttend(graph));
}
