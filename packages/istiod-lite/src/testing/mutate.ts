/** Objects that nobody should have stored: for tests that nothing throws, and nothing opens. */

/** Numbers that look like chance, and are the same in every run. */
export function below(seed: number): (count: number) => number {
  let state = seed;
  return (count) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return (state >>> 8) % count;
  };
}

export const JUNK: readonly unknown[] = [
  undefined,
  null,
  true,
  0,
  -1,
  65_536,
  1.5,
  '',
  '*',
  '/',
  'a/b',
  '::',
  '0.0.0.0/0',
  'DNS',
  'DYNAMIC_DNS',
  'NONE',
  'unix:///x',
  '__proto__',
  'x'.repeat(300),
  [],
  [null],
  [[]],
  {},
  { constructor: 1, toString: 'x' },
];

/** A copy with a few values somewhere in it replaced, removed or doubled. */
export function mutated(
  value: unknown,
  next: (count: number) => number,
  values: readonly unknown[] = JUNK,
): unknown {
  const copy = JSON.parse(JSON.stringify(value)) as Record<string, unknown>;
  for (let changes = 1 + next(2); changes > 0; changes--) {
    let at: Record<string, unknown> = copy;
    for (;;) {
      const keys = Object.keys(at);
      const key = keys[next(keys.length || 1)] ?? 'more';
      const inner = at[key];
      if (typeof inner === 'object' && inner !== null && next(4) > 0) {
        at = inner as Record<string, unknown>;
        continue;
      }
      at[key] = values[next(values.length)];
      break;
    }
  }
  return copy;
}
