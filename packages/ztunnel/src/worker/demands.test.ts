import { describe, expect, jest, test } from '@jest/globals';
import { FakeClock } from '@ambit/core/testing/fake-clock';
import type { RouteRequest } from '@ambit/model/decide/route';
import { Interner } from '@ambit/model/intern';
import { readLocalMesh } from '@ambit/model/local-file';
import { MeshStore } from '@ambit/model/store';
import { Demands } from './demands.ts';
import { MAX_MESH_WAITS } from '@ambit/model/limits';
import { DEMAND_WAIT_MS } from './limits.ts';
import { MeshWaits } from '@ambit/model/mesh-waits';

const KEY = '/10.0.0.9';
const workload = (name: string, ip: string) =>
  `{uid: ${name}, name: ${name}, namespace: shop, serviceAccount: a, workloadIps: [${ip}], services: {}}`;

function setUp() {
  const clock = new FakeClock();
  const mesh = new MeshStore({ nodeName: '' });
  const waits = new MeshWaits(mesh, clock);
  const asked: string[] = [];
  const demands = new Demands(mesh, waits, (key) => void asked.push(key));
  const tell = (one: string) => mesh.apply(readLocalMesh(`workloads: [${one}]`, 'test', new Interner()));
  tell(workload('alice', '10.0.0.1'));
  const source = mesh.workloadByUid('alice');
  if (!source) throw new Error('no alice');
  const request: RouteRequest = {
    source,
    sourceIp: '10.0.0.1',
    target: { ip: '10.0.0.9', port: 80 },
    network: '',
  };
  return { clock, waits, asked, demands, tell, request };
}

describe('an address asked for on demand', () => {
  test('is waited for', async () => {
    const { demands, asked, tell, request } = setUp();
    const asking = demands.forRoute(request);
    tell(workload('bob', '10.0.0.9'));
    await asking;
    expect(asked).toEqual([KEY]);
  });

  test('is not asked for again once it was answered with nothing', async () => {
    const { demands, asked, request } = setUp();
    const asking = demands.forRoute(request);
    demands.answeredWithNothing([KEY]);
    await asking;
    await demands.forRoute(request);
    expect(asked).toEqual([KEY]);
  });

  test('without an answer leads nowhere, and is asked for anew', async () => {
    const { clock, demands, asked, tell, request } = setUp();
    const refused = expect(demands.forRoute(request)).rejects.toThrow(
      `no answer from the control plane about ${KEY}`,
    );
    await clock.advance(DEMAND_WAIT_MS);
    await refused;
    const asking = demands.forRoute(request);
    tell(workload('bob', '10.0.0.9'));
    await asking;
    expect(asked).toEqual([KEY, KEY]);
  });

  test('is asked for anew after a wait that ended by a fault', async () => {
    const { waits, demands, asked, tell, request } = setUp();
    const broken = jest.spyOn(waits, 'until').mockRejectedValueOnce(new TypeError('nobody thought of it'));
    await expect(demands.forRoute(request)).rejects.toThrow('nobody thought of it');
    broken.mockRestore();
    const asking = demands.forRoute(request);
    tell(workload('bob', '10.0.0.9'));
    await asking;
    expect(asked).toEqual([KEY, KEY]);
  });

  test('leads nowhere when too many wait', async () => {
    const { waits, demands, request } = setUp();
    for (let i = 0; i < MAX_MESH_WAITS; i++) void waits.until(() => undefined, DEMAND_WAIT_MS);
    await expect(demands.forRoute(request)).rejects.toThrow('no answer');
    await expect(demands.forRoute(request)).rejects.toThrow('no answer');
  });
});
