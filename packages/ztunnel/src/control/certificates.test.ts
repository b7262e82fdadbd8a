import { generateKeyPairSync } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import { systemClock, systemRandom } from '@ambit/core/clock';
import { silentLogger } from '@ambit/core/log';
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

async function setup(prefetchNode: string | undefined, refuse = false) {
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
      if (refuse) throw new Error('not yours');
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

  test('that cannot be had are an answer to the worker that asked', async () => {
    const { workers, certificates } = await setup(undefined, true);
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
