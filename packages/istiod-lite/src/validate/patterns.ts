/**
 * How much of regular expressions one object may have. To compile one takes time, in which the whole control plane does
 * nothing else, and each is compiled at every look at its object: when it is admitted, and whenever what it names changes.
 */
import { MAX_PATTERN_CHARS } from '../limits.ts';

/** Of a route of the Gateway API, or a VirtualService; `undefined` if they are few enough. */
export function patternsProblem(spec: unknown): string | undefined {
  const chars = patternChars(spec);
  if (chars <= MAX_PATTERN_CHARS) return undefined;
  return `regular expressions of ${chars} characters in all, where at most ${MAX_PATTERN_CHARS} are taken; most are in ${longest(spec)}`;
}

/** The path of what has most of them, as far down as it has more than half of what is above it. */
function longest(value: unknown, path = '', depth = 0): string {
  if (typeof value !== 'object' || value === null) return path;
  const all = patternChars(value, depth);
  for (const [name, field] of Object.entries(value as object)) {
    const own = typeof field === 'string' ? 0 : patternChars(field, depth + 1);
    // A list of many alike is named itself.
    if (own * 2 > all) {
      const step = Array.isArray(value) ? `[${name}]` : `${path === '' ? '' : '.'}${name}`;
      return longest(field, `${path}${step}`, depth + 1);
    }
  }
  return path;
}

/** No pattern is deeper in what fits a schema. */
const MAX_DEPTH = 12;

/** Characters of the regular expressions in it. */
export function patternChars(value: unknown, depth = 0): number {
  if (typeof value !== 'object' || value === null || depth > MAX_DEPTH) return 0;
  const fields = Object.entries(value);
  const isPattern = fields.some(([name, field]) => name === 'type' && field === 'RegularExpression');
  return fields.reduce((sum, [name, field]) => {
    if (typeof field !== 'string') return sum + patternChars(field, depth + 1);
    return isPattern || name === 'regex' || name === 'match' ? sum + field.length : sum;
  }, 0);
}
