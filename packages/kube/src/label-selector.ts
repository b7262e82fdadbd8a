/** Which labels a selector accepts. An empty selector accepts everything; no selector at all accepts nothing. */

export type Labels = Readonly<Record<string, string>>;

export interface LabelSelectorRequirement {
  readonly key: string;
  readonly operator: string;
  readonly values?: readonly string[];
}

export interface LabelSelector {
  readonly matchLabels?: Labels;
  readonly matchExpressions?: readonly LabelSelectorRequirement[];
}

export function selects(selector: LabelSelector | undefined, labels: Labels | undefined): boolean {
  if (!selector) return false;
  return (
    selectsLabels(selector.matchLabels, labels) &&
    (selector.matchExpressions ?? []).every((requirement) => holds(requirement, labels))
  );
}

/** Whether `labels` has every pair of `wanted`. */
export function selectsLabels(wanted: Labels | undefined, labels: Labels | undefined): boolean {
  for (const key in wanted) if (labels?.[key] !== wanted[key]) return false;
  return true;
}

/** An unknown operator holds for nothing: a selector we do not understand must not widen what it selects. */
export function holds(
  { key, operator, values = [] }: LabelSelectorRequirement,
  labels: Labels | undefined,
): boolean {
  // A label may have a name that every object answers to: `constructor`.
  const value = labels && Object.hasOwn(labels, key) ? labels[key] : undefined;
  switch (operator) {
    case 'In':
      return value !== undefined && values.includes(value);
    case 'NotIn':
      return value === undefined || !values.includes(value);
    case 'Exists':
      return value !== undefined;
    case 'DoesNotExist':
      return value === undefined;
    default:
      return false;
  }
}

/** The selector as the API's `labelSelector` parameter; what {@link parseLabelSelector} reads. */
export function formatLabelSelector({ matchLabels = {}, matchExpressions = [] }: LabelSelector): string {
  const labels = Object.entries(matchLabels).map(([key, value]) => `${key}=${value}`);
  const expressions = matchExpressions.map(({ key, operator, values = [] }) => {
    if (operator === 'Exists') return key;
    if (operator === 'DoesNotExist') return `!${key}`;
    return `${key} ${operator === 'In' ? 'in' : 'notin'} (${values.join(',')})`;
  });
  return [...labels, ...expressions].join(',');
}

/** Reads `a=b,c!=d,e in (x,y),f notin (z),g,!h`; `undefined` if it is not of that form. */
export function parseLabelSelector(text: string): readonly LabelSelectorRequirement[] | undefined {
  const parts = text.match(/(?:[^,(]|\([^)]*\))+/g) ?? [];
  if (parts.join(',') !== text) return undefined;
  const requirements = parts.map((part) => parseRequirement(part.trim()));
  return requirements.every((requirement) => requirement !== undefined) ? requirements : undefined;
}

const NAME = '[A-Za-z0-9](?:[A-Za-z0-9._/-]*[A-Za-z0-9])?';
const SET = new RegExp(`^(${NAME})\\s+(in|notin)\\s*\\(([^)]*)\\)$`);
const EQUALITY = new RegExp(`^(${NAME})\\s*(=|==|!=)\\s*([A-Za-z0-9._-]*)$`);
const PRESENCE = new RegExp(`^(!?)\\s*(${NAME})$`);

function parseRequirement(text: string): LabelSelectorRequirement | undefined {
  const set = SET.exec(text);
  if (set) {
    const values = (set[3] ?? '').split(',').map((value) => value.trim());
    return { key: set[1] ?? '', operator: set[2] === 'in' ? 'In' : 'NotIn', values };
  }
  const equality = EQUALITY.exec(text);
  if (equality)
    return {
      key: equality[1] ?? '',
      operator: equality[2] === '!=' ? 'NotIn' : 'In',
      values: [equality[3] ?? ''],
    };
  const presence = PRESENCE.exec(text);
  return presence ? { key: presence[2] ?? '', operator: presence[1] ? 'DoesNotExist' : 'Exists' } : undefined;
}
