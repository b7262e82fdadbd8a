/**
 * The values of an installation as the user writes them, checked against the table: text in, values or a problem out.
 *
 * A value that nobody knows is refused with the name nearest to it, since a value that silently does nothing is worse
 * than none.
 */
import { isSame } from './same.ts';
import { CHART_ONLY, type ValueRow, VALUES } from './value-table.ts';

/** By the table's keys. */
export type ChosenValues = Readonly<Record<string, unknown>>;

/** Why a value is not taken. */
export interface Problem {
  readonly problem: string;
}

const CHART = 'use the Helm chart for it (deploy/charts/ambit)';

/** `key=value`, as for Helm: `cni.env.NAME=x` and `istiod.resources.limits.cpu=2` reach into maps and trees. */
export function parseSet(text: string): ChosenValues | Problem {
  const at = text.indexOf('=');
  if (at <= 0) return { problem: `--set wants KEY=VALUE, not "${text}"` };
  const key = text.slice(0, at).trim();
  const value = text.slice(at + 1);
  const row = VALUES.find((one) => one.key === key || isBelow(key, one));
  if (!row) return unknownKey(key);
  if (row.key === key) return chosen(row, valueOfText(row, value));
  const below = key.slice(row.key.length + 1);
  if (row.type === 'map') return chosen(row, { [below.replaceAll('\\.', '.')]: value });
  const path = below.split(/(?<!\\)\./).map((part) => part.replaceAll('\\.', '.'));
  return chosen(
    row,
    path.reduceRight<unknown>((inner, part) => ({ [part]: inner }), scalarOf(value)),
  );
}

/** The document of a values file, as for Helm. */
export function valuesOfDocument(document: unknown): ChosenValues | Problem {
  if (document === null || document === undefined) return {};
  if (!isObject(document)) return { problem: 'want names and values, as in the values of the chart' };
  return collect(document, '');
}

function collect(tree: Readonly<Record<string, unknown>>, prefix: string): ChosenValues | Problem {
  let all: ChosenValues = {};
  for (const [name, value] of Object.entries(tree)) {
    const key = `${prefix}${name}`;
    const row = VALUES.find((one) => one.key === key);
    const deeper = !row && isObject(value) && hasBelow(key);
    const found = row ? chosen(row, value) : deeper ? collect(value, `${key}.`) : unknownKey(key);
    if (isProblem(found)) return found;
    all = { ...all, ...found };
  }
  return all;
}

/** Whether some value's name begins with `key`. */
function hasBelow(key: string): boolean {
  return [...VALUES.map((row) => row.key), ...CHART_ONLY].some((name) => name.startsWith(`${key}.`));
}

function isBelow(key: string, { key: own, type }: ValueRow): boolean {
  return (type === 'map' || type === 'tree') && key.startsWith(`${own}.`) && key.length > own.length + 1;
}

function unknownKey(key: string): Problem {
  const chartOnly = CHART_ONLY.find((name) => key === name || key.startsWith(`${name}.`));
  if (chartOnly !== undefined)
    return { problem: `${chartOnly} adds objects that this command does not make; ${CHART}` };
  if (key === 'namespace') return { problem: `the namespace is istio-system; for another one ${CHART}` };
  return { problem: `there is no value ${key}; did you mean ${nearest(key)}?` };
}

function chosen(row: ValueRow, value: unknown): ChosenValues | Problem {
  const problem = problemOf(row, value);
  return problem === undefined ? { [row.key]: value } : { problem: `${row.key} ${problem}` };
}

function problemOf({ type, oneOf, key }: ValueRow, value: unknown): string | undefined {
  if (key === 'global.platform' && value === 'openshift')
    return `openshift needs objects that this command does not make; ${CHART}`;
  switch (type) {
    case 'text':
      if (typeof value !== 'string') return `wants text, not ${shown(value)}`;
      return !oneOf || oneOf.includes(value)
        ? undefined
        : `is one of ${oneOf.filter((word) => word !== '').join(', ')}, not "${value}"`;
    case 'flag':
      return typeof value === 'boolean' ? undefined : `is true or false, not ${shown(value)}`;
    case 'integer':
      return isCount(value) ? undefined : `wants a whole number, not ${shown(value)}`;
    case 'amount':
      return isCount(value) || (typeof value === 'string' && /^\d{1,3}%$/.test(value))
        ? undefined
        : `wants a whole number or a share such as 25%, not ${shown(value)}`;
    case 'texts':
      return Array.isArray(value) && value.every((one) => typeof one === 'string')
        ? undefined
        : `wants a list of words such as {a,b}, not ${shown(value)}`;
    case 'list':
      return Array.isArray(value)
        ? undefined
        : `wants a list, best given in a file (--values), not ${shown(value)}`;
    case 'map':
      return isObject(value) && Object.values(value).every((one) => typeof one === 'string')
        ? undefined
        : `wants names and texts, as in ${key}.NAME=TEXT, not ${shown(value)}`;
    case 'tree':
      return isObject(value)
        ? undefined
        : `wants names and values, as in ${key}.NAME=VALUE, not ${shown(value)}`;
    default:
      return type satisfies never;
  }
}

function valueOfText({ type }: ValueRow, text: string): unknown {
  switch (type) {
    case 'text':
      return text;
    case 'texts':
      return text
        .replace(/^\{(.*)\}$/, '$1')
        .split(',')
        .filter((word) => word !== '');
    case 'list':
    case 'map':
    case 'tree':
      return parsedJson(text);
    default:
      return scalarOf(text);
  }
}

/** Text as Helm reads it: numbers and truth values are such, `null` removes. */
function scalarOf(text: string): unknown {
  if (/^(0|-?[1-9]\d{0,14})$/.test(text)) return Number(text);
  if (text === 'true' || text === 'false') return text === 'true';
  return text === 'null' ? null : text;
}

function parsedJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text;
  }
}

/** Values over values: maps and trees are joined name by name, everything else is replaced. */
export function mergeChosen(base: ChosenValues, over: ChosenValues): ChosenValues {
  const merged: Record<string, unknown> = { ...base };
  for (const [key, value] of Object.entries(over)) {
    const isTree = VALUES.some((row) => row.key === key && (row.type === 'map' || row.type === 'tree'));
    merged[key] = isTree ? mergeTrees(merged[key], value) : value;
  }
  return merged;
}

/** A `null` stays, so that it removes what is below it in the end. */
function mergeTrees(base: unknown, over: unknown): unknown {
  if (!isObject(base) || !isObject(over)) return over;
  const merged: Record<string, unknown> = { ...base };
  for (const [name, value] of Object.entries(over)) merged[name] = mergeTrees(merged[name], value);
  return merged;
}

/** What holds for a key: what was chosen over the default. */
export function effective(values: ChosenValues, key: string): unknown {
  const fallback = VALUES.find((row) => row.key === key)?.default;
  if (!Object.hasOwn(values, key)) return fallback;
  return withoutNulls(mergeTrees(isObject(fallback) ? fallback : undefined, values[key]));
}

function withoutNulls(value: unknown): unknown {
  if (!isObject(value)) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, inner]) => inner !== null)
      .map(([name, inner]) => [name, withoutNulls(inner)]),
  );
}

/** Whether what was chosen is anything but the default. */
export function isChosen(values: ChosenValues, key: string): boolean {
  return !isSame(effective(values, key), VALUES.find((row) => row.key === key)?.default);
}

function nearest(key: string): string {
  const names = VALUES.map((row) => row.key);
  return names.toSorted((a, b) => distance(a, key) - distance(b, key))[0] ?? '';
}

/** How many characters have to be added, removed or replaced; what stands after the last dot counts most. */
function distance(a: string, b: string): number {
  const last = (text: string) => text.slice(text.lastIndexOf('.') + 1);
  return edits(a, b) + edits(last(a), last(b));
}

function edits(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = (row[j - 1] ?? 0) + Number(a[i - 1] !== b[j - 1]);
      next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}

function isCount(value: unknown): boolean {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0;
}

export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export function isProblem(value: ChosenValues | Problem): value is Problem {
  return Object.hasOwn(value, 'problem');
}

function shown(value: unknown): string {
  return typeof value === 'string' ? `"${value.slice(0, 60)}"` : JSON.stringify(value)?.slice(0, 60);
}
