/** What a ztunnel's `/config_dump` says, ours or Istio's: the parts that the commands show. */
import { booleanOf, type JsonObject, listOf, numberOf, objectOf, textOf, textsOf } from './json-value.ts';

export interface DumpedWorkload {
  readonly uid: string;
  readonly name: string;
  readonly namespace: string;
  readonly addresses: readonly string[];
  readonly network: string;
  readonly node: string;
  readonly protocol: string;
  readonly status: string;
  readonly serviceAccount: string;
  readonly trustDomain: string;
  /** `ns/host` or `network/ip`; empty without. */
  readonly waypoint: string;
  readonly policies: readonly string[];
}

export interface DumpedService {
  readonly name: string;
  readonly namespace: string;
  readonly hostname: string;
  /** `network/ip`. */
  readonly vips: readonly string[];
  readonly ports: readonly number[];
  readonly waypoint: string;
  readonly endpointUids: readonly string[];
}

export interface DumpedPolicy {
  readonly name: string;
  readonly namespace: string;
  readonly action: string;
  readonly scope: string;
  readonly dryRun: boolean;
  /** Rules of clauses of alternatives, as the proxy has them. */
  readonly rules: readonly (readonly (readonly JsonObject[])[])[];
}

export interface DumpedCertificate {
  readonly identity: string;
  readonly state: string;
  /** Hexadecimal. */
  readonly serial: string;
  readonly validFrom: string;
  readonly expires: string;
  readonly roots: number;
}

export interface DumpedConnection {
  readonly podUid: string;
  readonly pod: string;
  readonly namespace: string;
  readonly direction: string;
  readonly source: string;
  readonly destination: string;
  readonly protocol: string;
  readonly sourceIdentity: string;
  readonly destinationIdentity: string;
  readonly openedAtMs: number | undefined;
  readonly bytesSent: number | undefined;
  readonly bytesReceived: number | undefined;
}

export interface DumpedPod {
  readonly uid: string;
  readonly name: string;
  readonly namespace: string;
  readonly state: string;
}

export interface ConfigDump {
  readonly version: string;
  readonly workloads: readonly DumpedWorkload[];
  readonly services: readonly DumpedService[];
  readonly policies: readonly DumpedPolicy[];
  readonly certificates: readonly DumpedCertificate[];
  readonly pods: readonly DumpedPod[];
  readonly connections: readonly DumpedConnection[];
}

export function readConfigDump(json: unknown): ConfigDump {
  const dump = objectOf(json);
  const pods = Object.entries(objectOf(dump['workloadState'])).map(readPod);
  return {
    version: textOf(objectOf(dump['version'])['version']),
    workloads: listOf(dump['workloads']).map(objectOf).map(readWorkload),
    services: listOf(dump['services']).map(objectOf).map(readService),
    policies: listOf(dump['policies']).map(objectOf).map(readPolicy),
    certificates: listOf(dump['certificates']).map(objectOf).map(readCertificate),
    pods: pods.map(({ pod }) => pod),
    connections: pods.flatMap(({ connections }) => connections),
  };
}

/** `/debug/connections`, which only our ztunnel has. */
export function readConnections(json: unknown): readonly DumpedConnection[] {
  return listOf(objectOf(json)['connections']).map(objectOf).map(readConnection);
}

function readWorkload(workload: JsonObject): DumpedWorkload {
  return {
    uid: textOf(workload['uid']),
    name: textOf(workload['name']),
    namespace: textOf(workload['namespace']),
    addresses: textsOf(workload['workloadIps']),
    network: textOf(workload['network']),
    node: textOf(workload['node']),
    protocol: textOf(workload['protocol']) || 'TCP',
    status: textOf(workload['status']),
    serviceAccount: textOf(workload['serviceAccount']),
    trustDomain: textOf(workload['trustDomain']),
    waypoint: textOf(objectOf(workload['waypoint'])['destination']),
    policies: textsOf(workload['authorizationPolicies']),
  };
}

function readService(service: JsonObject): DumpedService {
  const endpoints = objectOf(service['endpoints']);
  const weighted = objectOf(objectOf(listOf(service['weightedWaypoints'])[0])['destination']);
  return {
    name: textOf(service['name']),
    namespace: textOf(service['namespace']),
    hostname: textOf(service['hostname']),
    vips: textsOf(service['vips']),
    ports: Object.keys(objectOf(service['ports'])).map(Number),
    waypoint: textOf(objectOf(service['waypoint'])['destination']) || textOf(weighted['destination']),
    endpointUids: Object.entries(endpoints).map(
      ([key, value]) => textOf(objectOf(value)['workloadUid']) || key,
    ),
  };
}

function readPolicy(policy: JsonObject): DumpedPolicy {
  return {
    name: textOf(policy['name']),
    namespace: textOf(policy['namespace']),
    action: textOf(policy['action']),
    scope: textOf(policy['scope']),
    dryRun: booleanOf(policy['dryRun']),
    rules: listOf(policy['rules']).map((rule) => listOf(rule).map((clause) => listOf(clause).map(objectOf))),
  };
}

function readCertificate(certificate: JsonObject): DumpedCertificate {
  const leaf = objectOf(listOf(certificate['certChain'])[0]);
  return {
    identity: textOf(certificate['identity']),
    state: textOf(certificate['state']),
    serial: hexadecimal(textOf(leaf['serialNumber'])),
    validFrom: textOf(leaf['validFrom']),
    expires: textOf(leaf['expirationTime']),
    roots: listOf(certificate['rootCerts']).length,
  };
}

function readPod([uid, value]: readonly [string, unknown]) {
  const state = objectOf(value);
  const info = objectOf(state['info']);
  const pod = {
    uid,
    name: textOf(info['name']),
    namespace: textOf(info['namespace']),
    state: textOf(state['state']),
  };
  const open = objectOf(state['connections']);
  const of = (direction: string) =>
    listOf(open[direction]).map((connection) =>
      readConnection({
        podUid: uid,
        pod: pod.name,
        namespace: pod.namespace,
        direction,
        ...objectOf(connection),
      }),
    );
  return { pod, connections: [...of('inbound'), ...of('outbound')] };
}

function readConnection(connection: JsonObject): DumpedConnection {
  return {
    podUid: textOf(connection['podUid']),
    pod: textOf(connection['pod']),
    namespace: textOf(connection['namespace']),
    direction: textOf(connection['direction']),
    source: textOf(connection['src']),
    destination: textOf(connection['originalDst']) || textOf(connection['actualDst']),
    protocol: textOf(connection['protocol']),
    sourceIdentity: textOf(connection['srcIdentity']),
    destinationIdentity: textOf(connection['dstIdentity']),
    openedAtMs: numberOf(connection['openedAtMs']),
    bytesSent: numberOf(connection['bytesSent']),
    bytesReceived: numberOf(connection['bytesReceived']),
  };
}

function hexadecimal(decimal: string): string {
  return /^[0-9]{1,80}$/.test(decimal) ? BigInt(decimal).toString(16) : decimal;
}
