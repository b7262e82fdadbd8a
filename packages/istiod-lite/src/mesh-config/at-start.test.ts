import { expect, test } from '@jest/globals';
import { waitsForStart } from './at-start.ts';

test('what counts at the next start only is said', () => {
  const now = { trustDomain: 'td', rootNamespace: 'root' };
  expect(waitsForStart({}, now)).toBeUndefined();
  expect(waitsForStart({ trustDomain: 'td', rootNamespace: '' }, now)).toBeUndefined();
  expect(waitsForStart({ trustDomain: 'other', rootNamespace: 'more' }, now)).toBe(
    'trustDomain other, rootNamespace more',
  );
});
