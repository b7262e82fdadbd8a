import { describe, expect, test } from '@jest/globals';
import type { KubeObject } from '@ambit/kube/resource';
import type { Part } from '../manifest.ts';
import { resourceOf } from '../kinds.ts';
import { stamped, withRuntimeFields } from './ownership.ts';
import { changedFields, countsOf, isNoOp, planned, type PlannedChange } from './plan.ts';

const ours = { labels: { 'app.kubernetes.io/part-of': 'ambit' } };
const object = (kind: string, over: object = {}): KubeObject =>
  ({
    apiVersion: kind === 'CustomResourceDefinition' ? 'apiextensions.k8s.io/v1' : 'v1',
    kind,
    metadata: { name: 'x', ...ours },
    ...over,
  }) as KubeObject;
const partOf = (of: KubeObject): Part => {
  const resource = resourceOf(of);
  if (!resource) throw new Error(`no kind ${of.kind}`);
  return { resource, component: 'base', object: of };
};

describe('planned', () => {
  const map = object('ConfigMap', { data: { a: '1' } });
  const other = object('ConfigMap', { data: { a: '2', b: '3' } });
  const owners = [{ manager: 'edit', fields: ['.data.c'] }];
  const part = partOf(map);
  const crd = partOf(object('CustomResourceDefinition'));
  const elses = object('CustomResourceDefinition', { metadata: { name: 'x' } });

  const cases: Record<string, { made: PlannedChange; want: PlannedChange }> = {
    'what is not there is created': {
      made: planned({ part, live: undefined, applied: map, owners: [] }),
      want: { action: 'create', part },
    },
    'what would stay the same is unchanged': {
      made: planned({ part, live: map, applied: map, owners: [] }),
      want: { action: 'unchanged', part },
    },
    'what differs is named': {
      made: planned({ part, live: other, applied: map, owners: [] }),
      want: { action: 'change', part, fields: ['data.a', 'data.b'] },
    },
    'what differs, with fields of others': {
      made: planned({ part, live: other, applied: map, owners }),
      want: { action: 'change', part, fields: ['data.a', 'data.b'], owners },
    },
    'what stays the same and is somebody else’s as well': {
      made: planned({ part, live: map, applied: map, owners }),
      want: { action: 'take-over', part, owners },
    },
    'a definition of somebody else is left alone, even if applying would change it': {
      made: planned({ part: crd, live: elses, applied: crd.object, owners: [] }),
      want: { action: 'keep', part: crd, reason: 'it was installed by somebody else' },
    },
    'a namespace that was there before': {
      made: planned({
        part: partOf(object('Namespace')),
        live: object('Namespace', { metadata: { name: 'x' } }),
        applied: object('Namespace'),
        owners: [],
      }),
      want: { action: 'keep', part: partOf(object('Namespace')), reason: 'it was there before' },
    },
  };
  test.each(Object.entries(cases))('%s', (_, { made, want }) => expect(made).toEqual(want));
});

test('what the server and the controllers count is no change', () => {
  const meta = (generation: number, revision: string) => ({
    name: 'x',
    generation,
    resourceVersion: revision,
    managedFields: [generation],
    annotations: { 'deployment.kubernetes.io/revision': revision },
  });
  const live = object('Service', { metadata: meta(1, '1'), status: { a: 1 } });
  expect(changedFields(live, object('Service', { metadata: meta(2, '2'), status: { a: 2 } }))).toEqual([]);
});

test('a plan names a few changed fields, and counts', () => {
  const many = Object.fromEntries(Array.from({ length: 20 }, (_, i) => [`k${i}`, 'x']));
  expect(changedFields(object('ConfigMap', { data: many }), object('ConfigMap', { data: {} }))).toHaveLength(
    6,
  );
  const part = partOf(object('ConfigMap'));
  const changes: PlannedChange[] = [
    { action: 'create', part },
    { action: 'create', part },
    { action: 'take-over', part, owners: [] },
    { action: 'unchanged', part },
  ];
  expect(countsOf(changes)).toBe('2 to create, 1 to take over, 1 unchanged');
  expect(isNoOp(changes.slice(2))).toBe(false);
  expect(isNoOp(changes.slice(3))).toBe(true);
});

test('the labels by which the command finds its objects again; a version that the chart gave stays', () => {
  expect(stamped(object('Service'), '0.1.0').metadata.labels).toEqual({
    'app.kubernetes.io/version': '0.1.0',
    'app.kubernetes.io/part-of': 'ambit',
    'app.kubernetes.io/managed-by': 'ambit',
  });
});

test('what the control plane made of its webhook is not undone', () => {
  const webhook = (failurePolicy: string) =>
    object('ValidatingWebhookConfiguration', { webhooks: [{ name: 'w', failurePolicy, timeoutSeconds: 5 }] });
  expect(withRuntimeFields(webhook('Ignore'), webhook('Fail'))).toEqual(webhook('Fail'));
  expect(withRuntimeFields(webhook('Ignore'), undefined)).toEqual(webhook('Ignore'));
});
