// A turn of the event loop between steps. A backend whose `run` is synchronous inside (WASM) would otherwise keep the
// worker from ever receiving the abort message: promises alone never let other tasks run.

const nodeSetImmediate = (globalThis as { setImmediate?: (callback: () => void) => unknown }).setImmediate;

let channel: MessageChannel | undefined;
const waiting: (() => void)[] = [];

/** Resolves in a later task; setTimeout would be clamped to 4 ms. */
export function nextTask(): Promise<void> {
  return new Promise((resolve) => {
    if (nodeSetImmediate) {
      nodeSetImmediate(resolve);
      return;
    }
    if (!channel) {
      channel = new MessageChannel();
      channel.port1.onmessage = () => waiting.shift()?.();
    }
    waiting.push(resolve);
    channel.port2.postMessage(0);
  });
}
