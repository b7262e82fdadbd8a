import { describe, expect, test } from '@jest/globals';
import { type Candidate, survivors } from './host-collisions.ts';

/** `namespace/name@age`, hidden from other namespaces with a `-` before it. */
function candidate(text: string): Candidate {
  const [, hidden, namespace = '', name = '', createdAt = ''] = /^(-?)(.*)\/(.*)@(.*)$/.exec(text) ?? [];
  return { namespace, name, createdAt, isPublic: hidden === '' };
}

describe('survivors', () => {
  const cases: Record<string, { of: readonly string[]; kubernetes?: string; want: readonly string[] }> = {
    'one alone is canonical': { of: ['a/x@1'], want: ['a/x!'] },
    'the older of a namespace': { of: ['a/x@2', 'a/y@1'], want: ['a/y!'] },
    'names decide between those of one age': { of: ['a/y@1', 'a/x@1'], want: ['a/x!'] },
    'one in each namespace, the oldest canonical': {
      of: ['a/x@3', 'b/x@1', 'c/x@2'],
      want: ['b/x!', 'c/x', 'a/x'],
    },
    'one that others may not see is never canonical': { of: ['-a/x@1', 'b/x@2'], want: ['a/x', 'b/x!'] },
    'nor is it when it is alone': { of: ['-a/x@1'], want: ['a/x'] },
    'a Kubernetes Service has its namespace, and is canonical': {
      of: ['a/x@1', 'b/x@1'],
      kubernetes: 'a',
      want: ['b/x'],
    },
    'an age that is unknown counts as old': { of: ['a/x@1', 'a/y@'], want: ['a/y!'] },
    nobody: { of: [], want: [] },
  };
  test.each(Object.entries(cases))('%s', (_, { of, kubernetes, want }) => {
    const left = survivors(of.map(candidate), kubernetes);
    expect(
      left.map(
        ({ candidate: { namespace, name }, canonical }) => `${namespace}/${name}${canonical ? '!' : ''}`,
      ),
    ).toEqual(want);
  });
});
