import { describe, expect, test } from '@jest/globals';
import { type Fields, PatchProblem, strategicMerge } from './strategic-merge.ts';

const pod = (...containers: object[]) => ({ spec: { containers } });

describe('strategicMerge', () => {
  const cases: Record<string, { target: Fields; patch: Fields; want: Fields | undefined }> = {
    'fields are merged, null removes one': {
      target: { a: { b: 1, c: 2 }, d: 3 },
      patch: { a: { b: 9, c: null }, e: 4 },
      want: { a: { b: 9 }, d: 3, e: 4 },
    },
    'items are found by their key, others are added': {
      target: pod({ name: 'a', image: '1' }, { name: 'b', image: '1' }),
      patch: pod({ name: 'b', image: '2' }, { name: 'c' }),
      want: pod({ name: 'a', image: '1' }, { name: 'b', image: '2' }, { name: 'c' }),
    },
    'an item is deleted, and one that is not there is no error': {
      target: pod({ name: 'a' }, { name: 'b' }),
      patch: pod({ name: 'a', $patch: 'delete' }, { name: 'x', $patch: 'delete' }),
      want: pod({ name: 'b' }),
    },
    'a list is replaced by directive': {
      target: pod({ name: 'a' }),
      patch: pod({ $patch: 'replace' }, { name: 'b', x: null }),
      want: pod({ name: 'b' }),
    },
    'an item is replaced by directive': {
      target: pod({ name: 'a', image: '1' }),
      patch: pod({ name: 'a', $patch: 'replace' }),
      want: pod({ name: 'a' }),
    },
    'an object is replaced by directive, without directives in it': {
      target: { a: { b: 1 } },
      patch: { a: { $patch: 'replace', c: [{ d: null, $patch: 'merge' }] } },
      want: { a: { c: [{}] } },
    },
    'ports of containers and of Services': {
      target: { ports: [{ containerPort: 1, name: 'a' }] },
      patch: { ports: [{ containerPort: 1, protocol: 'UDP' }, { containerPort: 2 }] },
      want: { ports: [{ containerPort: 1, name: 'a', protocol: 'UDP' }, { containerPort: 2 }] },
    },
    'lists without a key are replaced': {
      target: { tolerations: [{ key: 'a' }], args: ['a', 'b'] },
      patch: { tolerations: [{ key: 'b' }], args: ['c'] },
      want: { tolerations: [{ key: 'b' }], args: ['c'] },
    },
    'the whole is deleted': { target: { a: 1 }, patch: { $patch: 'delete' }, want: undefined },
    'a field is deleted': { target: { a: { b: 1 } }, patch: { a: { $patch: 'delete' } }, want: {} },
    'names that every object inherits are fields like others': {
      target: {},
      patch: { constructor: [{ a: 1 }], ports: 'x' },
      want: { constructor: [{ a: 1 }], ports: 'x' },
    },
  };
  test.each(Object.entries(cases))('%s', (_, { target, patch, want }) => {
    expect(strategicMerge(target, patch)).toEqual(want);
  });

  test.each([
    ['an unknown directive', { $patch: 'remove' }],
    ['a directive of clients', { $retainKeys: ['a'] }],
    ['an item without its key', { env: [{ value: 'x' }] }],
    ['an item that is no object', { volumes: ['x'] }],
  ])('%s is refused', (_, patch) => {
    expect(() => strategicMerge({}, patch)).toThrow(PatchProblem);
  });

  test('what is merged stays as it was', () => {
    const target = Object.freeze({
      list: Object.freeze([1]),
      env: Object.freeze([Object.freeze({ name: 'a' })]),
    });
    expect(strategicMerge(target, { env: [{ name: 'a', value: 'b' }] })).toEqual({
      list: [1],
      env: [{ name: 'a', value: 'b' }],
    });
    expect(target.env).toEqual([{ name: 'a' }]);
  });
});
