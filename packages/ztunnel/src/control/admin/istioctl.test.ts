/**
 * `/config_dump` against what `istioctl ztunnel-config` decodes it into: the names and types of its structs, as of Istio 1.31.
 *
 * Its decoder is Go's: a key that is missing or null is the type's zero, a key that it does not know is passed over, and a
 * value of another type fails the whole command.
 */
import { describe, expect, test } from '@jest/globals';
import { systemClock } from '@ambit/core/clock';
import { silentLogger } from '@ambit/core/log';
import { createFakeCa } from '@ambit/identity/fake-ca';
import { meshOf } from '@ambit/model/testing/mesh-file';
import type { ConnectionReport } from '../../threads/messages.ts';
import { configDump } from './config-dump.ts';

const WEB = 'spiffe://cluster.local/ns/shop/sa/web';
const EVERYTHING = `
workloads:
  - uid: Kubernetes//Pod/shop/web-0
    name: web-0
    namespace: shop
    serviceAccount: web
    trustDomain: cluster.local
    clusterId: Kubernetes
    workloadName: web
    workloadType: deployment
    canonicalName: web
    canonicalRevision: v1
    network: north
    workloadIps: ["10.60.1.4", "fd00::4"]
    protocol: HBONE
    node: alpha
    nativeTunnel: true
    capacity: 4294967295
    locality: {region: r, zone: z, subzone: s}
    waypoint: {destination: shop/waypoint.shop.svc.cluster.local, hboneMtlsPort: 15008}
    networkGateway: {destination: north/10.60.9.9, hboneMtlsPort: 15008}
    applicationTunnel: {protocol: PROXY, port: 8081}
    authorizationPolicies: [shop/everything]
    services:
      shop/web.shop.svc.cluster.local: {80: 8080}
      shop/waypoint.shop.svc.cluster.local: {15008: 15008}
  - uid: Kubernetes/networking.istio.io/WorkloadEntry/shop/bare
    name: bare
    namespace: shop
    workloadIps: []
    hostname: bare.example
    status: Unhealthy
    applicationTunnel: {protocol: PROXY}
    services: {shop/web.shop.svc.cluster.local: {80: 80}}
services:
  - name: web
    namespace: shop
    hostname: web.shop.svc.cluster.local
    vips: ["north/10.70.0.20", "/fd00::20"]
    cidrVips: [{network: north, cidr: 10.80.0.0/16}]
    ports: {80: 8080, 65535: 65535}
    subjectAltNames: ["spiffe://td/ns/a/sa/b"]
    waypoint: {destination: north/10.70.0.21, hboneMtlsPort: 15008}
    loadBalancer: {routingPreferences: [Network, Region], mode: Failover, healthPolicy: AllowAll}
    ipFamilies: Dual
    canonical: true
    visibility: Namespace
  - {name: waypoint, namespace: shop, hostname: waypoint.shop.svc.cluster.local, vips: ["north/10.70.0.21"], ports: {15008: 15008}}
  - {name: none, namespace: shop, hostname: none.shop.svc.cluster.local, vips: [], ports: {}}
policies:
  - name: everything
    namespace: shop
    scope: WorkloadSelector
    action: Deny
    dryRun: true
    rules:
      - - - namespaces: [!Exact a]
            notNamespaces: [!Prefix b]
            principals: [!Suffix c, !Presence {}]
            notPrincipals: [!Exact d]
            serviceAccounts: [{namespace: shop, serviceAccount: web}]
            notServiceAccounts: [{namespace: shop, serviceAccount: other}]
            sourceIps: [10.0.0.0/8]
            notSourceIps: [10.1.0.0/16]
            destinationIps: [fd00::/8]
            notDestinationIps: [10.2.0.0/16]
            destinationPorts: [80]
            notDestinationPorts: [65535]
  - {name: nothing, namespace: istio-system, scope: Global, action: Allow, dryRun: false, rules: []}
`;

/** Says where a value is of another type than the struct's field has; empty where all fits. */
type Field = (value: unknown, at: string) => readonly string[];

const isZero = (value: unknown) => value === undefined || value === null;
const text: Field = (value, at) => (isZero(value) || typeof value === 'string' ? [] : [at]);
const flag: Field = (value, at) => (isZero(value) || typeof value === 'boolean' ? [] : [at]);
const anything: Field = () => [];
const unsigned =
  (bits: number): Field =>
  (value, at) =>
    isZero(value) || (Number.isInteger(value) && Number(value) >= 0 && Number(value) < 2 ** bits) ? [] : [at];
const listOf =
  (item: Field): Field =>
  (value, at) =>
    isZero(value) ? [] : Array.isArray(value) ? value.flatMap((one, i) => item(one, `${at}[${i}]`)) : [at];
const mapOf =
  (item: Field, isKey: (key: string) => boolean = () => true): Field =>
  (value, at) => {
    if (isZero(value)) return [];
    if (typeof value !== 'object' || Array.isArray(value)) return [at];
    return Object.entries(value as object).flatMap(([key, one]) => [
      ...(isKey(key) ? [] : [`key of ${at}.${key}`]),
      ...item(one, `${at}.${key}`),
    ]);
  };
const struct =
  (fields: Readonly<Record<string, Field>>): Field =>
  (value, at) => {
    if (isZero(value)) return [];
    if (typeof value !== 'object' || Array.isArray(value)) return [at];
    return Object.entries(fields).flatMap(([name, field]) =>
      field((value as Record<string, unknown>)[name], `${at}.${name}`),
    );
  };

const uint16 = unsigned(16);
const isPort = (key: string) => /^\d+$/.test(key) && Number(key) < 65_536;
const gateway = struct({ destination: text });
const certificate = struct({ pem: text, serialNumber: text, validFrom: text, expirationTime: text });
const stringMatch = struct({ Exact: text, Suffix: text, Prefix: text, Presence: anything });
const accountMatch = struct({ namespace: text, serviceAccount: text });
const connection = struct({ src: text, originalDst: text, actualDst: text, protocol: text });
const match = struct({
  namespaces: listOf(stringMatch),
  notNamespaces: listOf(stringMatch),
  principals: listOf(stringMatch),
  notPrincipals: listOf(stringMatch),
  serviceAccounts: listOf(accountMatch),
  notServiceAccounts: listOf(accountMatch),
  sourceIps: listOf(text),
  notSourceIps: listOf(text),
  destinationIps: listOf(text),
  notDestinationIps: listOf(text),
  destinationPorts: listOf(uint16),
  notDestinationPorts: listOf(uint16),
});
const ZTUNNEL_DUMP = struct({
  workloads: listOf(
    struct({
      uid: text,
      workloadIps: listOf(text),
      waypoint: gateway,
      networkGateway: gateway,
      protocol: text,
      name: text,
      namespace: text,
      serviceAccount: text,
      workloadName: text,
      workloadType: text,
      canonicalName: text,
      canonicalRevision: text,
      clusterId: text,
      trustDomain: text,
      locality: struct({ region: text, zone: text, subzone: text }),
      node: text,
      network: text,
      status: text,
      hostname: text,
      capacity: unsigned(32),
      applicationTunnel: struct({ protocol: text, port: uint16 }),
      authorizationPolicies: listOf(text),
    }),
  ),
  services: listOf(
    struct({
      name: text,
      namespace: text,
      hostname: text,
      vips: listOf(text),
      cidrVips: listOf(struct({ cidr: text, network: text })),
      ports: mapOf(unsigned(53)),
      loadBalancer: struct({ mode: text, routingPreferences: listOf(text), healthPolicy: text }),
      waypoint: gateway,
      endpoints: mapOf(
        struct({ workloadUid: text, service: text, address: text, port: mapOf(uint16, isPort) }),
      ),
      subjectAltNames: listOf(text),
      ipFamilies: text,
      canonical: flag,
      visibility: text,
    }),
  ),
  policies: listOf(
    struct({ name: text, namespace: text, scope: text, action: text, rules: listOf(listOf(listOf(match))) }),
  ),
  certificates: listOf(
    struct({ identity: text, state: text, certChain: listOf(certificate), rootCerts: listOf(certificate) }),
  ),
  workloadState: mapOf(
    struct({
      state: text,
      connections: struct({ inbound: listOf(connection), outbound: listOf(connection) }),
      info: struct({ name: text, namespace: text, trustDomain: text, serviceAccount: text }),
    }),
  ),
});

function connectionOf(over: Partial<ConnectionReport>): ConnectionReport {
  return {
    podUid: 'u1',
    direction: 'inbound',
    src: '10.60.1.9:4242',
    originalDst: undefined,
    actualDst: '10.60.1.4:8080',
    protocol: 'HBONE',
    srcIdentity: WEB,
    dstIdentity: undefined,
    openedAtMs: 1,
    bytesSent: 2,
    bytesReceived: 3,
    ...over,
  };
}

/** A mesh with everything in it. */
async function everything(): Promise<string> {
  const authority = await createFakeCa({ clock: systemClock });
  const issued = await authority.issueWorkload(WEB);
  const other = 'spiffe://cluster.local/ns/shop/sa/other';
  return await configDump({
    mesh: meshOf(EVERYTHING),
    certificates: () => [
      { identity: WEB, state: 'Available', certificate: issued },
      { identity: other, state: 'Unavailable: no answer', certificate: undefined },
    ],
    pods: () => [
      { info: { uid: 'u1', name: 'web-0', namespace: 'shop', serviceAccount: 'web' }, state: 'Up' },
      { info: { uid: 'u2', name: 'late', namespace: 'shop', serviceAccount: 'web' }, state: 'Pending' },
    ],
    connections: async () => [
      connectionOf({}),
      connectionOf({ direction: 'outbound', src: '10.60.1.4:4343', originalDst: '10.70.0.20:80' }),
    ],
    localFile: () => ({ text: EVERYTHING, file: 'mesh.yaml' }),
    config: {},
    version: {},
    shared: true,
    log: silentLogger,
  });
}

describe('what istioctl ztunnel-config decodes', () => {
  test('a mesh with everything in it fits its structs', async () => {
    const dump = JSON.parse(await everything()) as Record<string, unknown>;
    expect(ZTUNNEL_DUMP(dump, 'dump')).toEqual([]);
    expect(ZTUNNEL_DUMP({ ...dump, workloads: [{ capacity: '1' }] }, 'dump')).toEqual([
      'dump.workloads[0].capacity',
    ]);
  });

  test('what its tables are made of is there', async () => {
    const { workloads, services, certificates, workloadState } = JSON.parse(await everything());
    expect(workloads).toHaveLength(2);
    // A waypoint is shown by name where its destination is that of a service, either way of writing it.
    const keys = services.flatMap(
      ({ namespace, hostname, vips }: { namespace: string; hostname: string; vips: string[] }) => [
        `${namespace}/${hostname}`,
        ...vips,
      ],
    );
    expect(keys).toEqual(
      expect.arrayContaining([workloads[0].waypoint.destination, services.at(-1).waypoint.destination]),
    );
    // Endpoints are healthy by the workload's word, found by its uid.
    expect(workloads.map(({ uid, status }: { uid: string; status: string }) => [uid, status])).toEqual([
      ['Kubernetes//Pod/shop/web-0', 'Healthy'],
      ['Kubernetes/networking.istio.io/WorkloadEntry/shop/bare', 'Unhealthy'],
    ]);
    expect(Object.keys(services.at(-1).endpoints)).toEqual(workloads.map(({ uid }: { uid: string }) => uid));
    expect(certificates[0].certChain.length * certificates[0].rootCerts.length).toBeGreaterThan(0);
    expect(certificates[1].state).toContain('Unavailable');
    expect(workloadState.u1.connections.inbound).toHaveLength(1);
    expect(workloadState.u1.connections.outbound).toHaveLength(1);
  });
});
