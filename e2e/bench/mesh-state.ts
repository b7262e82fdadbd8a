/** What the proxies under test are told of the mesh: two pods that talk, and many others in services of ten. */
import {
  AppProtocol,
  createService,
  createWorkload,
  encodeAddress,
  TunnelProtocol,
} from '@ambit/api/workload';
import { CLIENT_IP, SERVER_IP } from './topology.ts';

const NAMESPACE = 'bench';
/** By pod. */
export type Nodes = Readonly<Record<'client' | 'server', string>>;
export const ONE_NODE: Nodes = { client: 'bench', server: 'bench' };
export const TWO_NODES: Nodes = { client: 'bench', server: 'bench-2' };
const WORKLOADS_PER_SERVICE = 10;
const SERVICE_PORT = 80;
const TARGET_PORT = 8080;

interface BenchWorkload {
  readonly uid: string;
  readonly name: string;
  readonly ip: string;
  readonly serviceAccount: string;
  readonly node: string;
  /** Which of the services; `undefined`: none. */
  readonly service: number | undefined;
}

/** As the file of LOCAL_XDS_PATH. */
export function stateFile(extraWorkloads: number, nodes: Nodes): string {
  const workloads = workloadsOf(extraWorkloads, nodes).map((workload) => {
    const { service } = workload;
    const services =
      service === undefined ? '{}' : `{"${serviceKey(service)}": {${SERVICE_PORT}: ${TARGET_PORT}}}`;
    return flowMap([
      `uid: "${workload.uid}"`,
      `name: "${workload.name}"`,
      `namespace: ${NAMESPACE}`,
      `serviceAccount: "${workload.serviceAccount}"`,
      'trustDomain: cluster.local',
      'clusterId: Kubernetes',
      `workloadIps: ["${workload.ip}"]`,
      'protocol: HBONE',
      `node: ${workload.node}`,
      `services: ${services}`,
    ]);
  });
  const services = serviceNumbers(extraWorkloads).map((service) =>
    flowMap([
      `name: service-${service}`,
      `namespace: ${NAMESPACE}`,
      `hostname: ${hostname(service)}`,
      `vips: ["/${serviceIp(service)}"]`,
      `ports: {${SERVICE_PORT}: ${TARGET_PORT}}`,
    ]),
  );
  return `workloads:\n${workloads.join('')}services:\n${services.join('') || '  []\n'}policies: []\n`;
}

/** As address resources of xDS: name and bytes. */
export function stateResources(extraWorkloads: number): Readonly<Record<string, Uint8Array>> {
  const ports = [{ servicePort: SERVICE_PORT, targetPort: TARGET_PORT, appProtocol: AppProtocol.UNKNOWN }];
  const workloads = workloadsOf(extraWorkloads, ONE_NODE).map(
    ({ uid, name, ip, serviceAccount, node, service }) => {
      const services = new Map(service === undefined ? [] : [[serviceKey(service), { ports }]]);
      const value = createWorkload({
        ...{ uid, name, serviceAccount, node, services, namespace: NAMESPACE },
        ...{ trustDomain: 'cluster.local', clusterId: 'Kubernetes', tunnelProtocol: TunnelProtocol.HBONE },
        addresses: [addressBytes(ip)],
      });
      return [uid, encodeAddress({ type: { $case: 'workload', value } })] as const;
    },
  );
  const services = serviceNumbers(extraWorkloads).map((service) => {
    const value = createService({
      ...{ name: `service-${service}`, namespace: NAMESPACE, hostname: hostname(service), ports },
      addresses: [{ network: '', address: addressBytes(serviceIp(service)) }],
    });
    return [serviceKey(service), encodeAddress({ type: { $case: 'service', value } })] as const;
  });
  return Object.fromEntries([...workloads, ...services]);
}

function workloadsOf(extraWorkloads: number, nodes: Nodes): readonly BenchWorkload[] {
  const pod = (name: 'client' | 'server', ip: string) => ({
    name,
    ip,
    serviceAccount: name,
    node: nodes[name],
    service: undefined,
  });
  const pods = [pod('client', CLIENT_IP), pod('server', SERVER_IP)];
  const extra = Array.from({ length: extraWorkloads }, (_, i) => ({
    name: `extra-${i}`,
    ip: `10.${100 + (i >> 16)}.${(i >> 8) & 255}.${i & 255}`,
    serviceAccount: 'default',
    node: `node-${i % 100}`,
    service: Math.floor(i / WORKLOADS_PER_SERVICE),
  }));
  return [
    ...pods.map((one) => ({ ...one, uid: `Kubernetes//Pod/${NAMESPACE}/bench-${one.name}` })),
    ...extra.map((one) => ({ ...one, uid: `Kubernetes//Pod/${NAMESPACE}/${one.name}` })),
  ];
}

function serviceNumbers(extraWorkloads: number): readonly number[] {
  return Array.from({ length: Math.floor(extraWorkloads / WORKLOADS_PER_SERVICE) }, (_, i) => i);
}

function hostname(service: number): string {
  return `service-${service}.${NAMESPACE}.svc.cluster.local`;
}

function serviceKey(service: number): string {
  return `${NAMESPACE}/${hostname(service)}`;
}

function serviceIp(service: number): string {
  return `10.96.${service >> 8}.${service & 255}`;
}

function addressBytes(ip: string): Uint8Array {
  return Uint8Array.from(ip.split('.'), Number);
}

function flowMap(fields: readonly string[]): string {
  return `  - {${fields.join(', ')}}\n`;
}
