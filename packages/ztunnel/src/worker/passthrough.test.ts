import { closeSync } from 'node:fs';
import { afterEach, expect, test } from '@jest/globals';
import { systemClock } from '@ambit/core/clock';
import { freePort } from '@ambit/core/testing/free-port';
import { adoptConnection } from '@ambit/http/transport/native';
import { Interner } from '@ambit/model/intern';
import { readLocalMesh } from '@ambit/model/local-file';
import { MeshStore } from '@ambit/model/store';
import { acceptWaiting, listenTcp } from '@ambit/linux/sockets';
import { OPTIONS } from '../testing/worker-network.ts';
import { PassthroughConnection } from './passthrough.ts';
import type { Pod } from './pod.ts';
import { PodSockets } from './sockets.ts';
import { TrafficCounters } from './traffic-counters.ts';

const MESH = `
workloads:
  - {uid: web, name: web, namespace: shop, serviceAccount: web, workloadIps: [127.0.0.1], services: {}}
`;
const sockets = new PodSockets(undefined, { ...OPTIONS, packetMark: undefined }, false, () => 0.5);
const open: number[] = [];
afterEach(() => {
  for (const fd of open.splice(0)) closeSync(fd);
});

/** A listener that takes connections when it is told to. */
async function listener(
  backlog: number,
): Promise<{ readonly fd: number; readonly ip: string; readonly port: number }> {
  const port = await freePort();
  const { fd } = listenTcp({ ip: '127.0.0.1', port, backlog });
  open.push(fd);
  return { fd, ip: '127.0.0.1', port };
}

/** A pod with something wrong in what a connection needs once it is made. */
function brokenPod(connect: () => number): { readonly pod: Pod; readonly faults: unknown[] } {
  const mesh = new MeshStore({ nodeName: '' });
  mesh.apply(readLocalMesh(MESH, 'test', new Interner()));
  const faults: unknown[] = [];
  const connections = new Set<unknown>();
  const pod = {
    connections,
    workload: mesh.workloadByUid('web'),
    sockets: { connectFrom: connect },
    get budget(): never {
      throw new TypeError('nobody thought of it');
    },
    tellFault: (error: unknown) => void faults.push(error),
    ended: (connection: unknown) => void connections.delete(connection),
    worker: {
      mesh,
      options: OPTIONS,
      clock: systemClock,
      route: { illegalPorts: new Set() },
      counters: new TrafficCounters(),
      accessLog: { wants: () => false },
      verdictLog: { enabled: () => false },
    },
  };
  return { pod: pod as unknown as Pod, faults };
}

test.each([
  ['at once', 8],
  ['later', 0],
])('a fault when the application is connected ends that connection: %s', async (_, backlog) => {
  const application = await listener(backlog);
  // The only place in the queue.
  if (backlog === 0) open.push(sockets.connect(application));
  const proxy = await listener(8);
  open.push(sockets.connect(proxy));
  const handle = adoptConnection(acceptWaiting(proxy.fd) ?? -1);
  if (!handle) throw new Error('no connection');
  const { pod, faults } = brokenPod(() => sockets.connect(application));
  const connection = new PassthroughConnection(pod, handle);
  connection.start();
  expect(connection.isEnded).toBe(backlog > 0);
  const taken = acceptWaiting(application.fd);
  if (taken !== undefined) open.push(taken);
  for (let i = 0; i < 2_500 && !connection.isEnded; i++) await systemClock.sleep(10);
  expect([connection.isEnded, faults, pod.connections.size]).toEqual([
    true,
    [new TypeError('nobody thought of it')],
    0,
  ]);
});
