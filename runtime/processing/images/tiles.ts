// A large image is read piece by piece: no canvas and no texture is as large as a photo may be.

import type { PixelSize } from './processor-config.ts';

export interface Tile extends PixelSize {
  left: number;
  top: number;
}

export function* tiles(width: number, height: number, edge: number): Generator<Tile> {
  for (let top = 0; top < height; top += edge) {
    for (let left = 0; left < width; left += edge) {
      yield { left, top, width: Math.min(edge, width - left), height: Math.min(edge, height - top) };
    }
  }
}

/** RGBA of a tile into RGB of the whole; true if every pixel is opaque. */
export function copyTile(
  bytes: Uint8Array | Uint8ClampedArray,
  tile: Tile,
  target: Uint8Array,
  width: number,
): boolean {
  let opacity = 255;
  for (let y = 0; y < tile.height; y++) {
    let source = y * tile.width * 4;
    let at = ((tile.top + y) * width + tile.left) * 3;
    for (let x = 0; x < tile.width; x++, source += 4, at += 3) {
      target[at] = bytes[source]!;
      target[at + 1] = bytes[source + 1]!;
      target[at + 2] = bytes[source + 2]!;
      opacity &= bytes[source + 3]!;
    }
  }
  return opacity === 255;
}
