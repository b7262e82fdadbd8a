/** Equality of JSON values: order of keys does not matter, that of lists does; a key without a value is not there. */

export function isSame(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  if (Array.isArray(a) || Array.isArray(b))
    return (
      Array.isArray(a) && Array.isArray(b) && a.length === b.length && a.every((one, i) => isSame(one, b[i]))
    );
  const left = given(a);
  const right = given(b);
  return left.size === right.size && [...left].every(([key, value]) => isSame(value, right.get(key)));
}

function given(value: object): ReadonlyMap<string, unknown> {
  return new Map(Object.entries(value).filter((entry) => entry[1] !== undefined));
}
