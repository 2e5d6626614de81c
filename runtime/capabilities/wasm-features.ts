// Feature detection by validation: each module below is the smallest function that uses the feature. Their bytes are
// the encoding of the text beside them (WebAssembly binary format, section numbers 1 type, 3 function, 10 code).

const HEADER = [0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00];
// (func (result v128) …)
const TYPE_AND_FUNCTION = [0x01, 0x05, 0x01, 0x60, 0x00, 0x01, 0x7b, 0x03, 0x02, 0x01, 0x00];

function validates(body: readonly number[]): boolean {
  const code = [0x00, ...body, 0x0b];
  const section = [0x01, code.length, ...code];
  return WebAssembly.validate(
    new Uint8Array([...HEADER, ...TYPE_AND_FUNCTION, 0x0a, section.length, ...section]) as BufferSource,
  );
}

// i32.const 0, i8x16.splat
const SPLAT = [0x41, 0x00, 0xfd, 0x0f];

/** (i8x16.popcnt (i8x16.splat (i32.const 0))): in SIMD since its final form. */
export function supportsSimd(): boolean {
  return typeof WebAssembly === 'object' && validates([...SPLAT, 0xfd, 0x62]);
}

/** (i32x4.relaxed_dot_i8x16_i7x16_add_s a b c) */
export function supportsRelaxedSimd(): boolean {
  return typeof WebAssembly === 'object' && validates([...SPLAT, ...SPLAT, ...SPLAT, 0xfd, 0x93, 0x02]);
}

/** Shared memory that another thread can be given: needs cross-origin isolation in a page. */
export function supportsThreads(): boolean {
  if (typeof WebAssembly !== 'object' || typeof SharedArrayBuffer !== 'function' || typeof Atomics !== 'object')
    return false;
  const scope = globalThis as { crossOriginIsolated?: boolean };
  // Node has no such property and no such condition.
  if (scope.crossOriginIsolated === false) return false;
  try {
    return new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true }).buffer instanceof SharedArrayBuffer;
  } catch {
    return false;
  }
}
