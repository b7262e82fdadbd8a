import { describe, expect, test } from '@jest/globals';
import type { Pod } from '@ambit/kube/resources/core';
import { ownedBy, planDaemonSet, planDeployment, scaled, templateHash, type Workload } from './template.ts';

const workload = (kind: Workload['kind'], spec: object = {}): Workload =>
  ({
    kind,
    metadata: { name: 'ztunnel', namespace: 'istio-system', uid: 'w1' },
    spec: {
      template: { metadata: { labels: { app: 'ztunnel' } }, spec: { containers: [{ name: 'c' }] } },
      ...spec,
    },
  }) as Workload;
const surging = { updateStrategy: { rollingUpdate: { maxSurge: 1 } } };

const pod = (
  name: string,
  hash: string,
  over: { node?: string; ready?: boolean; leaving?: boolean } = {},
): Pod => ({
  metadata: {
    name,
    labels: { 'pod-template-hash': hash },
    ...(over.leaving && { deletionTimestamp: 't' }),
  },
  spec: { nodeName: over.node ?? 'a' },
  status: { conditions: [{ type: 'Ready', status: over.ready === false ? 'False' : 'True' }] },
});
const names = ({ create, remove }: { create: readonly Pod[]; remove: readonly Pod[] }) => ({
  create: create.map(({ spec }) => spec?.nodeName ?? 'any'),
  remove: remove.map(({ metadata }) => metadata.name),
});

describe('a DaemonSet', () => {
  const set = workload('DaemonSet');
  const hash = templateHash(set);
  const cases: Record<string, { set: Workload; owned: Pod[]; create: string[]; remove: string[] }> = {
    'a pod for each node': { set, owned: [], create: ['a', 'b'], remove: [] },
    'nothing when each has one': {
      set,
      owned: [pod('1', hash), pod('2', hash, { node: 'b' })],
      create: [],
      remove: [],
    },
    'the old one first': {
      set,
      owned: [pod('1', 'old'), pod('2', hash, { node: 'b' })],
      create: [],
      remove: ['1'],
    },
    'not before the old one is gone': {
      set,
      owned: [pod('1', 'old', { leaving: true }), pod('2', hash, { node: 'b' })],
      create: [],
      remove: [],
    },
    'with a surge the new one first': {
      set: workload('DaemonSet', surging),
      owned: [pod('1', 'old'), pod('2', hash, { node: 'b' })],
      create: ['a'],
      remove: [],
    },
    'with a surge the old one when the new one is ready': {
      set: workload('DaemonSet', surging),
      owned: [pod('1', 'old'), pod('new', hash), pod('2', hash, { node: 'b' })],
      create: [],
      remove: ['1'],
    },
    'with a surge not before': {
      set: workload('DaemonSet', surging),
      owned: [pod('1', 'old'), pod('new', hash, { ready: false }), pod('2', hash, { node: 'b' })],
      create: [],
      remove: [],
    },
  };
  test.each(Object.entries(cases))('%s', (_, { set: one, owned, create, remove }) => {
    expect(names(planDaemonSet(one, owned, ['a', 'b']))).toEqual({ create, remove });
  });

  test('its pods carry its labels, its hash and its name as owner', () => {
    const [first] = planDaemonSet(set, [], ['a']).create;
    expect(first?.metadata).toMatchObject({
      name: `ztunnel-${hash}-a`,
      labels: { app: 'ztunnel', 'pod-template-hash': hash },
    });
    expect(ownedBy(set, [first as Pod, pod('other', hash)])).toEqual([first]);
  });
});

describe('a Deployment', () => {
  const one = workload('Deployment', { replicas: 2 });
  const hash = templateHash(one);
  const cases: Record<string, { owned: Pod[]; create: number; remove: string[] }> = {
    'as many pods as it asks for': { owned: [pod('1', hash)], create: 1, remove: [] },
    'no more than that': {
      owned: [pod('1', hash), pod('2', hash), pod('3', hash)],
      create: 0,
      remove: ['3'],
    },
    'new ones before old ones go': { owned: [pod('1', 'old'), pod('2', 'old')], create: 2, remove: [] },
    'old ones go when new ones are ready': {
      owned: [pod('1', 'old'), pod('2', hash), pod('3', hash)],
      create: 0,
      remove: ['1'],
    },
    'old ones stay until then': {
      owned: [pod('1', 'old'), pod('2', hash, { ready: false }), pod('3', hash)],
      create: 0,
      remove: [],
    },
  };
  test.each(Object.entries(cases))('%s', (_, { owned, create, remove }) => {
    const plan = planDeployment(one, owned, () => 'x');
    expect([plan.create.length, names(plan).remove]).toEqual([create, remove]);
  });

  test.each([
    [{ minReplicas: 3, maxReplicas: 5 }, 'w', 3],
    [{ minReplicas: 1, maxReplicas: 1 }, 'w', 1],
    [{ maxReplicas: 5 }, 'w', 2],
    [{ minReplicas: 3, maxReplicas: 5 }, 'other', 2],
  ])('with the autoscaler %j of %s: %d replicas', (bounds, name, want) => {
    const deployment = { metadata: { namespace: 'a', name: 'w' }, spec: { replicas: 2 } };
    const scaleTargetRef = { kind: 'Deployment', name };
    const autoscaler = { metadata: { namespace: 'a', name: 'x' }, spec: { scaleTargetRef, ...bounds } };
    expect(scaled(deployment, [autoscaler]).spec?.replicas).toBe(want);
  });
});
