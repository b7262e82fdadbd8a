/** Values measured, by row and side; rows in the order in which they were first measured. */
import { type Better, median, type Row } from './report.ts';

export class Measurements {
  readonly #rows = new Map<string, { unit: string; better: Better; values: Map<string, number[]> }>();

  add(name: string, unit: string, better: Better, side: string, value: number): void {
    const row = this.#rows.get(name) ?? { unit, better, values: new Map<string, number[]>() };
    this.#rows.set(name, row);
    row.values.set(side, [...(row.values.get(side) ?? []), value]);
  }

  rows(): Row[] {
    return [...this.#rows].map(([name, { unit, better, values }]) => ({
      name,
      unit,
      better,
      values: Object.fromEntries([...values].map(([side, all]) => [side, median(all)])),
    }));
  }
}
