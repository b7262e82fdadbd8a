import { X509Certificate } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { configMaps, secrets } from '@ambit/kube/resources/core';
import { type Disturbed, lost, Rows, underLoad } from './kit/disturbance.ts';
import type { EchoPod } from './kit/echo-pod.ts';
import { SYSTEM } from './kit/mesh.ts';
import { serviceAccount } from './kit/objects.ts';
import type { Space } from './kit/space.ts';
import { useSuite } from './kit/suite.ts';
import { eventually } from './kit/wait.ts';

const suite = useSuite('certificates');
const rows = new Rows();
/** The CA dates certificates back by this, for clocks that are behind. */
const BACKDATED_S = 120;
/** Shorter than what they are dated back by, and renewed at half of what is left of them when they come. */
const LIFETIME_S = 20;
const RENEWALS = 8;
/** Of a life, the share after which the earliest renewal comes. */
const EARLIEST_RENEWAL = 0.45;
/** Longer than certificates live, and than the kubelet takes to renew a ConfigMap in a pod. */
const ROOT_OVERLAP_S = 90;
const ROOT_ROTATION_TIMEOUT_MS = 420_000;
const CA_SECRET = { namespace: SYSTEM, name: 'istio-ca-secret' };
const ROOTS = 'istio-ca-root-cert';

let space: Space;
let client: EchoPod;

interface Certificate {
  readonly pem: string;
  readonly serialNumber: string;
  readonly validFrom: string;
  readonly expirationTime: string;
}

interface Held {
  readonly leaf: Certificate;
  readonly roots: readonly string[];
}

/** What a node's proxy holds for an account of the suite. */
async function heldBy(node: string, account: string): Promise<Held | undefined> {
  const { certificates } = (await suite.mesh.configDumpOf(node)) as {
    readonly certificates?: readonly {
      readonly identity: string;
      readonly certChain?: readonly Certificate[];
      readonly rootCerts?: readonly Certificate[];
    }[];
  };
  const identity = `spiffe://cluster.local/ns/${space.name}/sa/${account}`;
  const found = certificates?.find((one) => one.identity === identity);
  const leaf = found?.certChain?.[0];
  return leaf && { leaf, roots: (found.rootCerts ?? []).map(({ serialNumber }) => serialNumber).sort() };
}

async function bothHeld(): Promise<readonly Held[]> {
  const [first, second] = suite.nodes;
  const both = await Promise.all([heldBy(first, 'asker'), heldBy(second, 'keeper')]);
  return both.filter((held) => held !== undefined);
}

/** Serial numbers, decimal as proxies show them, of the roots that a namespace is told. */
async function announcedRoots(): Promise<readonly string[]> {
  const { data } = await suite.cluster.client.get(configMaps, { namespace: space.name, name: ROOTS });
  const pems = data?.['root-cert.pem']?.match(/-----BEGIN[\s\S]*?END CERTIFICATE-----/g) ?? [];
  return pems.map((pem) => BigInt(`0x${new X509Certificate(pem).serialNumber}`).toString()).sort();
}

function nothingLost(what: string, disturbed: Disturbed): void {
  rows.add(what, disturbed);
  expect(lost(disturbed)).toEqual([]);
}

beforeAll(async () => {
  const [first, second] = suite.nodes;
  suite.atEnd(async () => {
    await suite.mesh.setEnv('ztunnel', { SECRET_TTL: undefined });
    await suite.mesh.setEnv('istiod', { AMBIT_ROOT_OVERLAP: undefined });
  });
  await suite.mesh.setEnv('istiod', { AMBIT_ROOT_OVERLAP: `${ROOT_OVERLAP_S}s` });
  await suite.mesh.setEnv('ztunnel', { SECRET_TTL: `${LIFETIME_S}s` });
  space = await suite.space('short', 'ambient');
  await space.apply(serviceAccount(space.name, 'asker'), serviceAccount(space.name, 'keeper'));
  [client] = (await space.run(
    { name: 'client', node: first, serviceAccount: 'asker' },
    { name: 'server', node: second, serviceAccount: 'keeper' },
  )) as [EchoPod];
  await space.enrolled(true, 'client', 'server');
});
afterAll(() => rows.print());

test('certificates are renewed before they end, again and again, and nothing is lost', async () => {
  const seen = new Map<string, Certificate>();
  const disturbed = await underLoad(client, space.host('server'), async () => {
    await eventually(
      `${RENEWALS} renewals on each side`,
      async () => {
        for (const { leaf } of await bothHeld()) seen.set(leaf.serialNumber, leaf);
        return seen.size;
      },
      (count) => count >= 2 * (RENEWALS + 1),
      { timeoutMs: 120_000 },
    );
  });
  nothingLost(`${RENEWALS} renewals of each certificate`, disturbed);
  // And no more often than they must: besides, each side has its first one, and one on its way.
  const often = (2 * disturbed.tookMs) / (LIFETIME_S * 1_000 * EARLIEST_RENEWAL);
  expect(seen.size).toBeLessThanOrEqual(often + 4);
  for (const { validFrom, expirationTime } of seen.values())
    expect(Date.parse(expirationTime) - Date.parse(validFrom)).toBeLessThanOrEqual(
      (LIFETIME_S + BACKDATED_S) * 1_000,
    );
});

test(
  'the root is rotated: both are trusted for a while, the old one is gone in the end, and nothing is lost',
  async () => {
    const [old = ''] = await announcedRoots();
    const disturbed = await underLoad(client, space.host('server'), async () => {
      const annotations = { 'ambit.mesh/rotate-root': 'please' };
      await suite.cluster.client.patch(secrets, CA_SECRET, {
        type: 'merge',
        body: { metadata: { annotations } },
      });
      const both = await eventually('two roots are announced', announcedRoots, ({ length }) => length === 2, {
        timeoutMs: 60_000,
      });
      expect(both).toContain(old);
      await eventually(
        'both proxies trust both roots',
        bothHeld,
        (held) => held.length === 2 && held.every(({ roots }) => roots.join() === both.join()),
        { timeoutMs: 3 * LIFETIME_S * 1_000, everyMs: 1_000 },
      );
      const [only] = await eventually(
        'the old root is announced no more',
        announcedRoots,
        (roots) => roots.length === 1 && roots[0] !== old,
        { timeoutMs: 3 * ROOT_OVERLAP_S * 1_000, everyMs: 1_000 },
      );
      await eventually(
        'both proxies trust the new root alone',
        bothHeld,
        (held) => held.length === 2 && held.every(({ roots }) => roots.join() === only),
        { timeoutMs: 3 * LIFETIME_S * 1_000, everyMs: 1_000 },
      );
    });
    nothingLost('root rotation', disturbed);
    expect(await client.ask({ host: space.host('server') })).toMatchObject({ ok: true });
  },
  ROOT_ROTATION_TIMEOUT_MS,
);
