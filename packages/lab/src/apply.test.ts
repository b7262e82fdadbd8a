import { expect, test } from '@jest/globals';
import { parseManifests } from './apply.ts';

const object = 'apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n';

test('documents become objects, empty ones are nothing', () => {
  expect(parseManifests(`---\n${object}---\n---\n# only a comment\n`)).toEqual([
    { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'shop' } },
  ]);
});

test.each([
  { text: 'a: [', problem: 'document 1:' },
  { text: `${object}---\nkind: Pod\n`, problem: 'document 2 has no apiVersion' },
  { text: '- a\n', problem: 'document 1 has no apiVersion' },
  { text: 'apiVersion: v1\nkind: Pod\nmetadata: {}\n', problem: 'document 1 has no apiVersion' },
])('$problem', ({ text, problem }) => {
  expect(() => parseManifests(text)).toThrow(problem);
});
