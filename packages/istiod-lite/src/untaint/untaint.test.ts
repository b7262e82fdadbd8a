import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { Scheduler } from '@ambit/collections/scheduler';
import { systemClock, systemRandom } from '@ambit/core/clock';
import { silentLogger } from '@ambit/core/log';
import { AccessSource } from '@ambit/kube/access';
import { KubeClient } from '@ambit/kube/client';
import type { KubeObject } from '@ambit/kube/resource';
import { type Node, nodes as nodeResource, type Pod, pods as podResource } from '@ambit/kube/resources/core';
import { FakeApiServer } from '@ambit/kube/testing/fake-api-server';
import { watchCollection } from '@ambit/kube/watch-collection';
import { nodeServedBy, taintsWithout } from './decide.ts';
import { NodeUntaint } from './node-untaint.ts';

const KEY = 'cni.istio.io/not-ready';
const NOT_READY = { key: KEY, effect: 'NoSchedule' };
const OTHER = { key: 'gpu', value: 'yes', effect: 'NoExecute' };

const agent = (
  over: { ready?: string; labels?: Record<string, string>; meta?: object; node?: string } = {},
) =>
  ({
    metadata: {
      namespace: 'istio-system',
      name: 'istio-cni-node-x',
      labels: over.labels ?? { 'k8s-app': 'istio-cni-node' },
      ...over.meta,
    },
    spec: { nodeName: over.node ?? 'n1' },
    status: { conditions: [{ type: 'Ready', status: over.ready ?? 'True' }] },
  }) as Pod;

describe('nodeServedBy', () => {
  const cases: Record<string, { pod: Pod; want: string | undefined }> = {
    'an agent that is ready serves its node': { pod: agent(), want: 'n1' },
    'one that is not ready does not': { pod: agent({ ready: 'False' }), want: undefined },
    'one that is going does not': { pod: agent({ meta: { deletionTimestamp: 'now' } }), want: undefined },
    'another pod does not': { pod: agent({ labels: { 'k8s-app': 'x' } }), want: undefined },
    'the same label elsewhere does not': { pod: agent({ meta: { namespace: 'shop' } }), want: undefined },
  };
  test.each(Object.entries(cases))('%s', (_, { pod, want }) => {
    expect(nodeServedBy(pod, 'istio-system')).toBe(want);
  });
});

test('other taints stay, in their order', () => {
  const node = (taints?: Node['spec']) =>
    ({ metadata: { name: 'n' }, ...(taints && { spec: taints }) }) as Node;
  expect(taintsWithout(node({ taints: [OTHER, NOT_READY, { ...OTHER, key: 'b' }] }), KEY)).toEqual([
    OTHER,
    { ...OTHER, key: 'b' },
  ]);
  expect(taintsWithout(node({ taints: [OTHER] }), KEY)).toBeUndefined();
  expect(taintsWithout(node(), KEY)).toBeUndefined();
});

describe('NodeUntaint', () => {
  const NODES = '/api/v1/nodes';
  const PODS = '/api/v1/pods';
  let api: FakeApiServer;
  let stack: AsyncDisposableStack;
  /** Answers to patches that are not what the API server would say. */
  let refusals: number[];

  const taintsOf = (name: string) =>
    (api.find(NODES, '', name) as Node | undefined)?.spec?.taints?.map(({ key }) => key);
  const putNode = (name: string) =>
    api.put(NODES, { metadata: { name }, spec: { taints: [OTHER, NOT_READY] } } as KubeObject);

  /** What the API server does with a merge patch of taints. */
  function mergeTaints(method: string, path: string, body: unknown) {
    const name = /\/nodes\/([^/]+)$/.exec(path)?.[1];
    if (method !== 'PATCH' || name === undefined) return undefined;
    const status = refusals.shift();
    if (status !== undefined) return { status, body: { code: status, reason: 'Conflict' } };
    const known = api.find(NODES, '', name) as Node;
    const { metadata, spec } = body as Node;
    if (metadata.resourceVersion !== known.metadata.resourceVersion)
      return { status: 409, body: { reason: 'Conflict' } };
    return { status: 200, body: api.put(NODES, { ...known, spec } as KubeObject) };
  }

  async function eventually(what: () => boolean): Promise<void> {
    // Turns and not time: after a stall there are as many left for what has waited for them.
    for (let turn = 0; turn < 5_000; turn += 1) {
      if (what()) return;
      await systemClock.sleep(5);
    }
    throw new Error(`never came true: ${what.toString()}`);
  }

  function start(): NodeUntaint {
    const access = { server, tls: {}, headers: {}, namespace: '' };
    const client = stack.use(new KubeClient(new AccessSource(() => Promise.resolve(access), systemClock)));
    const common = { clock: systemClock, random: systemRandom, log: silentLogger };
    return stack.use(
      new NodeUntaint({
        ...common,
        client,
        nodes: stack.use(watchCollection(client, nodeResource, common)),
        pods: stack.use(watchCollection(client, podResource, common)),
        agentNamespace: 'istio-system',
        taintKey: KEY,
        scheduler: new Scheduler({ onError: (_, __, error) => expect(error).toBeUndefined() }),
      }),
    );
  }

  let server: URL;
  beforeEach(async () => {
    refusals = [];
    stack = new AsyncDisposableStack();
    api = stack.use(new FakeApiServer());
    server = new URL(await api.start());
    api.intercept = mergeTaints;
  });
  afterEach(() => stack.disposeAsync());

  test('a node keeps its taint until its agent is ready, and its other taints then', async () => {
    putNode('n1');
    putNode('n2');
    api.put(PODS, agent({ ready: 'False' }) as KubeObject);
    start();
    await api.quiet();
    expect([taintsOf('n1'), taintsOf('n2')]).toEqual([
      ['gpu', KEY],
      ['gpu', KEY],
    ]);
    api.put(PODS, agent() as KubeObject);
    await eventually(() => taintsOf('n1')?.length === 1);
    expect([taintsOf('n1'), taintsOf('n2')]).toEqual([['gpu'], ['gpu', KEY]]);
  });

  test('a node that comes back with the taint loses it again; failures are tried again', async () => {
    api.put(PODS, agent() as KubeObject);
    refusals = [500, 409];
    start();
    putNode('n1');
    // After a conflict nothing is tried until the watch tells of the change that caused it.
    await eventually(() => refusals.length === 0);
    putNode('n1');
    await eventually(() => taintsOf('n1')?.length === 1);
    putNode('n1');
    await eventually(() => taintsOf('n1')?.length === 1);
  });

  test('ended, it takes off nothing', async () => {
    api.put(PODS, agent() as KubeObject);
    await start()[Symbol.asyncDispose]();
    putNode('n1');
    await api.quiet();
    expect(taintsOf('n1')).toEqual(['gpu', KEY]);
  });
});
