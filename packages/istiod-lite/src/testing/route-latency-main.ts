#!/usr/bin/env node
/**
 * Measures what one changed route costs: fake API server, real control plane, one real xDS client for each waypoint, one
 * process, loopback. `node route-latency-main.ts [routes] [services] [waypoints]` prints the percentiles, how many clients
 * heard of a change, and how many bytes it was.
 */
import { WAYPOINT_RESOURCE_KINDS, waypointTypeUrl } from '@ambit/api/waypoint';
import { ADDRESS_TYPE_URL } from '@ambit/api/workload';
import { systemClock, systemRandom } from '@ambit/core/clock';
import { silentLogger } from '@ambit/core/log';
import { until } from '@ambit/core/watch';
import { AccessSource } from '@ambit/kube/access';
import { KubeClient } from '@ambit/kube/client';
import type { KubeObject } from '@ambit/kube/resource';
import { FakeApiServer } from '@ambit/kube/testing/fake-api-server';
import { DeltaXdsClient } from '@ambit/xds/client';
import { startControlPlane } from '../app.ts';
import { configFrom } from '../config.ts';
import { ANY_PORTS } from './any-ports.ts';

const GATEWAY_API = '/apis/gateway.networking.k8s.io/v1';
const [routeCount = 1_000, serviceCount = 200, waypointCount = 10] = process.argv.slice(2).map(Number);
const CHANGES = 500;

const waypointOf = (service: number) => service % waypointCount;
const serviceOf = (route: number) => route % serviceCount;
const gateway = (i: number) => ({
  metadata: { namespace: 'shop', name: `w${i}` },
  status: { addresses: [{ type: 'Hostname', value: `w${i}.shop.svc.cluster.local` }] },
});
const service = (i: number) => ({
  metadata: { namespace: 'shop', name: `s${i}`, labels: { 'istio.io/use-waypoint': `w${waypointOf(i)}` } },
  spec: { clusterIPs: [`172.16.${i >> 8}.${i & 255}`], selector: { app: `s${i}` }, ports: [{ port: 80 }] },
});
const route = (i: number, revision: number) => ({
  metadata: { namespace: 'shop', name: `r${i}`, generation: revision },
  spec: {
    parentRefs: [{ group: '', kind: 'Service', name: `s${serviceOf(i)}` }],
    rules: [
      {
        matches: [{ path: { type: 'PathPrefix', value: `/r${i}/${revision}` } }],
        backendRefs: [{ name: `s${serviceOf(i)}`, port: 80 }],
      },
    ],
  },
});

await using scope = new AsyncDisposableStack();
const api = scope.use(new FakeApiServer());
const url = new URL(await api.start());
const put = (path: string, object: object) => api.put(path, object as KubeObject);
for (let i = 0; i < waypointCount; i++) put(`${GATEWAY_API}/gateways`, gateway(i));
for (let i = 0; i < serviceCount; i++) put('/api/v1/services', service(i));
for (let i = 0; i < routeCount; i++) put(`${GATEWAY_API}/httproutes`, route(i, 0));
const client = scope.use(
  new KubeClient(
    new AccessSource(
      () => Promise.resolve({ server: url, tls: {}, headers: {}, namespace: '' }),
      systemClock,
    ),
  ),
);
const never = new AbortController().signal;
const config = configFrom({
  ...ANY_PORTS,
  // Writing statuses is another matter.
  AMBIENT_ENABLE_STATUS: 'false',
});
const startedMs = performance.now();
const deps = { client, version: 'bench', clock: systemClock, random: systemRandom, log: silentLogger };
const plane = scope.use(await startControlPlane(config, deps, never));
console.log(
  `started with ${routeCount} routes, ${serviceCount} services, ${waypointCount} waypoints in ${(performance.now() - startedMs).toFixed(0)} ms`,
);

let arrived: ((waypoint: number, names: readonly string[]) => void) | undefined;
let bytes = 0;
const connectMs = performance.now();
for (let w = 0; w < waypointCount; w++) {
  const handler = (typeUrl: string) => ({
    typeUrl,
    onDemand: false,
    apply: ({ upserts }: { readonly upserts: readonly { readonly name: string }[] }) => {
      arrived?.(
        w,
        upserts.map(({ name }) => name),
      );
      return [];
    },
  });
  const xds = scope.use(
    new DeltaXdsClient({
      address: `127.0.0.1:${plane.ports.plaintext}`,
      channel: () => Promise.resolve(undefined),
      headers: () => Promise.resolve({}),
      node: {
        id: `waypoint~10.0.0.1~w${w}-0.shop~shop.svc.cluster.local`,
        cluster: '',
        metadata: { GATEWAY_NAME: `w${w}`, NAMESPACE: 'shop' },
      },
      types: [ADDRESS_TYPE_URL, ...WAYPOINT_RESOURCE_KINDS.map(waypointTypeUrl)].map(handler),
      observer: {
        received: (_, size) => {
          bytes += size;
        },
      },
      clock: systemClock,
      random: systemRandom,
      log: silentLogger,
    }),
  );
  await xds.start(never);
  await until(xds.synced, Boolean, never);
}
console.log(`all waypoints in sync after ${(performance.now() - connectMs).toFixed(0)} ms, ${bytes} bytes`);

const latenciesMs: number[] = [];
let heard = 0;
bytes = 0;
for (let n = 0; n < CHANGES; n++) {
  const i = (n * 37) % routeCount;
  const wanted = `HTTPRoute/shop/r${i}`;
  const seen = new Promise<void>((resolve) => {
    arrived = (waypoint, names) => {
      heard += 1;
      if (waypoint === waypointOf(serviceOf(i)) && names.length === 1 && names[0] === wanted) resolve();
    };
  });
  const changedMs = performance.now();
  put(`${GATEWAY_API}/httproutes`, route(i, n + 1));
  await seen;
  latenciesMs.push(performance.now() - changedMs);
  await systemClock.sleep(2);
}
latenciesMs.sort((a, b) => a - b);
const percentile = (share: number) => (latenciesMs[Math.floor(latenciesMs.length * share)] ?? 0).toFixed(2);
console.log(
  `changed route → waypoint, ${CHANGES} changes: p50 ${percentile(0.5)} ms, p99 ${percentile(0.99)} ms, max ${percentile(0.999)} ms`,
);
console.log(`responses per change: ${heard / CHANGES}; bytes per change: ${(bytes / CHANGES).toFixed(0)}`);
console.log(`resident memory, fake API server included: ${(process.memoryUsage().rss / 1e6).toFixed(0)} MB`);
await plane.stop();
await scope.disposeAsync();
process.exit(0);
