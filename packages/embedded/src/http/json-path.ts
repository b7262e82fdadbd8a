/** The part of kubectl's JSONPath that printer columns use: fields, indices, wildcards, simple filters. Pure. */
import { isObject, type Json } from '../json.ts';

type Step =
  | { readonly kind: 'field'; readonly name: string }
  | { readonly kind: 'index'; readonly index: number }
  | { readonly kind: 'all' }
  | { readonly kind: 'filter'; readonly field: readonly string[]; readonly equals: string };

/** The first match as text, objects as JSON; `undefined` for none, or for a path of another kind. */
export function jsonPathText(value: Json, path: string): string | undefined {
  const steps = parse(path);
  if (!steps) return undefined;
  const found = steps.reduce<readonly Json[]>(
    (values, step) => values.flatMap((each) => take(each, step)),
    [value],
  )[0];
  if (found === undefined || found === null) return undefined;
  return typeof found === 'object' ? JSON.stringify(found) : String(found);
}

function take(value: Json, step: Step): readonly Json[] {
  switch (step.kind) {
    case 'field': {
      const child = isObject(value) && Object.hasOwn(value, step.name) ? value[step.name] : undefined;
      return child === undefined ? [] : [child];
    }
    case 'index': {
      const child = Array.isArray(value) ? value.at(step.index) : undefined;
      return child === undefined ? [] : [child];
    }
    case 'all':
      if (Array.isArray(value)) return value;
      return isObject(value) ? Object.values(value) : [];
    case 'filter':
      return Array.isArray(value) ? value.filter((item) => fieldText(item, step.field) === step.equals) : [];
    default:
      return step satisfies never;
  }
}

function fieldText(value: Json, path: readonly string[]): string | undefined {
  const found = path.reduce<Json | undefined>(
    (each, name) => (isObject(each) ? each[name] : undefined),
    value,
  );
  return found === undefined || typeof found === 'object' ? undefined : String(found);
}

function parse(path: string): readonly Step[] | undefined {
  const steps: Step[] = [];
  let rest = path.replace(/^\{(.*)\}$/s, '$1').replace(/^\$/, '');
  while (rest !== '') {
    const field = /^\.((?:[^.[\]\\]|\\.)+)/.exec(rest);
    const quoted = /^\[(['"])(.*?)\1\]/.exec(rest);
    const index = /^\[(-?\d{1,9})\]/.exec(rest);
    const all = /^(?:\.\*|\[\*\])/.exec(rest);
    const filter = /^\[\?\(\s*@((?:\.[\w-]+)+)\s*==\s*(?:"([^"]*)"|'([^']*)'|([\w.-]+))\s*\)\]/.exec(rest);
    if (all) steps.push({ kind: 'all' });
    else if (field) steps.push({ kind: 'field', name: (field[1] ?? '').replace(/\\(.)/g, '$1') });
    else if (quoted) steps.push({ kind: 'field', name: quoted[2] ?? '' });
    else if (index) steps.push({ kind: 'index', index: Number(index[1]) });
    else if (filter) {
      const equals = filter[2] ?? filter[3] ?? filter[4] ?? '';
      steps.push({ kind: 'filter', field: (filter[1] ?? '').slice(1).split('.'), equals });
    } else return undefined;
    rest = rest.slice((all ?? field ?? quoted ?? index ?? filter)?.[0].length ?? rest.length);
  }
  return steps;
}
