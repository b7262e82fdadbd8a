/**
 * Rows in columns, as kubectl prints them.
 *
 * Cells come from proxies and from objects that anybody may write: control characters are taken out, so that a name
 * cannot move the cursor of whoever reads it.
 */
import { MAX_CELL_CHARS } from './limits.ts';

export interface Column<Row> {
  readonly title: string;
  readonly of: (row: Row) => string;
}

const GAP = '   ';

/** The table with its heading, each line ended. Empty cells are shown as `-`. */
export function table<Row>(columns: readonly Column<Row>[], rows: readonly Row[]): string {
  const cells = [
    columns.map(({ title }) => title),
    ...rows.map((row) => columns.map(({ of }) => printable(of(row)) || '-')),
  ];
  const widths = columns.map((_, i) => Math.max(...cells.map((line) => line[i]?.length ?? 0)));
  return cells
    .map(
      (line) =>
        `${line
          .map((cell, i) => cell.padEnd(widths[i] ?? 0))
          .join(GAP)
          .trimEnd()}\n`,
    )
    .join('');
}

/** Text that is safe to print on one line. */
export function printable(text: string, maxChars: number = MAX_CELL_CHARS): string {
  const clean = text.replaceAll(/[\p{Cc}\p{Zl}\p{Zp}\u202a-\u202e\u2066-\u2069]+/gu, ' ');
  return clean.length > maxChars ? `${clean.slice(0, maxChars)}…` : clean;
}
