/** Samples of a Prometheus page, found by name and labels. */

export interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export type LabelMatch = Readonly<Record<string, string | RegExp>>;

export function parseMetrics(text: string): readonly Sample[] {
  return text
    .split('\n')
    .map((line) => /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)/.exec(line))
    .filter((match) => match !== null)
    .map(([, name = '', labels = '', value = '']) => ({
      name,
      labels: Object.fromEntries(
        [...labels.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)].map(([, key = '', text = '']) => [
          key,
          text.replace(/\\(.)/g, (_, escaped: string) => (escaped === 'n' ? '\n' : escaped)),
        ]),
      ),
      value: Number(value),
    }));
}

export function matching(samples: readonly Sample[], name: string, match: LabelMatch): readonly Sample[] {
  return samples.filter(
    (sample) =>
      sample.name === name &&
      Object.entries(match).every(([label, want]) => {
        const value = sample.labels[label] ?? '';
        return typeof want === 'string' ? value === want : want.test(value);
      }),
  );
}

/** The sum of all that match; 0 if none does. */
export function total(samples: readonly Sample[], name: string, match: LabelMatch): number {
  return matching(samples, name, match).reduce((sum, { value }) => sum + value, 0);
}
