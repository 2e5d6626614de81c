// The colours of a bitmap with transparency, as the file has them. A canvas keeps colours multiplied with their opacity, a texture
// need not: it is drawn into one and read from there. Where a browser has no WebGL in workers, what the canvas gave stays: exact
// for opaque pixels, and off by up to 127 / opacity for the others.

import { copyTile, type Tile } from './tiles.ts';

/** Writes RGB of all tiles into `target`. */
export async function readTransparent(bitmap: ImageBitmap, target: Uint8Array, pieces: Iterable<Tile>): Promise<void> {
  const gl = new OffscreenCanvas(1, 1).getContext('webgl2');
  if (!gl) return;
  const texture = gl.createTexture();
  const framebuffer = gl.createFramebuffer();
  gl.bindTexture(gl.TEXTURE_2D, texture);
  gl.bindFramebuffer(gl.FRAMEBUFFER, framebuffer);
  gl.pixelStorei(gl.UNPACK_PREMULTIPLY_ALPHA_WEBGL, false);
  gl.pixelStorei(gl.UNPACK_COLORSPACE_CONVERSION_WEBGL, gl.NONE);
  try {
    for (const tile of pieces) {
      const { left, top, width, height } = tile;
      const piece = await createImageBitmap(bitmap, left, top, width, height, {
        premultiplyAlpha: 'none',
        colorSpaceConversion: 'none',
      });
      gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA8, gl.RGBA, gl.UNSIGNED_BYTE, piece);
      piece.close();
      gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D, texture, 0);
      const bytes = new Uint8Array(width * height * 4);
      gl.readPixels(0, 0, width, height, gl.RGBA, gl.UNSIGNED_BYTE, bytes);
      if (gl.getError() !== gl.NO_ERROR) return;
      copyTile(bytes, tile, target, bitmap.width);
    }
  } finally {
    gl.getExtension('WEBGL_lose_context')?.loseContext();
  }
}
