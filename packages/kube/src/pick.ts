/**
 * An object with the named fields of another alone.
 *
 * Field by field: objects that are spread from conditional parts become hash tables, several times the size, and there are
 * ten thousand pods.
 */
export function pick<T extends object, K extends keyof T>(from: T, names: readonly K[]): Pick<T, K> {
  const picked: Partial<Pick<T, K>> = {};
  for (const name of names) if (from[name] !== undefined) picked[name] = from[name];
  return picked as Pick<T, K>;
}
