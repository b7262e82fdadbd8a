import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { systemClock } from '@ambit/core/clock';
import { silentLogger } from '@ambit/core/log';
import { CertificateAuthority } from '@ambit/identity/certificate-authority';
import { handshake } from '@ambit/identity/testing/handshake';
import {
  clientTlsOptions,
  serverTlsOptions,
  verifyClientPeer,
  verifyServerPeer,
} from '@ambit/identity/tls-context';
import type { WorkloadCertificate } from '@ambit/identity/workload-certificate';
import { AccessSource } from '@ambit/kube/access';
import { KubeClient } from '@ambit/kube/client';
import { type Secret, secrets } from '@ambit/kube/resources/core';
import { FakeApiServer } from '@ambit/kube/testing/fake-api-server';
import { RootSecret, type RootProblem } from './root-secret.ts';
import { ROTATE_ANNOTATION } from './root-state.ts';

const HOUR_MS = 3_600_000;
const OVERLAP_MS = 24 * HOUR_MS;
/** An overlap, and two looks of a replica that is behind: a minute and a half apart at most. */
const STEP_MS = OVERLAP_MS + 2 * 90_000;
const ALICE = 'spiffe://td/ns/shop/sa/alice';
const SECRET = { namespace: 'istio-system', name: 'istio-ca-secret' };
const signal = new AbortController().signal;

async function meet(client: WorkloadCertificate, server: WorkloadCertificate): Promise<boolean> {
  const { server: seen, client: met } = await handshake({
    server: serverTlsOptions(server),
    client: clientTlsOptions(client),
    verifyClient: (socket) => verifyClientPeer(socket, ['td']),
    verifyServer: (socket) => verifyServerPeer(socket, [server.identity]),
  });
  return seen === client.identity && met === server.identity;
}

describe('a rotation of the root that an operator asked for', () => {
  let api: FakeApiServer;
  let client: KubeClient;
  let told: string[];
  let problem: RootProblem | undefined;
  let heldUp: string | undefined;
  /** Real handshakes look at the real clock: the past is where the rotation begins. */
  let nowMs = Date.now() - 4 * OVERLAP_MS;

  beforeEach(async () => {
    api = new FakeApiServer();
    told = [];
    problem = undefined;
    heldUp = undefined;
    const access = { server: new URL(await api.start()), tls: {}, headers: {}, namespace: '' };
    client = new KubeClient(new AccessSource(() => Promise.resolve(access), systemClock));
  });
  afterEach(async () => {
    client[Symbol.dispose]();
    await api[Symbol.asyncDispose]();
  });

  const clock = { ...systemClock, now: () => nowMs, sleep: () => Promise.resolve() };
  const rootSecret = (lifetimeMs: number) =>
    new RootSecret({
      client,
      ...SECRET,
      organization: 'td',
      lifetimeMs,
      overlapMs: OVERLAP_MS,
      holdUp: () => heldUp,
      clock,
      random: () => 0.5,
      log: silentLogger,
      events: { tell: (_, { metadata }, { reason }) => void told.push(`${reason} ${metadata.name}`) },
      observer: {
        problem: (one) => {
          problem = one;
        },
        writtenBack: () => void told.push('counted'),
      },
    });

  async function replica(lifetimeMs = 87_600 * HOUR_MS) {
    const secret = rootSecret(lifetimeMs);
    const authority = new CertificateAuthority(await secret.load(signal), { clock });
    let changes = 0;
    return {
      look: () => secret.look(authority, () => (changes += 1), signal),
      changes: () => changes,
      signer: () => authority.material.signer.certificatePem,
      roots: () => authority.material.rootsPem,
      /** Lives until after the test: what is looked at is who believes it, not when it ends. */
      leaf: () => authority.issueWorkload(ALICE, 30 * OVERLAP_MS),
    };
  }

  const annotate = () =>
    client.patch(secrets, SECRET, {
      type: 'merge',
      body: { metadata: { annotations: { [ROTATE_ANNOTATION]: 'now' } } },
    });
  const stored = () => client.get(secrets, SECRET, signal);
  const phaseOf = ({ data }: Secret) => data?.['root-phase'] && atob(data['root-phase']);

  test('certificates of neighbouring steps accept each other, whichever replica signed', async () => {
    const [first, second] = [await replica(), await replica()];
    const oldRoot = first.signer();
    const before = await first.leaf();

    await first.look();
    expect([first.changes(), phaseOf(await stored())]).toEqual([0, undefined]);

    await annotate();
    await first.look();
    expect(phaseOf(await stored())).toBe('announced');
    expect((await stored()).metadata.annotations).not.toHaveProperty(ROTATE_ANNOTATION);
    expect([first.signer(), first.roots()[0], first.roots().length]).toEqual([oldRoot, oldRoot, 2]);
    // The second has not looked yet: it signs as ever, and is believed by all.
    const announced = await first.leaf();
    expect(await meet(before, announced)).toBe(true);
    expect(await meet(announced, await second.leaf())).toBe(true);
    await second.look();
    expect(second.roots()).toEqual(first.roots());

    nowMs += STEP_MS - 1;
    await first.look();
    expect(first.signer()).toBe(oldRoot);
    nowMs += 1;
    await second.look();
    expect(phaseOf(await stored())).toBe('overlapping');
    const switched = await second.leaf();
    expect(second.signer()).not.toBe(oldRoot);
    // Both ways between every two that may exist at this time.
    for (const [a, b] of [
      [announced, switched],
      [switched, announced],
      [switched, await first.leaf()],
      [await first.leaf(), switched],
    ] as const)
      expect(await meet(a, b)).toBe(true);
    await first.look();
    expect([first.signer(), first.roots()]).toEqual([second.signer(), second.roots()]);

    nowMs += STEP_MS;
    await first.look();
    await second.look();
    expect(phaseOf(await stored())).toBeUndefined();
    expect(first.roots()).toEqual([first.signer()]);
    expect(second.roots()).toEqual(first.roots());
    const after = await second.leaf();
    expect(await meet(switched, after)).toBe(true);
    expect(await meet(after, switched)).toBe(true);
    // Whoever held on to the old root alone is no part of the mesh any more.
    expect(await meet(before, after)).toBe(false);
    expect(Object.keys((await stored()).data ?? {})).not.toContain('next-ca-key.pem');
  });

  test('a restart in the middle goes on where it was; two replicas at once take one step', async () => {
    const first = await replica();
    await annotate();
    await Promise.all([first.look(), (await replica()).look(), (await replica()).look()]);
    const restarted = await replica();
    await first.look();
    expect(restarted.roots()).toHaveLength(2);
    expect(restarted.roots()).toEqual(first.roots());
    nowMs += STEP_MS;
    await restarted.look();
    const again = await replica();
    expect(again.signer()).toBe(restarted.signer());
    expect(again.signer()).toBe(first.roots()[1]);
  });

  test('a root that would end before the next one signs is renewed, and signs until then', async () => {
    const lifetimeMs = 4 * OVERLAP_MS;
    const only = await replica(lifetimeMs);
    const [endsMs, oldRoot] = [nowMs + lifetimeMs, only.signer()];
    nowMs += 0.79 * lifetimeMs;
    await annotate();
    await only.look();
    nowMs += 0.02 * lifetimeMs;
    await only.look();
    expect([phaseOf(await stored()), only.roots().length]).toEqual(['announced', 2]);
    const renewed = only.signer();
    expect(renewed).not.toBe(oldRoot);
    nowMs = endsMs + 60_000;
    await only.look();
    expect([phaseOf(await stored()), only.signer()]).toEqual(['announced', renewed]);
    expect((await only.leaf()).notAfterMs).toBeGreaterThan(nowMs);
    nowMs += STEP_MS;
    await only.look();
    expect([phaseOf(await stored()), only.roots()]).toEqual(['overlapping', [only.signer(), renewed]]);
  });

  test('the new root does not sign while it is held up, and all else goes on; it does at the first look after', async () => {
    const only = await replica();
    const oldRoot = only.signer();
    await annotate();
    await only.look();
    heldUp = 'its caBundle lacks it';
    expect([problem, told]).toEqual([undefined, []]);
    for (let step = 0; step < 2; step++) {
      nowMs += STEP_MS;
      await only.look();
      expect([phaseOf(await stored()), only.signer(), only.roots().length]).toEqual([
        'announced',
        oldRoot,
        2,
      ]);
    }
    expect([problem, told[0]]).toEqual(['held-up', 'RootProblem istio-ca-secret']);
    heldUp = undefined;
    await only.look();
    expect([phaseOf(await stored()), problem]).toEqual(['overlapping', undefined]);
    expect(only.signer()).not.toBe(oldRoot);
  });

  test('a second wish waits until the first is done', async () => {
    const only = await replica();
    await annotate();
    await only.look();
    await annotate();
    await only.look();
    expect(only.roots()).toHaveLength(2);
    for (let step = 0; step < 2; step++) {
      nowMs += STEP_MS;
      await only.look();
    }
    expect(only.roots()).toHaveLength(1);
    await only.look();
    expect([phaseOf(await stored()), only.roots().length]).toEqual(['announced', 2]);
  });

  describe('the Secret is no longer what it was', () => {
    const spoil = async (files: Readonly<Record<string, string>>) => {
      const secret = await stored();
      const data = Object.fromEntries(Object.entries(files).map(([name, text]) => [name, btoa(text)]));
      api.put('/api/v1/secrets', { ...secret, data: { ...secret.data, ...data } } as Secret);
    };

    test.each([
      ['its certificate', { 'next-ca-cert.pem': 'nonsense' }],
      ['its key', { 'next-ca-key.pem': 'nonsense' }],
      ['no key', { 'next-ca-key.pem': '' }],
      ['no certificate', { 'next-ca-cert.pem': '' }],
    ])(
      'the next root cannot be read (%s): the current one signs on, and a new wish begins anew',
      async (_, files) => {
        const first = await replica();
        const oldRoot = first.signer();
        await annotate();
        await first.look();
        const announced = first.roots();
        await spoil(files);
        nowMs += STEP_MS;
        await first.look();
        const restarted = await replica();
        expect([restarted.signer(), restarted.roots()]).toEqual([oldRoot, announced]);
        expect([first.signer(), first.roots()]).toEqual([oldRoot, announced]);
        expect([problem, told]).toEqual([
          'next-unreadable',
          ['RootProblem istio-ca-secret', 'RootProblem istio-ca-secret'],
        ]);
        await annotate();
        await first.look();
        await first.look();
        expect([problem, phaseOf(await stored()), first.roots().length]).toEqual([undefined, 'announced', 3]);
        for (let step = 0; step < 2; step += 1) {
          nowMs += STEP_MS;
          await first.look();
        }
        expect(first.roots()).toEqual([first.signer()]);
        expect(first.signer()).not.toBe(oldRoot);
      },
    );

    test('it was deleted: whoever looks first writes it back, in the middle of a rotation too', async () => {
      const [first, second] = [await replica(), await replica()];
      await annotate();
      await first.look();
      await second.look();
      api.remove('/api/v1/secrets', SECRET.namespace, SECRET.name);
      await Promise.all([first.look(), second.look()]);
      expect(told.toSorted()).toEqual(['RootWrittenBack istio-ca-secret', 'counted']);
      const restarted = await replica();
      expect([restarted.signer(), restarted.roots()]).toEqual([first.signer(), first.roots()]);
      nowMs += STEP_MS;
      await restarted.look();
      expect([phaseOf(await stored()), restarted.signer()]).toEqual(['overlapping', first.roots()[1]]);
    });

    test('it cannot be written back: what is known signs on, and that is told until it can', async () => {
      const only = await replica();
      const root = only.signer();
      api.remove('/api/v1/secrets', SECRET.namespace, SECRET.name);
      api.intercept = (method) => (method === 'POST' ? { status: 403, body: { message: 'no' } } : undefined);
      await expect(only.look()).rejects.toThrow('no');
      expect([problem, only.signer(), told]).toEqual(['gone', root, []]);
      api.intercept = undefined;
      await only.look();
      expect([problem, (await replica()).signer()]).toEqual([undefined, root]);
    });

    test('the root itself cannot be read: it is left as it is, and what is known signs on', async () => {
      const only = await replica();
      const root = only.signer();
      await spoil({ 'ca-cert.pem': 'nonsense' });
      for (let look = 0; look < 2; look += 1) await expect(only.look()).rejects.toThrow('ca-cert.pem');
      expect([problem, only.signer(), told]).toEqual(['unreadable', root, ['RootProblem istio-ca-secret']]);
      expect((await stored()).data?.['ca-cert.pem']).toBe(btoa('nonsense'));
    });
  });
});
