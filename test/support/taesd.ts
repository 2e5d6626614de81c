// The auto-encoder TAEF2 (madebyollin/taesd) as graphs: trained convolutions, group norms and up-sampling for tests. The family
// that serves an image generator will be written with it; this one is for square images of one size.

import { EncoderGraphBuilder } from '../../runtime/graph/encoder-builder.ts';
import type { Graph, ValueId } from '../../runtime/graph/types.ts';

class Net {
  readonly b = new EncoderGraphBuilder();

  constructor(public size: number) {}

  conv(
    x: ValueId,
    name: string,
    channels: number,
    features: number,
    { stride = 1, kernel = 3, hasBias = true } = {},
  ): ValueId {
    const { b, size } = this;
    const shape = [features, channels * kernel * kernel];
    const stored = [features, channels, kernel, kernel];
    const tensor = `${name}.weight`;
    const weight = b.weight(tensor, { shape, role: 'conv', parts: [{ tensor, rows: features, stored }] });
    const bias = hasBias ? b.weight(`${name}.bias`, { shape: [features], role: 'bias' }) : undefined;
    const geometry = { height: size, width: size, kernelHeight: kernel, kernelWidth: kernel };
    const y = b.conv2d(x, { ...geometry, stride, padding: kernel >> 1, dilation: 1, weight, bias, groups: 1 });
    this.size /= stride;
    return y;
  }

  block(x: ValueId, name: string, isPooled: boolean): ValueId {
    const { b, size } = this;
    if (isPooled) {
      const vector = (leaf: string) => b.weight(`${name}.pool.1.${leaf}`, { shape: [256], role: 'norm' });
      const wide = this.conv(x, `${name}.pool.0`, 64, 256, { kernel: 1, hasBias: false });
      const norm = { weight: vector('weight'), bias: vector('bias'), groups: 4, epsilon: 1e-5, area: size * size };
      const active = b.activation(b.groupNorm(wide, norm), 'relu');
      x = b.add(x, this.conv(active, `${name}.pool.3`, 256, 64, { kernel: 1, hasBias: false }));
    }
    let y = b.activation(this.conv(x, `${name}.conv.0`, 64, 64), 'relu');
    y = b.activation(this.conv(y, `${name}.conv.2`, 64, 64), 'relu');
    return b.activation(b.add(this.conv(y, `${name}.conv.4`, 64, 64), x), 'relu');
  }
}

/** `pixels` [size², 3] in 0 … 1 → `image` [(size / 8)², 32]. */
export function taesdEncoder(size: number): Graph {
  const net = new Net(size);
  let x = net.conv(net.b.input('pixels', 'f32', [size * size, 3]), '0', 3, 64);
  for (let i = 1; i <= 13; i++) {
    const isDown = i === 2 || i === 6 || i === 10;
    x = isDown ? net.conv(x, `${i}`, 64, 64, { stride: 2, hasBias: false }) : net.block(x, `${i}`, i >= 11);
  }
  net.b.output('image', net.conv(x, '14', 64, 32));
  return net.b.build();
}

/** `pixels` [size², 32] → `image` [(8·size)², 3]. */
export function taesdDecoder(size: number): Graph {
  const net = new Net(size);
  const { b } = net;
  const latents = b.input('pixels', 'f32', [size * size, 32]);
  const clamped = b.activation(b.scaleColumns(latents, { factor: 1 / 3 }), 'tanh');
  let x = b.activation(net.conv(b.scaleColumns(clamped, { factor: 3 }), '1', 32, 64), 'relu');
  for (let i = 3; i <= 18; i++) {
    if (i === 6 || i === 11 || i === 16) {
      x = b.upsample(x, { height: net.size, width: net.size, scale: 2, mode: 'nearest' });
      net.size *= 2;
    } else if (i === 7 || i === 12 || i === 17) {
      x = net.conv(x, `${i}`, 64, 64, { hasBias: false });
    } else {
      x = net.block(x, `${i}`, i <= 5);
    }
  }
  b.output('image', net.conv(x, '19', 64, 3));
  return b.build();
}
