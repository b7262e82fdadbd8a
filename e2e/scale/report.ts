/** The table of the scale benchmark: what was measured, what it must reach, and what istiod was published to take. */
import { median } from '../bench/report.ts';

export interface ScaleRow {
  readonly name: string;
  readonly unit: string;
  /** Of each round. */
  readonly values: number[];
  /** At most this much; absent: reported only. */
  readonly target?: number;
  /** Istio's istiod on two cores, as it comes; and with its debounce set to 1 ms. */
  readonly istiod?: string;
  readonly istiodFast?: string;
}

export class ScaleReport {
  readonly #rows = new Map<string, ScaleRow>();

  /** Adds a round's value to a row; rows stand in the order they were first named. */
  add(row: Omit<ScaleRow, 'values'>, value: number): void {
    const known = this.#rows.get(row.name) ?? { ...row, values: [] };
    this.#rows.set(row.name, known);
    known.values.push(value);
  }

  /** Rows whose median is above their target. */
  get missed(): readonly ScaleRow[] {
    return [...this.#rows.values()].filter(
      ({ values, target }) => target !== undefined && median(values) > target,
    );
  }

  markdown(facts: Readonly<Record<string, string>>): string {
    const header = [
      'what',
      'unit',
      'Ambit',
      'of rounds',
      'must reach',
      'istiod, default',
      'istiod, debounce 1 ms',
    ];
    const rows = [...this.#rows.values()].map(
      ({ name, unit, values, target, istiod = '', istiodFast = '' }) => [
        name,
        unit,
        shown(median(values)),
        values.length > 1 ? `${shown(Math.min(...values))}–${shown(Math.max(...values))}` : '',
        target === undefined ? '' : `≤ ${target}`,
        istiod,
        istiodFast,
      ],
    );
    const lines = [header, header.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`);
    return [...Object.entries(facts).map(([name, value]) => `- ${name}: ${value}`), '', ...lines, ''].join(
      '\n',
    );
  }

  json(facts: Readonly<Record<string, string>>): string {
    return `${JSON.stringify({ facts, rows: [...this.#rows.values()] }, undefined, 2)}\n`;
  }
}

function shown(value: number): string {
  return value >= 1_000 ? Math.round(value).toLocaleString('en-US') : value.toPrecision(3);
}
