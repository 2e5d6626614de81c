// The response headers that make a page cross-origin isolated, which SharedArrayBuffer (threads of WASM) asks for.
// `require-corp` and not `credentialless`, which Safari does not know: models come by CORS requests, which both allow.

export const isolationHeaders = Object.freeze({
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
  'Cross-Origin-Resource-Policy': 'cross-origin',
});
