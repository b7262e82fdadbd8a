/** The control plane as several processes: who leads, what a client notices when that one dies, and what they look at. */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { leases } from '@ambit/kube/resources/coordination';
import { configMaps, deployments, pods } from '@ambit/kube/resources/core';
import { authorizationPolicies } from '@ambit/kube/resources/security';
import { lost, Rows, underLoad } from './kit/disturbance.ts';
import type { EchoPod } from './kit/echo-pod.ts';
import { PARTS, SYSTEM } from './kit/mesh.ts';
import { authorizationPolicy } from './kit/objects.ts';
import type { Space } from './kit/space.ts';
import { useSuite } from './kit/suite.ts';
import { LED, until } from './kit/wait.ts';

const suite = useSuite('replicas');
const rows = new Rows();
const STATUS_LEASE = 'istio-status-leader';
const REPLICAS = 2;
const TAKEN_OVER = { ...LED, everyMs: 500 };

let space: Space;
let client: EchoPod;

beforeAll(async () => {
  space = await suite.space('app', 'ambient');
  ({ client } = await suite.pair(space));
  await space.enrolled(true, 'client', 'server');
  const { spec } = await suite.cluster.client.get(deployments, {
    namespace: SYSTEM,
    name: PARTS.istiod.name,
  });
  suite.atEnd(() => scaled(spec?.replicas ?? 1));
  await scaled(REPLICAS);
});
afterAll(() => rows.print());

async function scaled(replicas: number): Promise<void> {
  await suite.mesh.patch('istiod', { spec: { replicas } }, 'merge');
  await suite.mesh.rolledOut('istiod');
}

async function leader(): Promise<string> {
  const { spec } = await suite.cluster.client.get(leases, { namespace: SYSTEM, name: STATUS_LEASE });
  return spec?.holderIdentity ?? '';
}

async function podOfLeader(): Promise<string | undefined> {
  const holder = await leader();
  return (await suite.mesh.podsOf('istiod'))
    .map(({ metadata }) => metadata.name)
    .find((name) => holder.startsWith(name));
}

/** Applies a policy and waits until whoever leads has written what became of it. */
async function written(name: string): Promise<void> {
  await space.apply(authorizationPolicy(space.name, name, { rules: [{}] }));
  await until(
    `the status of ${name}`,
    async () => {
      const { status } = await suite.cluster.client.get(authorizationPolicies, {
        namespace: space.name,
        name,
      });
      return (status?.conditions ?? []).some(
        ({ type, status: is }) => type === 'ZtunnelAccepted' && is === 'True',
      );
    },
    TAKEN_OVER,
  );
}

test('one of two leads; when it is killed the other does its work, and nobody notices', async () => {
  await until('a leader among the two', async () => (await podOfLeader()) !== undefined, TAKEN_OVER);
  await written('before');
  const before = await podOfLeader();
  const disturbed = await underLoad(client, space.host('server'), async () => {
    await suite.cluster.client.delete(
      pods,
      { namespace: SYSTEM, name: before ?? '' },
      { gracePeriodSeconds: 0 },
    );
    await written('after');
  });
  rows.add('the leading control plane of two killed', disturbed);
  expect([lost(disturbed), disturbed.held.reopened]).toEqual([[], 0]);
  // Who is killed may have had the time to do that piece of work, too.
  await until(
    'another leader',
    async () => {
      const now = await podOfLeader();
      return now !== undefined && now !== before;
    },
    TAKEN_OVER,
  );
  await written('by-another');
  await suite.mesh.rolledOut('istiod');
});

test('a namespace that no discovery selector selects is not looked at, until one does', async () => {
  // Not the pods of the node, which the agent tells of: what the control plane does.
  const seen = async () => {
    const { workloads = [] } = (await suite.mesh.configDumpOf(client.node)) as {
      readonly workloads?: readonly { readonly namespace: string }[];
    };
    return workloads.some(({ namespace }) => namespace === space.name);
  };
  await until('the namespace is looked at', seen);
  const at = { namespace: SYSTEM, name: 'istio' };
  if (await suite.cluster.client.find(configMaps, at))
    throw new Error('not tested: the mesh has settings of its own, which this test would replace');
  const discovering = (label: string) => ({
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: at,
    ...{ data: { mesh: `discoverySelectors: [{matchLabels: {${label}}}]` } },
  });
  await suite.applyForNow(discovering('ambit.e2e/discovered: "yes"'));
  await until('nothing of the namespace', async () => !(await seen()), TAKEN_OVER);
  await suite.cluster.apply(discovering('ambit.e2e/suite: replicas'));
  await until('the namespace again', seen, TAKEN_OVER);
  await client.eventuallyReaches({ host: space.host('server') });
});
