// What ONNX Runtime throws, as the errors of this package. Its messages carry a code and a text.
// Codes: https://github.com/microsoft/onnxruntime/blob/main/include/onnxruntime/core/session/onnxruntime_c_api.h (OrtErrorCode)

import { isAbortError, WpError, type WpErrorCode } from '../errors.ts';

const CODES: Readonly<Record<string, WpErrorCode>> = {
  NOT_IMPLEMENTED: 'unsupported-operation',
  INVALID_PROTOBUF: 'corrupt-file',
  INVALID_GRAPH: 'corrupt-file',
};

const ORT_CODES = [
  'OK',
  'FAIL',
  'INVALID_ARGUMENT',
  'NO_SUCHFILE',
  'NO_MODEL',
  'ENGINE_ERROR',
  'RUNTIME_EXCEPTION',
  'INVALID_PROTOBUF',
  'MODEL_LOADED',
  'NOT_IMPLEMENTED',
  'INVALID_GRAPH',
  'EP_FAIL',
];

/** The last two: sizes beyond its 32-bit addresses. */
const OUT_OF_MEMORY =
  /bad_alloc|out of memory|Array buffer allocation failed|memory allocation|failed to allocate|shape is too large|Integer overflow/i;

/** A failure to make a session of `file`, or to run it. */
export function ortError(thrown: unknown, doing: 'load' | 'run', file: string): Error {
  if (thrown instanceof WpError || isAbortError(thrown)) return thrown as Error;
  const text = thrown instanceof Error ? thrown.message : String(thrown);
  const name = ORT_CODES[Number(/ERROR_CODE: (\d+)/.exec(text)?.[1])] ?? '';
  const message = (/ERROR_MESSAGE: ([^]*)$/.exec(text)?.[1] ?? text)
    // Where in its sources a failure was thrown.
    .replace(/^\/\S+:\d+ [^(]*\([^)]*\)\s*(?:const )?/, '')
    .replace(/^\[ONNXRuntimeError\] : \d+ : \w+ : /, '')
    .trim()
    .slice(0, 500);
  const fail = (code: WpErrorCode, what: string, hint: string): WpError =>
    new WpError(
      code,
      `${what}: ${message}`,
      hint,
      { file, runtime: 'onnxruntime-web', ortCode: name },
      { cause: thrown },
    );

  if (OUT_OF_MEMORY.test(message)) {
    return fail(
      'out-of-memory',
      `${doing === 'run' ? `A run of ${file}` : file} does not fit the memory of ONNX Runtime`,
      doing === 'run' ? 'Pass smaller inputs, or fewer at once.' : 'Use a smaller variant, or precision "4bit".',
    );
  }
  if (/no available backend|initWasm|failed to fetch|dynamically imported/i.test(message)) {
    return fail(
      'worker-failed',
      'ONNX Runtime could not be started',
      'Check that the folder onnx/ of the package’s dist/ lies beside model.worker.js, of one version.',
    );
  }
  if (/device.*(?:is )?lost|lost.*device/i.test(message)) {
    return fail('device-lost', 'The GPU went away', 'Load the model again.');
  }
  if (
    /not a registered function|Could not find an implementation|No Op registered|not supported for op/i.test(message)
  ) {
    return fail(
      'unsupported-operation',
      `${file} uses an operation that is not supported`,
      'Export the model with other operations or another opset.',
    );
  }
  if (doing === 'run') {
    return fail(
      'invalid-argument',
      `${file} cannot be computed with these inputs`,
      'Check the shapes of the inputs against each other: see model.info.onnx.inputs.',
    );
  }
  return fail(
    CODES[name] ?? 'corrupt-file',
    `ONNX Runtime does not accept ${file}`,
    'Check the file with onnx.checker, or export it again.',
  );
}
