#!/usr/bin/env node
/**
 * Measures how long a write takes to reach a proxy: fake API server, real control plane, one real xDS client, one
 * process, loopback. `node push-latency-main.ts [pods] [services]` prints the percentiles and the memory.
 */
import { AUTHORIZATION_TYPE_URL } from '@ambit/api/authorization';
import { ADDRESS_TYPE_URL } from '@ambit/api/workload';
import { systemClock, systemRandom } from '@ambit/core/clock';
import { silentLogger } from '@ambit/core/log';
import { until } from '@ambit/core/watch';
import { AccessSource } from '@ambit/kube/access';
import { KubeClient } from '@ambit/kube/client';
import { FakeApiServer } from '@ambit/kube/testing/fake-api-server';
import { DeltaXdsClient } from '@ambit/xds/client';
import { startControlPlane } from '../app.ts';
import { configFrom } from '../config.ts';
import { ANY_PORTS } from './any-ports.ts';

const PODS = '/api/v1/pods';
const [podCount = 10_000, serviceCount = 1_000] = process.argv.slice(2).map(Number);
const WRITES = 500;

const pod = (i: number, revision: number) => ({
  metadata: {
    namespace: `ns-${i % 50}`,
    name: `pod-${i}`,
    labels: { app: `app-${i % serviceCount}`, version: `v${revision}` },
  },
  spec: { nodeName: `node-${i % 100}`, serviceAccountName: 'default' },
  status: {
    phase: 'Running',
    podIPs: [{ ip: `10.${(i >> 16) & 255}.${(i >> 8) & 255}.${i & 255}` }],
    conditions: [{ type: 'Ready', status: 'True' }],
  },
});
const service = (i: number) => ({
  metadata: { namespace: `ns-${i % 50}`, name: `svc-${i}` },
  spec: { clusterIPs: [`172.16.${i >> 8}.${i & 255}`], selector: { app: `app-${i}` }, ports: [{ port: 80 }] },
});

await using scope = new AsyncDisposableStack();
const api = scope.use(new FakeApiServer());
const url = new URL(await api.start());
for (let i = 0; i < podCount; i++) api.put(PODS, pod(i, 0));
for (let i = 0; i < serviceCount; i++) api.put('/api/v1/services', service(i));
const source = new AccessSource(
  () => Promise.resolve({ server: url, tls: {}, headers: {}, namespace: '' }),
  systemClock,
);
const client = scope.use(new KubeClient(source));
const deps = { client, version: 'bench', clock: systemClock, random: systemRandom, log: silentLogger };

const startedMs = performance.now();
const never = new AbortController().signal;
const plane = scope.use(await startControlPlane(configFrom(ANY_PORTS), deps, never));
console.log(
  `started with ${podCount} pods, ${serviceCount} services in ${(performance.now() - startedMs).toFixed(0)} ms`,
);

let arrived: ((names: readonly string[]) => void) | undefined;
const handler = (typeUrl: string) => ({
  typeUrl,
  onDemand: false,
  apply: ({ upserts }: { readonly upserts: readonly { readonly name: string }[] }) => {
    arrived?.(upserts.map(({ name }) => name));
    return [];
  },
});
const xds = new DeltaXdsClient({
  address: `127.0.0.1:${plane.ports.plaintext}`,
  channel: () => Promise.resolve(undefined),
  headers: () => Promise.resolve({}),
  node: { id: 'ztunnel~10.0.0.1~z.ns~ns.svc.cluster.local', cluster: '', metadata: {} },
  types: [handler(ADDRESS_TYPE_URL), handler(AUTHORIZATION_TYPE_URL)],
  clock: systemClock,
  random: systemRandom,
  log: silentLogger,
});
scope.use(xds);
const connectMs = performance.now();
await xds.start(never);
await until(xds.synced, Boolean, never);
console.log(`first client in sync after ${(performance.now() - connectMs).toFixed(0)} ms`);

const latenciesMs: number[] = [];
for (let n = 0; n < WRITES; n++) {
  const i = (n * 37) % podCount;
  const wanted = `Kubernetes//Pod/ns-${i % 50}/pod-${i}`;
  const seen = new Promise<void>((resolve) => {
    arrived = (names) => names.includes(wanted) && resolve();
  });
  const writtenMs = performance.now();
  api.put(PODS, pod(i, n + 1));
  await seen;
  latenciesMs.push(performance.now() - writtenMs);
  await systemClock.sleep(2);
}
latenciesMs.sort((a, b) => a - b);
const percentile = (share: number) => (latenciesMs[Math.floor(latenciesMs.length * share)] ?? 0).toFixed(2);
console.log(
  `write → proxy, ${WRITES} writes: p50 ${percentile(0.5)} ms, p99 ${percentile(0.99)} ms, max ${percentile(0.999)} ms`,
);
console.log(`resident memory, fake API server included: ${(process.memoryUsage().rss / 1e6).toFixed(0)} MB`);
await plane.stop();
await scope.disposeAsync();
process.exit(0);
