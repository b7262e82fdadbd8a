import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { authorizationPolicySpec } from './authorization-policy.ts';
import { crdFiles } from './crd.ts';
import { schemaProblems } from './openapi.ts';

describe('deploy/crds', () => {
  test.each([...crdFiles()])('%s is what the schemas say', (name, text) => {
    const committed = readFileSync(new URL(`../../../../deploy/crds/${name}`, import.meta.url), 'utf8');
    expect(committed).toBe(text);
  });
});

describe('schemaProblems', () => {
  const cases: Record<string, { spec: unknown; want: readonly string[] }> = {
    'nothing wrong': {
      spec: { action: 'DENY', rules: [{ to: [{ operation: { ports: ['80'] } }] }] },
      want: [],
    },
    'every problem is told, with its path': {
      spec: { action: 'BLOCK', rules: [{ to: [{ operation: { ports: [80], port: '1' } }] }], selector: [] },
      want: [
        'spec.action: must be one of ALLOW, DENY, AUDIT, CUSTOM',
        'spec.rules[0].to[0].operation.ports[0]: must be text',
        'spec.rules[0].to[0].operation.port: is not a known field',
        'spec.selector: must be an object',
      ],
    },
    'required fields': {
      spec: { targetRef: { kind: 'Gateway' }, rules: [{ when: [{}] }] },
      want: ['spec.targetRef.name: is required', 'spec.rules[0].when[0].key: is required'],
    },
    'no object at all': { spec: null, want: ['spec: must be an object'] },
    'inherited names are not fields': {
      spec: { constructor: 1, selector: { matchLabels: { toString: 'x' } } },
      want: ['spec.constructor: is not a known field'],
    },
    'lengths and counts': {
      spec: {
        targetRefs: Array.from({ length: 17 }, () => ({ kind: 'Service', name: 'a' })),
        targetRef: { kind: '', name: 'x'.repeat(254) },
      },
      want: [
        'spec.targetRefs: must have at most 16 items',
        'spec.targetRef.kind: must have at least 1 characters',
        'spec.targetRef.name: must have at most 253 characters',
      ],
    },
  };
  test.each(Object.entries(cases))('%s', (_, { spec, want }) => {
    expect(schemaProblems(authorizationPolicySpec, spec, 'spec')).toEqual(want);
  });
});
