/** Go writes an empty list as `null` where a field must be there; readers here know values and their absence only. */

/** `value` without fields that are null, at any depth; the same object if there are none, which makes nothing new. */
export function withoutNulls<T>(value: T): T {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return cleanedItems(value) as T;
  return cleanedFields(value as Readonly<Record<string, unknown>>) as T;
}

function cleanedItems(items: readonly unknown[]): readonly unknown[] {
  let copy: unknown[] | undefined;
  for (const [i, item] of items.entries()) {
    const cleaned = withoutNulls(item);
    if (cleaned === item) continue;
    copy ??= [...items];
    copy[i] = cleaned;
  }
  return copy ?? items;
}

function cleanedFields(fields: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  let changed: Map<string, unknown> | undefined;
  for (const name of Object.keys(fields)) {
    const field = fields[name];
    const cleaned = field === null ? undefined : withoutNulls(field);
    if (cleaned === field) continue;
    changed ??= new Map();
    changed.set(name, cleaned);
  }
  if (!changed) return fields;
  const news = changed;
  const entries = Object.entries(fields).map(([name, field]) => [
    name,
    news.has(name) ? news.get(name) : field,
  ]);
  return Object.fromEntries(entries.filter(([, field]) => field !== undefined)) as Record<string, unknown>;
}
