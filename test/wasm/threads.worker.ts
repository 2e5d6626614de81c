// Runs a program on one thread and on two, and posts 'same' or what differs.

import { createWasmBackend } from '../../runtime/backends/wasm/index.ts';
import { prepareCase, PROGRAM_CASES, runOnWasm } from './program-cases.ts';

async function compare(): Promise<string> {
  const prepared = prepareCase(PROGRAM_CASES[3]!);
  const backend = await createWasmBackend({ threads: 2 });
  await backend.compile(prepared.graph, prepared.options);
  const { description } = backend;
  backend.dispose();
  if (!description.endsWith('on 2 threads')) return description;
  const one = await runOnWasm(prepared, { threads: 1 });
  const two = await runOnWasm(prepared, { threads: 2 });
  for (const [step, logits] of one.entries()) {
    if (logits.some((value, i) => !Object.is(value, two[step]![i]))) return `Step ${step} differs.`;
  }
  return 'same';
}

compare().then(postMessage, (error: unknown) => postMessage(String(error)));
