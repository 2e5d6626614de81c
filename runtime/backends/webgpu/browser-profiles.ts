// Starting points of the matrix kernels, a row a browser: the compatibility guide's table of configurations as data. They
// are where auto-tuning starts, not results; a profile never decides whether an answer is right, only how fast it comes.

export type BrowserEngine = 'chromium' | 'firefox' | 'safari' | 'other';

export interface BrowserKernelProfile {
  engine: BrowserEngine;
  /** Threads of a matrix-product workgroup: along the tokens, along the weight's rows. */
  tileThreads: readonly [number, number];
  /** Steps of the inner loop written out one after another. */
  unroll: 1 | 2 | 4;
  /** Read the next tile into registers while the current one is multiplied. */
  prefetch: boolean;
}

export const BROWSER_PROFILES: Readonly<Record<BrowserEngine, BrowserKernelProfile>> = {
  // Chrome and Edge: 8×16, shared memory with prefetching, 4× unrolled.
  chromium: { engine: 'chromium', tileThreads: [8, 16], unroll: 4, prefetch: true },
  // Firefox: 8×8, shared memory, 2× unrolled.
  firefox: { engine: 'firefox', tileThreads: [8, 8], unroll: 2, prefetch: false },
  // Safari: 4×4, not unrolled.
  safari: { engine: 'safari', tileThreads: [4, 4], unroll: 1, prefetch: false },
  // Anything else, Node's Dawn among it: what fits the default limits everywhere.
  other: { engine: 'other', tileThreads: [8, 8], unroll: 2, prefetch: false },
};

/** The engine behind a user agent string. Every Chromium names itself Chrome, and Chrome names itself Safari. */
export function browserEngine(userAgent: string): BrowserEngine {
  if (/Firefox\//.test(userAgent)) return 'firefox';
  if (/Chrom(e|ium)\/|Edg\//.test(userAgent)) return 'chromium';
  if (/AppleWebKit\//.test(userAgent)) return 'safari';
  return 'other';
}
