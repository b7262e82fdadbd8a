/** Label selectors as a query has them (`a=b,c in (d,e),!f`) and as an object has them (`matchLabels`). Pure. */
import { badRequest } from '../errors.ts';
import { isObject, type JsonObject, listAt, objectAt, textAt, textsAt } from '../json.ts';

export interface Requirement {
  readonly key: string;
  readonly operator: 'in' | 'notin' | 'exists' | 'missing' | 'gt' | 'lt';
  readonly values: readonly string[];
}

/** All must hold; none: everything matches. */
export type LabelSelector = readonly Requirement[];

const KEY = /^(?:[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?\/)?[A-Za-z0-9](?:[\w.-]{0,61}[A-Za-z0-9])?$/;
const VALUE = /^(?:[A-Za-z0-9](?:[\w.-]{0,61}[A-Za-z0-9])?)?$/;

export const isLabelKey = (text: string): boolean => KEY.test(text);
export const isLabelValue = (text: string): boolean => VALUE.test(text);

/** @throws a 400 that quotes what it could not read. */
export function parseLabelSelector(text: string): LabelSelector {
  return splitTopLevel(text).map(parseRequirement);
}

/** `matchLabels` and `matchExpressions`; an empty selector matches everything. */
export function labelSelectorOf(selector: JsonObject): LabelSelector {
  const equalities = Object.entries(objectAt(selector, 'matchLabels')).map(
    ([key, value]): Requirement => ({ key, operator: 'in', values: [String(value)] }),
  );
  const operators: Readonly<Record<string, Requirement['operator']>> = {
    In: 'in',
    NotIn: 'notin',
    Exists: 'exists',
    DoesNotExist: 'missing',
  };
  const expressions = listAt(selector, 'matchExpressions')
    .filter(isObject)
    .map((expression): Requirement => {
      const operator = operators[textAt(expression, 'operator') ?? ''];
      if (!operator)
        throw badRequest(`"${textAt(expression, 'operator')}" is not a valid label selector operator`);
      return { key: textAt(expression, 'key') ?? '', operator, values: textsAt(expression, 'values') };
    });
  return [...equalities, ...expressions];
}

export function matchesLabels(selector: LabelSelector, labels: Readonly<Record<string, string>>): boolean {
  return selector.every(({ key, operator, values }) => {
    const value = Object.hasOwn(labels, key) ? labels[key] : undefined;
    switch (operator) {
      case 'in':
        return value !== undefined && values.includes(value);
      case 'notin':
        return value === undefined || !values.includes(value);
      case 'exists':
        return value !== undefined;
      case 'missing':
        return value === undefined;
      case 'gt':
        return value !== undefined && Number(value) > Number(values[0]);
      case 'lt':
        return value !== undefined && Number(value) < Number(values[0]);
      default:
        return operator satisfies never;
    }
  });
}

function splitTopLevel(text: string): readonly string[] {
  const parts: string[] = [];
  let depth = 0;
  let current = '';
  for (const char of text) {
    if (char === '(') depth += 1;
    if (char === ')') depth -= 1;
    if (char === ',' && depth === 0) {
      parts.push(current);
      current = '';
    } else current += char;
  }
  parts.push(current);
  return parts.length === 1 && parts[0]?.trim() === '' ? [] : parts.map((part) => part.trim());
}

function parseRequirement(text: string): Requirement {
  const unreadable = () => badRequest(`unable to parse requirement: ${JSON.stringify(text)}`);
  const make = (key: string, operator: Requirement['operator'], values: readonly string[]): Requirement => {
    if (!isLabelKey(key)) throw unreadable();
    const numeric = operator === 'gt' || operator === 'lt';
    if (!values.every((value) => (numeric ? /^-?\d{1,15}$/.test(value) : isLabelValue(value)))) {
      throw unreadable();
    }
    return { key, operator, values };
  };
  const set = /^(\S+)\s+(in|notin)\s*\(([^()]*)\)$/.exec(text);
  if (set) {
    const values = (set[3] ?? '').split(',').map((value) => value.trim());
    return make(set[1] ?? '', set[2] === 'in' ? 'in' : 'notin', values);
  }
  const compared = /^([^\s=!<>]+)\s*(==|=|!=|>|<)\s*([^\s=!<>]*)$/.exec(text);
  if (compared) {
    const operators = { '==': 'in', '=': 'in', '!=': 'notin', '>': 'gt', '<': 'lt' } as const;
    const operator = operators[(compared[2] ?? '=') as keyof typeof operators];
    return make(compared[1] ?? '', operator, [compared[3] ?? '']);
  }
  const negated = /^!\s*(\S+)$/.exec(text);
  if (negated) return make(negated[1] ?? '', 'missing', []);
  return make(text, 'exists', []);
}
