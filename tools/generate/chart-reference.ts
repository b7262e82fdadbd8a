/** The reference page of the chart's values, from the comments in its values.yaml: a value without one is a mistake. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { isMap, isScalar, type Pair, parseDocument, type YAMLMap } from 'yaml';
import { type Output, TOP } from './files.ts';

export const CHART = join(TOP, 'deploy/charts/ambit');

export interface ChartValue {
  /** `cni.ambient.dnsCapture`. */
  readonly path: string;
  readonly default: unknown;
  readonly doc: string;
}

/** Every value that can be set, in the file's order. A map without content of its own is a value; others are folders. */
export function chartValues(text: string): readonly ChartValue[] {
  const document = parseDocument(text);
  if (!isMap(document.contents)) throw new Error('values.yaml: want a map');
  return valuesIn(document.contents, []);
}

function valuesIn(map: YAMLMap, above: readonly string[]): readonly ChartValue[] {
  return map.items.flatMap((pair: Pair, index) => {
    const key = isScalar(pair.key) ? String(pair.key.value) : '';
    const path = [...above, key];
    // The parser gives the comment above a map's first key to the map.
    const comment =
      (isScalar(pair.key) ? pair.key.commentBefore : undefined) ??
      (index === 0 ? map.commentBefore : undefined);
    const doc = (comment ?? '')
      .split('\n')
      .map((line) => line.trim())
      .join(' ')
      .trim();
    if (isMap(pair.value) && pair.value.items.length > 0 && doc === '') return valuesIn(pair.value, path);
    const value = isMap(pair.value) || !isScalar(pair.value) ? jsonOf(pair.value) : pair.value.value;
    return [{ path: path.join('.'), default: value, doc }];
  });
}

function jsonOf(node: unknown): unknown {
  return (node as { toJSON(): unknown }).toJSON();
}

export function chartReference(): Output {
  const values = chartValues(readFileSync(join(CHART, 'values.yaml'), 'utf8'));
  const rows = values.map(
    ({ path, default: fallback, doc }) =>
      `| \`${path}\` | ${cell(fallback)} | ${doc.replaceAll('|', '\\|')} |`,
  );
  const page = `# Values of the chart

Generated from the comments in deploy/charts/ambit/values.yaml (\`npm run generate\`). Names are those of Istio's charts where
those have one: \`istiod.X\` is \`X\` of its chart istiod, and likewise \`cni\` and \`ztunnel\`. A value that is not listed, or of another
type, is refused.

| value | default | meaning |
| --- | --- | --- |
${rows.join('\n')}
`;
  return new Map([['chart.md', page]]);
}

function cell(value: unknown): string {
  if (value === '') return 'empty';
  return `\`${typeof value === 'string' ? value : JSON.stringify(value)}\``;
}
