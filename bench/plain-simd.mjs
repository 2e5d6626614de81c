// wp-models as to a browser without relaxed SIMD: what WebAssembly validates is what it decides by, so a few lines before its
// scripts that refuse the one instruction are enough.

export const PLAIN_SIMD = `{
  const validate = WebAssembly.validate;
  // i32x4.relaxed_dot_i8x16_i7x16_add_s
  const isRelaxed = (bytes) => bytes.some((byte, i) => byte === 0xfd && bytes[i + 1] === 0x93 && bytes[i + 2] === 0x02);
  WebAssembly.validate = (bytes) => validate(bytes) && !isRelaxed(new Uint8Array(bytes.buffer ?? bytes));
}
`;
