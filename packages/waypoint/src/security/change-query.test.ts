import { expect, test } from '@jest/globals';
import { withQuery } from './change-query.ts';

test.each([
  ['/a', { set: [['user', 'ann']], remove: [] }, '/a?user=ann'],
  ['/a?b=c%2Fd&&e', { set: [['user', 'ann']], remove: [] }, '/a?b=c%2Fd&e&user=ann'],
  ['/a?user=eve&x=1&%75ser=eve', { set: [['user', 'ann']], remove: [] }, '/a?x=1&user=ann'],
  ['/a?token=secret&x=1', { set: [], remove: ['token'] }, '/a?x=1'],
  ['/a?token=secret', { set: [], remove: ['token'] }, '/a'],
  ['/a', { set: [['user', 'ann']], remove: ['user'] }, '/a'],
  [
    '/a',
    {
      set: [
        ['user', 'ann'],
        ['user', 'eve'],
      ],
      remove: [],
    },
    '/a?user=eve',
  ],
  ['/a', { set: [['q', 'a b&c=d#é']], remove: [] }, '/a?q=a%20b%26c%3Dd%23%C3%A9'],
  ['/a', { set: [['q', 'done%20before']], remove: [] }, '/a?q=done%20before'],
  ['/a', { set: [['q', '\r\nx: y']], remove: [] }, '/a?q=%0D%0Ax:%20y'],
] as const)('%s with %j', (path, changes, want) => {
  expect(withQuery(path, changes)).toBe(want);
});
