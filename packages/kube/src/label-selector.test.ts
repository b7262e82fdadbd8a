import { describe, expect, test } from '@jest/globals';
import { holds, type LabelSelector, parseLabelSelector, selects } from './label-selector.ts';

const labels = { app: 'web', tier: 'front' };

describe('selects', () => {
  const cases: Record<string, { selector: LabelSelector | undefined; want: boolean }> = {
    'no selector accepts nothing': { selector: undefined, want: false },
    'an empty one accepts everything': { selector: {}, want: true },
    'all pairs must be there': { selector: { matchLabels: { app: 'web', tier: 'front' } }, want: true },
    'a pair that differs': { selector: { matchLabels: { app: 'web', tier: 'back' } }, want: false },
    'expressions are joined by and': {
      selector: {
        matchLabels: { app: 'web' },
        matchExpressions: [
          { key: 'tier', operator: 'In', values: ['front'] },
          { key: 'x', operator: 'Exists' },
        ],
      },
      want: false,
    },
    'a label whose name every object has is none': {
      selector: { matchExpressions: [{ key: 'constructor', operator: 'Exists' }] },
      want: false,
    },
    'nor is it there to be missed': {
      selector: { matchExpressions: [{ key: 'toString', operator: 'DoesNotExist' }] },
      want: true,
    },
    'an unknown operator accepts nothing': {
      selector: { matchExpressions: [{ key: 'app', operator: 'Like' }] },
      want: false,
    },
  };
  test.each(Object.entries(cases))('%s', (_, { selector, want }) =>
    expect(selects(selector, labels)).toBe(want),
  );
});

describe('parseLabelSelector', () => {
  const cases: Record<string, boolean | undefined> = {
    '': true,
    'app=web': true,
    'app==web,tier=front': true,
    'app!=web': false,
    'x!=y': true,
    'app in (web, db)': true,
    'app notin (web)': false,
    'x notin (web)': true,
    app: true,
    '!app': false,
    '!x,tier': true,
    'app=web,': undefined,
    'app in web': undefined,
    '=web': undefined,
    'app=(': undefined,
  };
  test.each(Object.entries(cases))('%s', (text, want) => {
    expect(parseLabelSelector(text)?.every((requirement) => holds(requirement, labels))).toBe(want);
  });
});
