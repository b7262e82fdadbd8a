/**
 * Values of this waypoint as JSON for people: what is compiled as it was written, long lists and texts cut, and nothing that
 * is secret.
 */
import { LinearRegex } from '@ambit/core/linear-regex';
import { isSecretName } from '@ambit/core/secret-names';
import { MAX_SHOWN_CHARS, MAX_SHOWN_ITEMS } from './limits.ts';

/** In the place of what is not shown. */
export const HIDDEN = '(hidden)';

export function shown(value: unknown): unknown {
  switch (typeof value) {
    case 'string':
      return cut(value);
    case 'bigint':
      return String(value);
    case 'object':
      return value === null ? null : shownObject(value);
    default:
      return value;
  }
}

function shownObject(value: object): unknown {
  if (value instanceof LinearRegex) return value.pattern;
  if (value instanceof Uint8Array) return `${value.length} bytes`;
  if (Array.isArray(value) || value instanceof Set) return shownList([...value]);
  if (value instanceof Map)
    return Object.fromEntries(shownEntries([...value].map(([key, inner]) => [String(key), inner] as const)));
  if ('name' in value && 'value' in value && isSecretName(String(value.name)))
    return { ...value, value: HIDDEN };
  return Object.fromEntries(shownEntries(Object.entries(value)));
}

function shownList(items: readonly unknown[]): readonly unknown[] {
  const kept = items.slice(0, MAX_SHOWN_ITEMS).map(shown);
  return items.length > kept.length ? [...kept, `and ${items.length - kept.length} more`] : kept;
}

function shownEntries(
  entries: readonly (readonly [string, unknown])[],
): readonly (readonly [string, unknown])[] {
  const kept = entries.slice(0, MAX_SHOWN_ITEMS).map(([key, value]) => [cut(key), shown(value)] as const);
  return entries.length > kept.length ? [...kept, ['…', `and ${entries.length - kept.length} more`]] : kept;
}

function cut(text: string): string {
  return text.length > MAX_SHOWN_CHARS ? `${text.slice(0, MAX_SHOWN_CHARS)}…` : text;
}
