// Whether ONNX Runtime knows the operations of a file: asked before it is started, so that the answer names all that is missing.

import { WpError } from '../errors.ts';
import type { OnnxHeader } from './header.ts';
import { OPERATIONS } from './operations.generated.ts';

/** The newest operation set of ONNX' own domain that the runtime reads. */
const NEWEST_OPSET = 27;

/** Throws `unsupported-operation` with the names of operations and domains that are not known. */
export function checkOperations({ operations, functions, opsets }: OnnxHeader, file: string): void {
  const known = new Set(
    Object.entries(OPERATIONS).flatMap(([domain, names]) =>
      names.split(' ').map((name) => (domain === '' ? name : `${domain}:${name}`)),
    ),
  );
  const unknown = [...operations.keys()].filter((name) => !known.has(name) && !functions.has(name));
  if (unknown.length > 0) {
    const names = unknown.slice(0, 10).map((name) => name.slice(0, 80));
    throw new WpError(
      'unsupported-operation',
      `${file} uses ${unknown.length === 1 ? 'an operation' : `${unknown.length} operations`} that ONNX Runtime does not know: ${names.join(', ')}${unknown.length > 10 ? ', …' : ''}.`,
      `Export the model with operations of ONNX itself; other known domains: ${Object.keys(OPERATIONS).filter(Boolean).join(', ')}.`,
      { file, actual: unknown.slice(0, 100), allowed: Object.keys(OPERATIONS) },
    );
  }
  const opset = opsets.get('');
  if (opset !== undefined && (opset < 1 || opset > NEWEST_OPSET)) {
    throw new WpError(
      'unsupported-operation',
      `${file} needs ONNX’ operation set ${opset}; this version reads 1 to ${NEWEST_OPSET}.`,
      'Export the model with an older opset.',
      { file, actual: opset, allowed: [1, NEWEST_OPSET] },
    );
  }
}
