import { describe, expect, test } from '@jest/globals';
import type { Json } from '../json.ts';
import { jsonPatch } from './json-patch.ts';

const document: Json = { a: { b: [1, 2, 3], 'x/y': 1, 'm~n': 2 }, c: null };

describe('jsonPatch', () => {
  const cases: Record<string, { patch: Json; want: Json }> = {
    'adds a field': { patch: [{ op: 'add', path: '/d', value: 1 }], want: { ...document, d: 1 } },
    'inserts before an index': {
      patch: [{ op: 'add', path: '/a/b/1', value: 9 }],
      want: { a: { b: [1, 9, 2, 3], 'x/y': 1, 'm~n': 2 }, c: null },
    },
    'appends with a dash': {
      patch: [{ op: 'add', path: '/a/b/-', value: 9 }],
      want: { a: { b: [1, 2, 3, 9], 'x/y': 1, 'm~n': 2 }, c: null },
    },
    'unescapes slashes and tildes': {
      patch: [
        { op: 'remove', path: '/a/x~1y' },
        { op: 'replace', path: '/a/m~0n', value: 3 },
      ],
      want: { a: { b: [1, 2, 3], 'm~n': 3 }, c: null },
    },
    'moves and copies': {
      patch: [
        { op: 'move', from: '/a/b', path: '/b' },
        { op: 'copy', from: '/b/0', path: '/first' },
      ],
      want: { a: { 'x/y': 1, 'm~n': 2 }, c: null, b: [1, 2, 3], first: 1 },
    },
    'replaces a null': { patch: [{ op: 'replace', path: '/c', value: 1 }], want: { ...document, c: 1 } },
    'tests that there is nothing': { patch: [{ op: 'test', path: '/x/y', value: null }], want: document },
    'tests and goes on': { patch: [{ op: 'test', path: '/a/b', value: [1, 2, 3] }], want: document },
  };
  test.each(Object.entries(cases))('%s', (_, { patch, want }) =>
    expect(jsonPatch(document, patch)).toEqual(want),
  );

  const refusals: Record<string, { patch: Json; message: RegExp }> = {
    'no list': { patch: {}, message: /list of operations/ },
    'an unknown operation': { patch: [{ op: 'x', path: '/a' }], message: /unexpected kind/ },
    'a path without slash': { patch: [{ op: 'add', path: 'a', value: 1 }], message: /slash/ },
    'a value that is missing': { patch: [{ op: 'add', path: '/a' }], message: /lacks its value/ },
    'removing what is not there': { patch: [{ op: 'remove', path: '/z' }], message: /missing path/ },
    'an index beyond the end': { patch: [{ op: 'add', path: '/a/b/9', value: 1 }], message: /no such index/ },
    'a leading zero': { patch: [{ op: 'remove', path: '/a/b/01' }], message: /no such index/ },
    'a test that fails': { patch: [{ op: 'test', path: '/c', value: 1 }], message: /testing path/ },
    'moving into itself': { patch: [{ op: 'move', from: '/a', path: '/a/b' }], message: /into itself/ },
    'a prototype': { patch: [{ op: 'add', path: '/__proto__', value: {} }], message: /nothing can be put/ },
  };
  test.each(Object.entries(refusals))('%s is refused', (_, { patch, message }) =>
    expect(() => jsonPatch(document, patch)).toThrow(message),
  );

  test('the document stays as it was', () => {
    const before = JSON.stringify(document);
    jsonPatch(document, [{ op: 'add', path: '/a/b/-', value: 9 }]);
    expect(JSON.stringify(document)).toBe(before);
  });
});
