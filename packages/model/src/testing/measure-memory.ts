/**
 * How many bytes one workload costs in one thread: `node --expose-gc packages/model/src/testing/measure-memory.ts`.
 *
 * The mesh is like a cluster's: pods with names and addresses of their own; 100 services, namespaces and accounts, and
 * 50 nodes among them. The encoded resources are there at both looks, so they do not count.
 */
import {
  ADDRESS_TYPE_URL,
  createService,
  createWorkload,
  encodeAddress,
  TunnelProtocol,
} from '@ambit/api/workload';
import { Interner } from '../intern.ts';
import { MeshStore } from '../store.ts';
import { rollUp } from '../roll/roll-up.ts';
import { applyXdsDelta } from '../xds-delta.ts';

const WORKLOADS = 10_000;
const SERVICES = 100;

function resources(): { readonly name: string; readonly value: Uint8Array }[] {
  const services = Array.from({ length: SERVICES }, (_, i) => {
    const value = createService({
      name: `service-${i}`,
      namespace: `namespace-${i}`,
      hostname: `service-${i}.namespace-${i}.svc.cluster.local`,
      addresses: [{ network: '', address: Uint8Array.of(10, 96, 0, i), length: undefined }],
      ports: [{ servicePort: 80, targetPort: 8080, appProtocol: 0 }],
    });
    return {
      name: `namespace-${i}/${value.hostname}`,
      value: encodeAddress({ type: { $case: 'service', value } }),
    };
  });
  const workloads = Array.from({ length: WORKLOADS }, (_, i) => {
    const s = i % SERVICES;
    const name = `service-${s}-7c9d8b6f5-${i.toString(36).padStart(5, 'x')}`;
    const value = createWorkload({
      uid: `Kubernetes//Pod/namespace-${s}/${name}`,
      name,
      namespace: `namespace-${s}`,
      addresses: [Uint8Array.of(10, 244, i >> 8, i & 255)],
      tunnelProtocol: TunnelProtocol.HBONE,
      serviceAccount: `service-${s}`,
      node: `node-${i % 50}.example.internal`,
      canonicalName: `service-${s}`,
      canonicalRevision: 'latest',
      workloadName: `service-${s}`,
      authorizationPolicies: [`namespace-${s}/policy`],
      services: new Map([
        [
          `namespace-${s}/service-${s}.namespace-${s}.svc.cluster.local`,
          { ports: [{ servicePort: 80, targetPort: 8080, appProtocol: 0 }] },
        ],
      ]),
      locality: { region: 'region', zone: `zone-${i % 3}`, subzone: '' },
      clusterId: 'Kubernetes',
    });
    return { name: value.uid, value: encodeAddress({ type: { $case: 'workload', value } }) };
  });
  return [...services, ...workloads];
}

function settledBytes(): number {
  if (!globalThis.gc) throw new Error('run with --expose-gc');
  for (let i = 0; i < 5; i++) globalThis.gc();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

const upserts = resources();
const wireBytes = upserts.reduce((sum, { value }) => sum + value.length, 0);
const NODE = 'node-1.example.internal';
const mesh = new MeshStore({ nodeName: NODE });
const interner = new Interner();
applyXdsDelta(
  new MeshStore({ nodeName: '' }),
  ADDRESS_TYPE_URL,
  { upserts: upserts.slice(0, 200), removed: [] },
  new Interner(),
);
const withBytes = settledBytes();
const started = performance.now();
const delta = rollUp({ upserts, removed: [] }, NODE, interner);
const rolledMs = performance.now() - started;
applyXdsDelta(mesh, ADDRESS_TYPE_URL, delta, interner);
const tookMs = performance.now() - started;
const both = settledBytes();
const grown = both - withBytes;
process.stdout.write(
  `${JSON.stringify({
    workloads: WORKLOADS,
    wireBytesPerWorkload: Math.round(wireBytes / WORKLOADS),
    heapBytesPerWorkload: Math.round(grown / WORKLOADS),
    heapMegabytes: Number((grown / 1e6).toFixed(1)),
    rollUpMs: Math.round(rolledMs),
    rollUpAndApplyMs: Math.round(tookMs),
    version: mesh.version,
  })}\n`,
);
