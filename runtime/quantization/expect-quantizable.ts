import { WpError } from '../errors.ts';
import type { ColumnStatistics } from './column-statistics.ts';
import { formatLimit, type QuantFormat } from './formats.ts';

/**
 * Throws `unsupported-format` when the format does not fit the width, `invalid-argument` for arrays of another size,
 * `corrupt-file` when a weight is not finite or too large for scales in f16.
 */
export function expectQuantizable(
  values: Float32Array,
  rows: number,
  columns: number,
  format: QuantFormat,
  statistics?: ColumnStatistics,
): void {
  const limit = formatLimit(format, columns);
  if (limit) {
    throw new WpError('unsupported-format', `${limit}.`, 'Keep this matrix in f16.', {
      actual: columns,
      format: format.name,
    });
  }
  if (values.length !== rows * columns || (statistics && statistics.columns !== columns)) {
    throw new WpError('invalid-argument', `A matrix of ${rows} × ${columns} has ${values.length} numbers.`, '', {
      actual: { numbers: values.length, statistics: statistics?.columns },
      expected: { numbers: rows * columns, statistics: columns },
    });
  }
  const at = values.findIndex((value) => !(Math.abs(value) < 65504));
  if (at < 0) return;
  throw new WpError(
    'corrupt-file',
    `A weight in row ${Math.floor(at / columns)}, column ${at % columns}, is ${values[at]!}: it cannot be quantised.`,
    'The checkpoint is damaged, or was saved after a training run that diverged.',
    { actual: values[at], row: Math.floor(at / columns), column: at % columns },
  );
}
