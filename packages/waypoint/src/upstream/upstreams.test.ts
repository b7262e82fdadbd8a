import { describe, expect, test } from '@jest/globals';
import { silentLogger } from '@ambit/core/log';
import { systemRandom } from '@ambit/core/clock';
import { Names } from '@ambit/core/names';
import { FakeClock } from '@ambit/core/testing/fake-clock';
import { meshOf, workloadNamed } from '@ambit/model/testing/mesh-file';
import { FLEETING_DESTINATIONS, FLEETING_KEPT_MS } from '../limits.ts';
import { ResourceStore } from '../resources/store.ts';
import type { Connector } from './connector.ts';
import { Upstreams } from './upstreams.ts';

const UID = 'Kubernetes//Pod/shop/web-0';

function upstreamsWith(clock: FakeClock) {
  const mesh = meshOf(`
workloads:
- {uid: ${UID}, name: web-0, namespace: shop, serviceAccount: web, workloadIps: [10.0.0.1], services: {}}
`);
  const workload = workloadNamed(mesh, UID);
  const upstreams = new Upstreams({
    mesh,
    resources: new ResourceStore({ namespace: 'shop', gatewayName: 'waypoint' }),
    connector: {} as Connector,
    names: new Names(clock),
    outside: { names: new Names(clock), mayBeAsked: () => true },
    clock,
    self: () => workload,
    random: systemRandom,
    log: silentLogger,
  });
  const use = (port: number) => {
    const address = { ip: '10.0.0.1', port };
    const cluster = upstreams.workload({ kind: 'workload', workload, address, port, protocol: undefined });
    const endpoint = cluster.pick({ hash: undefined, avoid: new Set(), random: systemRandom, address });
    if (endpoint instanceof Error) throw endpoint;
    return { cluster, endpoint };
  };
  return { upstreams, use, count: () => [...upstreams.clusters()].length };
}

describe('ports of a workload, which clients name', () => {
  test('are forgotten when nobody uses them', async () => {
    const clock = new FakeClock();
    const { upstreams, use, count } = upstreamsWith(clock);
    const busy = use(1);
    busy.endpoint.activeRequests += 1;
    for (let port = 2; port < 100; port++) use(port);
    expect(count()).toBe(99);
    await clock.advance(FLEETING_KEPT_MS / 2);
    use(50);
    await clock.advance(FLEETING_KEPT_MS / 2 + 5_000);
    expect(count()).toBe(2);
    expect(use(1).cluster).toBe(busy.cluster);
    busy.endpoint.activeRequests -= 1;
    await clock.advance(FLEETING_KEPT_MS * 2);
    expect(count()).toBe(0);
    upstreams[Symbol.dispose]();
  });

  test('are never kept in any number, however fast they are named', () => {
    const { upstreams, use, count } = upstreamsWith(new FakeClock());
    let most = 0;
    for (let port = 1; port < 3 * FLEETING_DESTINATIONS; port++) {
      use(port);
      most = Math.max(most, count());
    }
    expect(most).toBeLessThanOrEqual(FLEETING_DESTINATIONS + 1);
    upstreams[Symbol.dispose]();
  });
});
