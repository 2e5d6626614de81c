// The nodes of a graph as far as rewriting them needs: their inputs and outputs, and the attributes that are single numbers.

import { operationName, type Range } from '../header.ts';
import { fieldsOf, textOf } from '../protobuf.ts';

export interface GraphNode {
  operation: string;
  name: string;
  inputs: string[];
  outputs: string[];
  /** Whole and real numbers by name. */
  numbers: ReadonlyMap<string, number>;
}

export function readNode(bytes: Uint8Array, { start, end }: Range, file: string): GraphNode {
  const node = { name: '', inputs: [] as string[], outputs: [] as string[], numbers: new Map<string, number>() };
  let type = '';
  let domain = '';
  for (const field of fieldsOf(bytes, start, end, file)) {
    if (field.number === 1) node.inputs.push(textOf(bytes, field));
    else if (field.number === 2) node.outputs.push(textOf(bytes, field));
    else if (field.number === 3) node.name = textOf(bytes, field);
    else if (field.number === 4) type = textOf(bytes, field);
    else if (field.number === 7) domain = textOf(bytes, field);
    else if (field.number === 5) readNumber(bytes, field, file, node.numbers);
  }
  return { ...node, operation: operationName(domain, type) };
}

function readNumber(bytes: Uint8Array, { start, end }: Range, file: string, numbers: Map<string, number>): void {
  let name = '';
  let value: number | undefined;
  for (const field of fieldsOf(bytes, start, end, file)) {
    if (field.number === 1) name = textOf(bytes, field);
    else if (field.number === 2) value = new DataView(bytes.buffer, bytes.byteOffset + field.start).getFloat32(0, true);
    else if (field.number === 3) value = field.value;
  }
  if (value !== undefined) numbers.set(name, value);
}

/** Names that subgraphs of a node (of If and Loop) read: they may be the outer graph's. */
export function namesInSubgraphs(bytes: Uint8Array, { start, end }: Range, file: string, names: Set<string>): void {
  for (const attribute of fieldsOf(bytes, start, end, file)) {
    if (attribute.number !== 5) continue;
    for (const graph of fieldsOf(bytes, attribute.start, attribute.end, file)) {
      if (graph.number !== 6 && graph.number !== 11) continue;
      for (const field of fieldsOf(bytes, graph.start, graph.end, file)) {
        if (field.number !== 1) continue;
        for (const input of readNode(bytes, field, file).inputs) names.add(input);
        namesInSubgraphs(bytes, field, file, names);
      }
    }
  }
}
