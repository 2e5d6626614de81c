import { WpError } from '../errors.ts';
import type { Capabilities } from '../types.ts';
import type { Reason } from './reason.ts';

/**
 * Threads of the WASM backend: all cores where memory can be shared, else 1 (a page that is not isolated must work too,
 * so a wish for more is answered with a reason and not an error). Throws `invalid-argument` for what is not a count.
 */
export function chooseThreads(
  capabilities: Capabilities,
  wish: number | undefined,
): { threads: number; reason: Reason } {
  if (wish !== undefined && !(Number.isInteger(wish) && wish >= 1)) {
    throw new WpError('invalid-argument', `threads is ${wish}; it must be a whole number from 1 up.`, '', {
      actual: wish,
    });
  }
  const { wasm, crossOriginIsolated, cores } = capabilities;
  const canShare = wasm.threads && crossOriginIsolated;
  const because = (threads: number, reason: string) => ({ threads, reason: { topic: 'threads', reason } as const });
  if (!canShare) {
    const cause = wasm.threads
      ? 'the page is not cross-origin isolated (headers COOP and COEP)'
      : 'this WebAssembly has no shared memory';
    return because(1, `One thread: ${cause}${wish !== undefined && wish > 1 ? `; ${wish} were asked for` : ''}.`);
  }
  if (wish !== undefined) return because(wish, `${wish} ${wish === 1 ? 'thread was' : 'threads were'} asked for.`);
  return because(Math.max(1, cores), `All ${Math.max(1, cores)} cores: the page is cross-origin isolated.`);
}
