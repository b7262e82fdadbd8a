import { X509Certificate } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import { systemClock } from '@ambit/core/clock';
import { silentLogger } from '@ambit/core/log';
import { Interner } from '@ambit/model/intern';
import { MeshStore } from '@ambit/model/store';
import { applyMeshDelta } from '../threads/mesh-delta.ts';
import type { ControlToWorker } from '../threads/messages.ts';
import { warmUpMessage, warmUpOnce } from './warm-up.ts';
import type { WorkerEvent } from './worker-pool.ts';

describe('the warm-up of workers', () => {
  test('is asked for once, however often there is a reason', async () => {
    const sent: ControlToWorker[] = [];
    const { promise, resolve } = Promise.withResolvers<void>();
    const send = (_: number, message: ControlToWorker) => {
      sent.push(message);
      resolve();
    };
    const workers = { size: 1, send, subscribe: () => ({ [Symbol.dispose]: () => undefined }) };
    const ask = warmUpOnce({ network: '', workers, clock: systemClock, log: silentLogger });
    ask();
    ask();
    await promise;
    ask();
    await new Promise((settled) => setImmediate(settled));
    expect(sent.map(({ kind }) => kind)).toEqual(['warm-up']);
  });

  test('is asked of one worker after another, however each says it went', async () => {
    const asked: number[] = [];
    const listeners = new Set<(event: WorkerEvent, worker: number) => void>();
    const say = (event: WorkerEvent, worker: number) => {
      for (const listener of [...listeners]) listener(event, worker);
    };
    const first = Promise.withResolvers<void>();
    const workers = {
      size: 3,
      send: (worker: number) => {
        asked.push(worker);
        first.resolve();
      },
      subscribe: (listener: (event: WorkerEvent, worker: number) => void) => {
        listeners.add(listener);
        return { [Symbol.dispose]: () => void listeners.delete(listener) };
      },
    };
    warmUpOnce({ network: '', workers, clock: systemClock, log: silentLogger })();
    await first.promise;
    say({ kind: 'mesh-applied', version: 1 }, 0);
    expect(asked).toEqual([0]);
    say({ kind: 'warmed-up' }, 0);
    expect(asked).toEqual([0, 1]);
    say({ kind: 'warmed-up' }, 1);
    say({ kind: 'warmed-up' }, 2);
    expect(asked).toEqual([0, 1, 2]);
    expect(listeners.size).toBe(0);
  });

  test('has meshes in which the pod is reached both ways, at ports that need no privilege', async () => {
    const { meshes, nodeName, targets, pod } = await warmUpMessage('net', systemClock);
    expect(meshes.length).toBeGreaterThan(1);
    const mesh = new MeshStore({ nodeName });
    const interner = new Interner();
    // Each over the one before: where the service were not known, the proxy would pass what it captures on to itself.
    for (const deltas of meshes) {
      for (const delta of deltas) applyMeshDelta(mesh, delta, interner);
      const { direct, captured } = targets;
      const service = mesh.serviceAt('net', captured.ip, undefined);
      expect([...(service?.ports ?? [])]).toEqual([[captured.port, direct.port]]);
      expect([...mesh.workloads()].map(({ addresses }) => addresses)).toEqual([[direct.ip]]);
      expect(mesh.localWorkload(pod)?.uid).toBe(mesh.workloadAt('net', direct.ip)?.uid);
    }
    for (const { port } of Object.values(targets)) expect(port).toBeGreaterThanOrEqual(1_024);
  });

  test('has an authority of its own each time, and a certificate that ends soon', async () => {
    const [first, second] = [await warmUpMessage('', systemClock), await warmUpMessage('', systemClock)];
    expect(first.certificate.identity).toBe('spiffe://warm-up.invalid/ns/warm-up/sa/warm-up');
    expect(first.certificate.rootsPem).not.toEqual(second.certificate.rootsPem);
    const leaf = new X509Certificate(first.certificate.chainPem[0] ?? '');
    expect(leaf.validToDate.getTime()).toBeLessThanOrEqual(Date.now() + 3_600_000);
  });
});
