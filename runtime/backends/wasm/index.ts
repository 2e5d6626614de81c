export { createWasmBackend, type WasmBackendOptions } from './backend.ts';
export type { SpawnThread, Thread } from './threads.ts';
