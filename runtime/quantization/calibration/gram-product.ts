// X·Xᵀ by a backend's own kernels: a table that is looked up row after row, times itself. Calibration multiplies far more
// than the model does, and the kernels do it several times as fast as a loop in JavaScript.

import type { Backend, Program } from '../../backends/backend.ts';
import { GraphBuilder } from '../../graph/builder.ts';
import { FORMATS, type PackedMatrix } from '../formats.ts';

export class GramProduct {
  private constructor(
    private readonly program: Program,
    readonly rows: number,
    readonly columns: number,
  ) {}

  /** For matrices of exactly these sizes. */
  static async create(backend: Backend, rows: number, columns: number): Promise<GramProduct> {
    const b = new GraphBuilder();
    const ids = b.input('tokenIds', 'i32', ['tokens']);
    const shape = [rows, columns];
    const x = b.embed(ids, b.weight('left', { shape, role: 'embedding' }));
    b.output('logits', b.linear(x, b.weight('right', { shape, role: 'output' })));
    const formats = new Map([
      ['left', FORMATS.f32],
      ['right', FORMATS.f32],
    ]);
    const options = { formats, contextLength: rows, maxTokens: rows, maxOutputs: rows };
    return new GramProduct(await backend.compile(b.build(), options), rows, columns);
  }

  /** The product [rows, rows] of x [rows, columns] with its transpose. */
  async of(x: Float32Array): Promise<Float32Array> {
    const { rows, columns, program } = this;
    const none = new Uint16Array(0);
    const matrix = (): PackedMatrix => ({
      format: FORMATS.f32,
      rows,
      columns,
      planes: [new Uint8Array(x.buffer, x.byteOffset, x.byteLength)],
      scales: none,
      minimums: none,
    });
    await program.setWeight('left', matrix());
    await program.setWeight('right', matrix());
    await program.ready();
    const ids = Int32Array.from({ length: rows }, (_, i) => i);
    return program.run({ tokenIds: ids, rotary: new Float32Array(0), outputRows: ids, past: 0 });
  }

  dispose(): void {
    this.program.dispose();
  }
}
