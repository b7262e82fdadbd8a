/** The table: one row a measurement, every side of the run in it, and the ratio of the first to each other one. */

/** Whether a larger or a smaller value is the better one. */
export type Better = 'more' | 'less';

export interface Row {
  readonly name: string;
  readonly unit: string;
  readonly better: Better;
  /** By side; the median of the rounds. A side that has no such value is left out. */
  readonly values: Readonly<Record<string, number>>;
}

export interface Report {
  readonly sides: readonly string[];
  readonly facts: Readonly<Record<string, string>>;
  readonly rows: readonly Row[];
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? upper) + upper) / 2;
}

export function markdown(report: Report): string {
  const [ours = '', ...others] = report.sides;
  const peers = others.filter((side) => side !== 'no mesh');
  const header = ['load', 'unit', ...report.sides, ...peers.map((peer) => `${ours} / ${peer}`)];
  const rows = report.rows.map(({ name, unit, better, values }) => [
    name,
    unit,
    ...report.sides.map((side) => format(values[side])),
    ...peers.map((peer) => ratio(values[ours], values[peer], better)),
  ]);
  const facts = Object.entries(report.facts).map(([name, value]) => `- ${name}: ${value}`);
  return [...facts, '', line(header), line(header.map(() => '---')), ...rows.map(line), ''].join('\n');
}

/** Always "times the peer's"; the arrow says which way is good, so that no reader has to guess. */
function ratio(ours: number | undefined, peer: number | undefined, better: Better): string {
  if (ours === undefined || peer === undefined || peer === 0) return '';
  return `${(ours / peer).toFixed(2)}× (${better === 'more' ? '↑' : '↓'} is better)`;
}

function format(value: number | undefined): string {
  if (value === undefined) return '';
  if (value >= 1_000) return Math.round(value).toLocaleString('en-US');
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);
}

function line(cells: readonly string[]): string {
  return `| ${cells.join(' | ')} |`;
}
