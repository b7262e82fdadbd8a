import { describe, expect, test } from '@jest/globals';
import type { JsonObject } from '../json.ts';
import { builtinSchema } from '../schema/builtin-schema.ts';
import { mergePatch } from './merge-patch.ts';
import { strategicMergePatch } from './strategic-merge-patch.ts';

const pod = builtinSchema('io.k8s.api.core.v1.Pod');
const deployment = builtinSchema('io.k8s.api.apps.v1.Deployment');
const containers = (...names: string[]) => names.map((name) => ({ name, image: `${name}:1` }));

describe('strategicMergePatch', () => {
  const cases: Record<string, { target: JsonObject; patch: JsonObject; want: JsonObject }> = {
    'merges list items by their key': {
      target: { spec: { containers: containers('a', 'b') } },
      patch: {
        spec: {
          containers: [
            { name: 'b', image: 'b:2' },
            { name: 'c', image: 'c:1' },
          ],
        },
      },
      want: {
        spec: {
          containers: [
            { name: 'a', image: 'a:1' },
            { name: 'b', image: 'b:2' },
            { name: 'c', image: 'c:1' },
          ],
        },
      },
    },
    'deletes an item by directive': {
      target: { spec: { containers: containers('a', 'b') } },
      patch: { spec: { containers: [{ name: 'a', $patch: 'delete' }] } },
      want: { spec: { containers: containers('b') } },
    },
    'replaces a list by directive': {
      target: { spec: { containers: containers('a', 'b') } },
      patch: { spec: { containers: [{ $patch: 'replace' }, { name: 'c', image: 'c:1' }] } },
      want: { spec: { containers: containers('c') } },
    },
    'replaces lists that have no key': {
      target: { spec: { containers: [{ name: 'a', args: ['1', '2'] }] } },
      patch: { spec: { containers: [{ name: 'a', args: ['3'] }] } },
      want: { spec: { containers: [{ name: 'a', args: ['3'] }] } },
    },
    'removes a field by null': {
      target: { metadata: { labels: { a: '1', b: '2' } } },
      patch: { metadata: { labels: { a: null } } },
      want: { metadata: { labels: { b: '2' } } },
    },
    'adds to lists of scalars that merge, and deletes from them': {
      target: { metadata: { finalizers: ['a/a', 'b/b'] } },
      patch: { metadata: { finalizers: ['c/c', 'a/a'], '$deleteFromPrimitiveList/finalizers': ['b/b'] } },
      want: { metadata: { finalizers: ['a/a', 'c/c'] } },
    },
    'orders items as asked': {
      target: { spec: { containers: containers('a', 'b', 'c') } },
      patch: { spec: { '$setElementOrder/containers': [{ name: 'c' }, { name: 'a' }, { name: 'b' }] } },
      want: { spec: { containers: containers('c', 'a', 'b') } },
    },
    'merges conditions by type': {
      target: {
        status: {
          conditions: [
            { type: 'Ready', status: 'False' },
            { type: 'X', status: 'True' },
          ],
        },
      },
      patch: { status: { conditions: [{ type: 'Ready', status: 'True' }] } },
      want: {
        status: {
          conditions: [
            { type: 'Ready', status: 'True' },
            { type: 'X', status: 'True' },
          ],
        },
      },
    },
  };
  test.each(Object.entries(cases))('%s', (_, { target, patch, want }) =>
    expect(strategicMergePatch(pod, target, patch)).toEqual(want),
  );

  test('keeps only what $retainKeys names', () => {
    const target = { spec: { strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: 1 } } } };
    const patch = { spec: { strategy: { $retainKeys: ['type'], type: 'Recreate' } } };
    expect(strategicMergePatch(deployment, target, patch)).toEqual({
      spec: { strategy: { type: 'Recreate' } },
    });
  });

  test.each([
    ['an unknown directive', { spec: { $patch: 'explode' } }, /unknown patch directive/],
    ['an item without its key', { spec: { containers: [{ image: 'x' }] } }, /merge key: name/],
    ['an item that is no object', { spec: { containers: ['x'] } }, /must be an object/],
  ])('%s is refused', (_, patch, message) =>
    expect(() => strategicMergePatch(pod, { spec: { containers: [] } }, patch)).toThrow(message),
  );
});

test('a merge patch follows RFC 7386', () => {
  expect(mergePatch({ a: 'b' }, { a: null })).toEqual({});
  expect(mergePatch({ a: [1] }, { a: [2, 3] })).toEqual({ a: [2, 3] });
  expect(mergePatch({ a: 1 }, { b: { c: null, d: 1 } })).toEqual({ a: 1, b: { d: 1 } });
  expect(mergePatch(['a'], { a: 1 })).toEqual({ a: 1 });
  expect(mergePatch({ a: 1 }, ['c'])).toEqual(['c']);
});
