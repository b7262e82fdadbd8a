/** Go writes an empty list as `null` where a field must be there; readers here know values and their absence only. */

/** `value` without fields that are null, at any depth; the same object if there are none. */
export function withoutNulls<T>(value: T): T {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) {
    const items: unknown[] = value;
    const cleaned = items.map(withoutNulls);
    return cleaned.some((item, i) => item !== items[i]) ? (cleaned as T) : value;
  }
  const fields = Object.entries(value as Record<string, unknown>);
  const kept = fields.flatMap(([name, field]) =>
    field === null ? [] : [[name, withoutNulls(field)] as const],
  );
  const same = kept.length === fields.length && kept.every(([, field], i) => field === fields[i]?.[1]);
  return same ? value : (Object.fromEntries(kept) as T);
}
