import { expect, test } from '@jest/globals';
import { conflictText, coOwnersText } from './conflict-text.ts';

const WHAT = 'PATCH /apis/apps/v1/…: 409 Conflict: Apply failed with';

test.each([
  [
    'one field',
    `${WHAT} 1 conflict: conflict with "kubectl-edit" using apps/v1: .spec.replicas`,
    'by "kubectl-edit": .spec.replicas',
  ],
  [
    'several, of two managers',
    `${WHAT} 5 conflicts: conflicts with "a" using v1:\n- .spec.a\n- .spec.b[name="x"].c\nconflicts with "b":\n- .data.x y\n- .data.d\n- .data.e`,
    'by "a", "b": .spec.a, .spec.b[name="x"].c, .data.x y and 2 more',
  ],
  ['anything else', `${WHAT} something new`, `${WHAT} something new`],
])('%s', (_, message, want) => expect(conflictText(message)).toBe(want));

test('co-owners, and a few of their fields', () =>
  expect(
    coOwnersText([
      { manager: 'a', fields: ['.x'] },
      { manager: 'b', fields: ['.p', '.q', '.r', '.s', '.t'] },
    ]),
  ).toBe('from "a": .x; from "b": .p, .q, .r and 2 more'));
