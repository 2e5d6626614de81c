// One weight by one method: what quantize-weights.ts and quantize-layers.ts share.

import { evenStatistics, mixStatistics, type ColumnStatistics } from '../column-statistics.ts';
import { formatLimit, FORMATS, isQuantized, type PackedMatrix, type WeightFormat } from '../formats.ts';
import { Gptq, type GptqOptions } from '../gptq.ts';
import { quantizeHqq } from '../hqq.ts';
import { quantizeByImportance } from '../importance.ts';
import { packMatrix } from '../pack.ts';
import { loadPacker, type Packer } from '../packer.ts';

/**
 * `search`: scale search without data, what loading does. `hqq`: without data, too. `importance`: scale search by the inputs'
 * mean squares. `gptq`: by their second moments.
 */
export type QuantizationMethod = 'search' | 'hqq' | 'importance' | 'gptq';

/** How much the look-up of a table counts beside its use as the output matrix, at equal mean squares of their inputs. */
const LOOKUP_WEIGHT = 0.5;

export class WeightQuantizer {
  /** Matrices with the same inputs share a factorisation, and come near one another. */
  private last: { statistics: ColumnStatistics; gptq: Gptq } | undefined;

  private constructor(
    private readonly method: QuantizationMethod,
    private readonly packer: Packer,
    private readonly options: GptqOptions | undefined,
  ) {}

  static async create(
    method: QuantizationMethod,
    formats: Iterable<WeightFormat>,
    options?: GptqOptions,
  ): Promise<WeightQuantizer> {
    return new WeightQuantizer(method, await loadPacker(formats), options);
  }

  /**
   * A matrix [rows, columns]; f16 when the format does not fit its width, scale search without statistics. `isTable`: its rows
   * are looked up, too.
   */
  quantize(
    values: Float32Array,
    rows: number,
    columns: number,
    wanted: WeightFormat,
    known?: ColumnStatistics,
    isTable = false,
  ): PackedMatrix {
    const format = formatLimit(wanted, columns) === undefined ? wanted : FORMATS.f16;
    if (!isQuantized(format)) return packMatrix(values, rows, columns, format);
    if (this.method === 'hqq') return quantizeHqq(values, rows, columns, format);
    if (this.method === 'search' || !known) return this.packer(values, rows, columns, format);
    const statistics = isTable ? mixStatistics(known, evenStatistics(known), LOOKUP_WEIGHT) : known;
    if (this.method === 'importance') return quantizeByImportance(values, rows, columns, format, statistics);
    if (this.last?.statistics !== statistics) this.last = { statistics, gptq: new Gptq(statistics, this.options) };
    return this.last.gptq.quantize(values, rows, format);
  }
}
