import { generateKeyPairSync } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import { type Clock, systemClock, systemRandom } from '@ambit/core/clock';
import { silentLogger } from '@ambit/core/log';
import { FakeClock } from '@ambit/core/testing/fake-clock';
import { CertificateStore } from '@ambit/identity/certificate-store';
import { Interner } from '@ambit/model/intern';
import { readLocalMesh } from '@ambit/model/local-file';
import { MeshStore } from '@ambit/model/store';
import { FakeWorker } from '../testing/fake-worker.ts';
import { Certificates } from './certificates.ts';
import { WorkerPool } from './worker-pool.ts';

const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const settled = () => new Promise((resolve) => setTimeout(resolve, 5));
const A = 'spiffe://td/ns/ns/sa/a';
const B = 'spiffe://td/ns/ns/sa/b';

async function setup(
  prefetchNode: string | undefined,
  fate: 'given' | 'refused' | 'never' = 'given',
  clock: Clock = systemClock,
) {
  const workers = [new FakeWorker(), new FakeWorker()];
  const pool = new WorkerPool({
    count: 2,
    spawn: (index) => workers[index] ?? new FakeWorker(),
    onDeath: () => undefined,
    clock: systemClock,
    log: silentLogger,
  });
  await pool.start();
  const store = new CertificateStore({
    fetch: async (identity) => {
      if (fate === 'never') await new Promise(() => undefined);
      if (fate === 'refused') throw new Error('not yours');
      const now = Date.now();
      const dates = { notBeforeMs: now, notAfterMs: now + 3_600_000 };
      return { identity, chainPem: ['chain'], rootsPem: ['root'], privateKey, serial: '1', ...dates };
    },
    clock: systemClock,
    random: systemRandom,
    log: silentLogger,
  });
  const mesh = new MeshStore({ nodeName: 'n1' });
  const used = new Set<string>();
  const certificates = new Certificates({
    store,
    mesh,
    workers: pool,
    prefetchNode,
    podUses: (_, serviceAccount) => used.has(serviceAccount),
    clock,
    log: silentLogger,
  });
  const put = (name: string, serviceAccount: string, node: string, protocol = 'HBONE') => {
    const yaml = `workloads: [{uid: ${name}, name: ${name}, namespace: ns, serviceAccount: ${serviceAccount}, trustDomain: td, node: ${node}, protocol: ${protocol}, workloadIps: [], services: {}}]`;
    mesh.apply(readLocalMesh(yaml, 'f', new Interner()));
  };
  return { workers, certificates, mesh, put, used, store };
}

describe('certificates', () => {
  test('that a worker asks for go to every worker, with their key', async () => {
    const { workers } = await setup(undefined);
    workers[0]?.say({ kind: 'need-certificate', identity: A });
    await settled();
    expect(workers[1]?.heard).toEqual([`certificate ${A}`]);
    const [message] = workers[1]?.received ?? [];
    expect(message?.kind === 'certificate' && message.privateKey.equals(privateKey)).toBe(true);
  });

  test('are waited for, and where there is none, it is said why', async () => {
    const had = await setup(undefined);
    await had.certificates.available(A, new AbortController().signal);
    const refused = await setup(undefined, 'refused');
    await expect(refused.certificates.available(A, new AbortController().signal)).rejects.toThrow(
      `no certificate for ${A}: not yours`,
    );
    // It is known now, and nobody waits for the next try.
    await expect(refused.certificates.available(A, new AbortController().signal)).rejects.toThrow(
      'not yours',
    );
  });

  test('that do not come are waited for once', async () => {
    const { certificates, store } = await setup(undefined, 'never');
    const early = AbortSignal.timeout(1);
    await expect(certificates.available(A, early)).rejects.toThrow(
      `no certificate for ${A}: the CA has not answered yet`,
    );
    await expect(certificates.available(A, new AbortController().signal)).rejects.toThrow(
      'the CA has not answered yet',
    );
    // Whoever is new is waited for anew.
    store.forget(A);
    await expect(certificates.available(A, AbortSignal.timeout(1))).rejects.toThrow('not answered yet');
  });

  test('that never came are asked for a while longer when their last pod has left', async () => {
    const clock = new FakeClock();
    const { certificates, store, used } = await setup(undefined, 'never', clock);
    const pod = { uid: 'u', name: 'w', namespace: 'ns', serviceAccount: 'a' };
    for (const isBack of [true, false]) {
      used.add('a');
      certificates.podComing(A);
      used.delete('a');
      certificates.podLeft(pod);
      await clock.advance(15_000);
      expect(store.states()).toHaveLength(1);
      if (isBack) used.add('a');
      await clock.advance(15_000);
      expect(store.states()).toHaveLength(isBack ? 1 : 0);
    }
    certificates[Symbol.dispose]();
  });

  test('that cannot be had are an answer to the worker that asked', async () => {
    const { workers, certificates } = await setup(undefined, 'refused');
    workers[0]?.say({ kind: 'need-certificate', identity: A });
    while (workers[0]?.heard.length === 0) await systemClock.sleep(10); // the store tries again first
    expect(workers[0]?.heard).toEqual([`certificate-failed ${A}: no certificate for ${A}: not yours`]);
    expect(workers[1]?.heard).toEqual([]);
    expect(certificates.states()[0]?.state).toContain('Unavailable: ');
  });

  test('of workloads on this node are asked for before anybody needs them', async () => {
    const { workers, put } = await setup('n1');
    put('w1', 'a', 'n1');
    put('w2', 'b', 'n2');
    put('w3', 'c', 'n1', 'TCP');
    await settled();
    expect(workers[0]?.heard).toEqual([`certificate ${A}`]);
  });

  test('are not prefetched for one workload alone', async () => {
    const { workers, put } = await setup(undefined);
    put('w1', 'a', 'n1');
    await settled();
    expect(workers[0]?.heard).toEqual([]);
  });

  test('are forgotten with the last workload and the last pod that used them', async () => {
    const { mesh, put, used, store, certificates } = await setup('n1');
    put('w1', 'a', 'n1');
    put('w2', 'a', 'n1');
    put('w3', 'b', 'n1');
    await settled();
    mesh.apply({ removedAddresses: ['w1'] });
    put('w3', 'b', 'n1');
    expect(store.states().map(({ identity }) => identity)).toEqual([A, B]);
    used.add('a');
    mesh.apply({ removedAddresses: ['w2'] });
    expect(store.states()).toHaveLength(2);
    used.delete('a');
    certificates.podLeft({ uid: 'u', name: 'w2', namespace: 'ns', serviceAccount: 'a' });
    expect(store.states().map(({ identity }) => identity)).toEqual([B]);
  });
});
