import { X509Certificate } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { systemClock } from '@ambit/core/clock';
import type { AuthorityMaterial } from '@ambit/identity/certificate-authority';
import { caSecretFiles } from '@ambit/identity/plugged-in-ca';
import { createIntermediate, createSelfSignedMaterial } from '@ambit/identity/self-signed-ca';
import type { KubeObject } from '@ambit/kube/resource';
import { deployments, pods, secrets } from '@ambit/kube/resources/core';
import { type Admission, whileAdmitting } from './kit/admission.ts';
import { type Disturbed, lost, Rows, say, underLoad } from './kit/disturbance.ts';
import type { EchoPod } from './kit/echo-pod.ts';
import { type Part, PARTS, SYSTEM } from './kit/mesh.ts';
import { serviceAccount } from './kit/objects.ts';
import type { Space } from './kit/space.ts';
import { useSuite } from './kit/suite.ts';
import { eventually, LED } from './kit/wait.ts';

const suite = useSuite('certificates');
const rows = new Rows();
/** The CA dates certificates back by this, for clocks that are behind. */
const BACKDATED_S = 120;
const HOUR_MS = 3_600_000;
/** Shorter than what they are dated back by, and renewed at half of what is left of them when they come. */
const LIFETIME_S = 20;
const RENEWALS = 8;
/** Of a life, the share after which the earliest renewal comes. */
const EARLIEST_RENEWAL = 0.45;
/** Longer than certificates live, and than the kubelet takes to renew a ConfigMap in a pod when it is told to look. */
const ROOT_OVERLAP_S = 30;
const ROOT_ROTATION_TIMEOUT_MS = 420_000;
/** One may be a step of a rotation behind another. */
const REPLICAS = 2;
const CA_SECRET = { namespace: SYSTEM, name: 'istio-ca-secret' };
/** Of istiod's own ports, admission among them. */
const SERVING_LIFETIME_S = 20;
/** Longer than the proxy of any node takes to learn that a replica is about to end: it is asked until then. */
const DRAIN_NOTICE_S = 10;
const OPERATORS_CA = { namespace: SYSTEM, name: 'cacerts' };
const PLUGGED_IN_TIMEOUT_MS = 420_000;
/** Whatever the kubelet takes to bring a changed Secret into a pod, and a proxy to renew. */
const REPLACED = { timeoutMs: 180_000, everyMs: 1_000 };
/** As often the kubelet is told to look, since it may not know of a change yet when it does. */
const LOOKED_AT_EVERY_MS = 3_000;

let space: Space;
let client: EchoPod;
/** Of the mesh's own authority, while the operator's signs. */
let ownRoots: readonly string[] | undefined;

interface Certificate {
  readonly pem: string;
  readonly serialNumber: string;
  readonly validFrom: string;
  readonly expirationTime: string;
}

interface Held {
  readonly leaf: Certificate;
  /** What signed it, up to the root and without it. */
  readonly behind: readonly Certificate[];
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
  const [leaf, ...behind] = found?.certChain ?? [];
  const roots = (found?.rootCerts ?? []).map(({ serialNumber }) => serialNumber).sort();
  return leaf && { leaf, behind, roots };
}

async function bothHeld(): Promise<readonly Held[]> {
  const [first, second] = suite.nodes;
  const both = await Promise.all([heldBy(first, 'asker'), heldBy(second, 'keeper')]);
  return both.filter((held) => held !== undefined);
}

/** Serial numbers, decimal as proxies show them, of the roots that a namespace is told. */
async function announcedRoots(namespace = space.name): Promise<readonly string[]> {
  const roots = await suite.mesh.rootsOf(namespace);
  const pems = roots.match(/-----BEGIN[\s\S]*?END CERTIFICATE-----/g) ?? [];
  return pems.map(serialOf).sort();
}

async function announced(roots: readonly string[]): Promise<void> {
  for (const namespace of [SYSTEM, space.name])
    await eventually(
      'the root is announced',
      () => announcedRoots(namespace),
      (now) => now.join() === roots.join(),
      LED,
    );
}

const serialOf = (pem: string) => BigInt(`0x${new X509Certificate(pem).serialNumber}`).toString();

function nothingLost(what: string, disturbed: Disturbed, besides = ''): void {
  rows.add(what, disturbed, besides);
  expect(lost(disturbed)).toEqual([]);
}

/** Nothing was answered otherwise than it has to be, and nobody distrusted. */
function nothingWrong({ wrong, distrusted }: Admission): void {
  expect([wrong, distrusted]).toEqual([[], []]);
}

const counts = ({ asked, late, shaken, served }: Admission) =>
  `admission asked ${asked} times, ${late} late; ${shaken} handshakes with ${served.size} certificates`;

/** As {@link underLoad}, with admission asked all the while, which must never fail either. */
async function disturbing(what: string, disturb: () => Promise<void>): Promise<Admission> {
  let disturbed: Disturbed | undefined;
  const admission = await whileAdmitting(suite, space.name, async () => {
    disturbed = await underLoad(client, space.host('server'), disturb);
  });
  if (!disturbed) throw new Error('nothing was done');
  nothingLost(what, disturbed, counts(admission));
  nothingWrong(admission);
  return admission;
}

/**
 * As {@link eventually}, while the kubelet is told to look at what these pods mount: it does when a pod changes, else within
 * a minute or two.
 */
async function eventuallyMounted<T>(part: Part, wait: () => Promise<T>): Promise<T> {
  const over = new AbortController();
  const telling = (async () => {
    for (let count = 0; !over.signal.aborted; count += 1) {
      const body = { metadata: { annotations: { 'ambit.e2e/looked-at': String(count) } } };
      for (const { metadata } of await suite.mesh.podsOf(part))
        await suite.cluster.client.patch(pods, metadata, { type: 'merge', body });
      await sleep(LOOKED_AT_EVERY_MS, undefined, { signal: over.signal }).catch(() => undefined);
    }
  })();
  try {
    const [value] = await Promise.all([wait().finally(() => over.abort()), telling]);
    return value;
  } finally {
    over.abort();
  }
}

beforeAll(async () => {
  const [first, second] = suite.nodes;
  const istiod = await suite.cluster.client.get(deployments, { namespace: SYSTEM, name: PARTS.istiod.name });
  const before = istiod.spec?.replicas ?? 1;
  suite.atEnd(async () => {
    // In this order: who signs is another again after the last test, and proxies look for its root when they start.
    await suite.mesh.patch('istiod', { spec: { replicas: before } }, 'merge');
    await suite.mesh.setEnv('istiod', {
      AMBIT_ROOT_OVERLAP: undefined,
      AMBIT_SERVING_CERT_TTL: undefined,
      AMBIT_DRAIN_NOTICE: undefined,
    });
    if (ownRoots) await announced(ownRoots);
    await suite.mesh.setEnv('ztunnel', { SECRET_TTL: undefined });
  });
  await suite.mesh.patch('istiod', { spec: { replicas: REPLICAS } }, 'merge');
  await Promise.all([
    suite.mesh.setEnv('istiod', {
      AMBIT_ROOT_OVERLAP: `${ROOT_OVERLAP_S}s`,
      AMBIT_SERVING_CERT_TTL: `${SERVING_LIFETIME_S}s`,
      AMBIT_DRAIN_NOTICE: `${DRAIN_NOTICE_S}s`,
    }),
    suite.mesh.setEnv('ztunnel', { SECRET_TTL: `${LIFETIME_S}s` }),
  ]);
  space = await suite.space('short', 'ambient');
  await space.apply(serviceAccount(space.name, 'asker'), serviceAccount(space.name, 'keeper'));
  [client] = (await space.run(
    { name: 'client', node: first, serviceAccount: 'asker' },
    { name: 'server', node: second, serviceAccount: 'keeper' },
  )) as [EchoPod];
  await space.enrolled(true, 'client', 'server');
});
afterAll(() => rows.print());

test(
  'the root is rotated while certificates are renewed before they end, istiod’s own too, again and again, and nothing is lost',
  async () => {
    const [old = ''] = await announcedRoots();
    const seen = new Map<string, Certificate>();
    const rotate = async () => {
      const annotations = { 'ambit.mesh/rotate-root': 'please' };
      await suite.cluster.client.patch(secrets, CA_SECRET, {
        type: 'merge',
        body: { metadata: { annotations } },
      });
      const both = await eventually(
        'two roots are announced',
        announcedRoots,
        ({ length }) => length === 2,
        LED,
      );
      expect(both).toContain(old);
      await eventuallyMounted('ztunnel', () =>
        eventually(
          'both proxies trust both roots',
          bothHeld,
          (held) => held.length === 2 && held.every(({ roots }) => roots.join() === both.join()),
          { timeoutMs: 3 * LIFETIME_S * 1_000, everyMs: 1_000 },
        ),
      );
      const [only] = await eventually(
        'the old root is announced no more',
        announcedRoots,
        (roots) => roots.length === 1 && roots[0] !== old,
        { timeoutMs: 6 * ROOT_OVERLAP_S * 1_000, everyMs: 1_000 },
      );
      await eventually(
        'both proxies trust the new root alone',
        bothHeld,
        (held) => held.length === 2 && held.every(({ roots }) => roots.join() === only),
        { timeoutMs: 3 * LIFETIME_S * 1_000, everyMs: 1_000 },
      );
    };
    const renew = () =>
      eventually(
        `${RENEWALS} renewals on each side`,
        async () => {
          for (const { leaf } of await bothHeld()) seen.set(leaf.serialNumber, leaf);
          return seen.size;
        },
        (count) => count >= 2 * (RENEWALS + 1),
        { timeoutMs: 240_000, everyMs: 500 },
      );
    const what = `root rotation, ${RENEWALS} renewals of each certificate`;
    let renewedMs = 0;
    const { served } = await disturbing(what, async () => {
      const beganMs = performance.now();
      const renewed = renew().then(() => (renewedMs = performance.now() - beganMs));
      await Promise.all([rotate(), renewed]);
    });
    // Each replica is seen more often than once in the half of a life.
    expect(served.size).toBeGreaterThanOrEqual(REPLICAS * 4);
    // And no more often than they must: besides, each side has its first one, and one on its way.
    const often = (2 * renewedMs) / (LIFETIME_S * 1_000 * EARLIEST_RENEWAL);
    expect(seen.size).toBeLessThanOrEqual(often + 4);
    for (const { validFrom, expirationTime } of seen.values())
      expect(Date.parse(expirationTime) - Date.parse(validFrom)).toBeLessThanOrEqual(
        (LIFETIME_S + BACKDATED_S) * 1_000,
      );
    await client.mustReach({ host: space.host('server') });
  },
  ROOT_ROTATION_TIMEOUT_MS,
);

/** Istio's keys, with the root at the end of the chain as its own tools put it there. */
function operatorsSecret(material: AuthorityMaterial): KubeObject {
  const files = caSecretFiles(material);
  const chain = `${files['cert-chain.pem'] ?? ''}${files['root-cert.pem'] ?? ''}`;
  const stringData = { ...files, 'cert-chain.pem': chain };
  return { apiVersion: 'v1', kind: 'Secret', metadata: OPERATORS_CA, ...{ stringData } };
}

/** Both proxies hold what this intermediate has signed, and trust its root alone. */
async function bothSignedBy({ signer, rootsPem }: AuthorityMaterial): Promise<void> {
  const [intermediate, [root = '']] = [new X509Certificate(signer.certificatePem), rootsPem];
  const isSigned = ({ leaf, behind, roots }: Held) => {
    const certificate = new X509Certificate(Buffer.from(leaf.pem, 'base64'));
    return (
      roots.join() === serialOf(root) &&
      behind.map(({ serialNumber }) => serialNumber).join() === serialOf(signer.certificatePem) &&
      certificate.verify(intermediate.publicKey) &&
      intermediate.verify(new X509Certificate(root).publicKey)
    );
  };
  await eventually(
    'both proxies hold what this intermediate signed',
    bothHeld,
    (held) => held.length === 2 && held.every(isSigned),
    REPLACED,
  );
}

test(
  'a CA of the operator’s own signs for the mesh, and another intermediate of the same root loses nothing',
  async () => {
    const before = await announcedRoots();
    const { signer } = await createSelfSignedMaterial({ organization: 'operator' }, systemClock);
    const nowMs = systemClock.now();
    const validity = { notBeforeMs: nowMs - HOUR_MS, notAfterMs: nowMs + 24 * HOUR_MS };
    const first = await createIntermediate(signer, 'first', validity);
    const second = await createIntermediate(signer, 'second', validity);
    const root = serialOf(signer.certificatePem);

    await suite.applyForNow(operatorsSecret(first));
    ownRoots = before;
    // Proxies are told of the root too late here, by which they lose istiod for a while; the API server is told before.
    const admission = await whileAdmitting(suite, space.name, async () => {
      await suite.mesh.rollOut('istiod');
      await announced([root]);
    });
    say(`\nan authority of the operator's in the place of the mesh's own: ${counts(admission)}\n`);
    nothingWrong(admission);
    expect(admission.served.size).toBeGreaterThanOrEqual(REPLICAS);
    await eventuallyMounted('ztunnel', () => bothSignedBy(first));
    await client.eventuallyReaches({ host: space.host('server') });

    const { served } = await disturbing('another intermediate of the operator’s root', async () => {
      await suite.cluster.apply(operatorsSecret(second));
      await eventuallyMounted('istiod', () => bothSignedBy(second));
    });
    expect(served.size).toBeGreaterThanOrEqual(2 * REPLICAS);
    expect(await announcedRoots()).toEqual([root]);
  },
  PLUGGED_IN_TIMEOUT_MS,
);
