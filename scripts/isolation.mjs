// The response headers that make a page cross-origin isolated, which SharedArrayBuffer (threads of WASM) asks for.
// `credentialless` still lets the page fetch models from other origins that send no CORP header.

export const isolationHeaders = Object.freeze({
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
  'Cross-Origin-Resource-Policy': 'cross-origin',
});
