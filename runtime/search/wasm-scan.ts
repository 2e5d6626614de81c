// The scan on the CPU: one thread, the page's own, in turns that leave the page responsive.

import { WpError } from '../errors.ts';
import { kernels } from './kernels.generated.ts';
import { BLOCK_ROWS, type CodeBlock, type CodedQuery } from './quantized-rows.ts';
import { selectRows, turns, type Scan, type ScanShape } from './scan.ts';

interface Exports {
  /** assembly/search-index.ts. */
  scan(
    codes: number,
    query: number,
    scales: number,
    scores: number,
    stride: number,
    rows: number,
    queryScale: number,
  ): void;
}

const PAGE_BYTES = 65536;
/** What the module itself may use. */
const FIRST_ADDRESS = 1024;
/** Codes between two looks at the clock: about a millisecond. */
const CODES_AT_ONCE = 1 << 23;

/** Throws `backend-unavailable` where there is no SIMD, `out-of-memory` where the codes do not fit. */
export async function openWasmScan({ rows, stride }: ScanShape): Promise<Scan> {
  const padded = Math.ceil(rows / 4) * 4;
  let at = FIRST_ADDRESS;
  const take = (bytes: number): number => {
    const address = at;
    at += Math.ceil(bytes / 64) * 64;
    return address;
  };
  const places = {
    codes: take(padded * stride),
    query: take(stride * 2),
    scales: take(padded * 4),
    scores: take(padded * 4),
  };
  const memory = allocate(at);
  const module = Uint8Array.from(atob(kernels), (character) => character.charCodeAt(0));
  try {
    const { instance } = await WebAssembly.instantiate(module, { env: { memory } });
    return new WasmScan({ rows, stride }, memory.buffer, places, instance.exports as unknown as Exports);
  } catch (thrown) {
    const reason = thrown instanceof Error ? thrown.message : String(thrown);
    throw new WpError(
      'backend-unavailable',
      `WebAssembly with SIMD is not to be had: ${reason}`,
      '',
      {},
      { cause: thrown },
    );
  }
}

function allocate(bytes: number): WebAssembly.Memory {
  const initial = Math.ceil(bytes / PAGE_BYTES);
  try {
    return new WebAssembly.Memory({ initial, maximum: 65536 });
  } catch (thrown) {
    throw new WpError(
      'out-of-memory',
      `The codes of the vectors take ${Math.ceil(bytes / 1e6)} MB, which this page cannot have.`,
      'Search fewer vectors, or vectors of fewer dimensions.',
      { bytes },
      { cause: thrown },
    );
  }
}

class WasmScan implements Scan {
  readonly lost = undefined;
  readonly #radii: Float32Array;

  constructor(
    private readonly shape: ScanShape,
    private readonly memory: ArrayBuffer,
    private readonly places: Record<'codes' | 'query' | 'scales' | 'scores', number>,
    private readonly exports: Exports,
  ) {
    this.#radii = new Float32Array(shape.rows);
  }

  write({ codes, scales }: CodeBlock, first: number, count: number): void {
    const { stride, rows } = this.shape;
    const { places, memory } = this;
    new Int8Array(memory, places.codes + first * stride, count * stride).set(codes.subarray(0, count * stride));
    const stored = new Float32Array(memory, places.scales, rows);
    for (let row = 0; row < count; row++) {
      stored[first + row] = scales[row * 2]!;
      this.#radii[first + row] = scales[row * 2 + 1]!;
    }
  }

  async candidates(query: CodedQuery, count: number, threshold: number, signal?: AbortSignal): Promise<Uint32Array> {
    const { stride, rows } = this.shape;
    const { places, memory } = this;
    new Int16Array(memory, places.query, stride).set(query.codes);
    const turn = turns(signal);
    const step = Math.max(BLOCK_ROWS, Math.floor(CODES_AT_ONCE / stride / 4) * 4);
    for (let first = 0; first < rows; first += step) {
      await turn();
      this.exports.scan(
        places.codes + first * stride,
        places.query,
        places.scales + first * 4,
        places.scores + first * 4,
        stride,
        Math.min(step, rows - first),
        query.scale,
      );
    }
    const scores = new Float32Array(memory, places.scores, rows);
    return selectRows(scores, this.#radii, query.length, count, threshold);
  }

  dispose(): void {
    // The memory goes with the last reference to it.
  }
}
