/** Objects that nobody should have stored: for tests that nothing throws, and nothing opens. */
import type { Seeded } from '@ambit/core/testing/seeded';

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
export function mutated(value: unknown, chance: Seeded, values: readonly unknown[] = JUNK): unknown {
  const copy = JSON.parse(JSON.stringify(value)) as Record<string, unknown>;
  for (let changes = 1 + chance.below(2); changes > 0; changes--) {
    let at: Record<string, unknown> = copy;
    for (;;) {
      const keys = Object.keys(at);
      const key = keys[chance.below(keys.length || 1)] ?? 'more';
      const inner = at[key];
      if (typeof inner === 'object' && inner !== null && chance.below(4) > 0) {
        at = inner as Record<string, unknown>;
        continue;
      }
      at[key] = values[chance.below(values.length)];
      break;
    }
  }
  return copy;
}
