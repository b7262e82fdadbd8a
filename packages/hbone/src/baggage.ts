/**
 * The `baggage` header: what a proxy tells the next about a workload, for reporting only.
 *
 * Never evidence of anything: who the peer is follows from its certificate alone.
 */

export interface Baggage {
  readonly cluster?: string;
  readonly namespace?: string;
  readonly workloadType?: string;
  readonly workloadName?: string;
  readonly service?: string;
  readonly revision?: string;
  readonly region?: string;
  readonly zone?: string;
}

const WORKLOAD_TYPES: ReadonlySet<string> = new Set(['deployment', 'cronjob', 'pod', 'job']);
const WORKLOAD_KEY = /^k8s\.([a-z]+)\.name$/;
/** Longer values are no names of anything, and would go into labels and logs. */
const MAX_VALUE_CHARS = 256;

/** The attributes in the order that Istio's proxies write them; empty ones are left out. */
export function formatBaggage(baggage: Baggage): string {
  const type = baggage.workloadType;
  const entries: readonly (readonly [string, string | undefined])[] = [
    ['k8s.cluster.name', baggage.cluster],
    ['k8s.namespace.name', baggage.namespace],
    [`k8s.${type && WORKLOAD_TYPES.has(type) ? type : 'pod'}.name`, baggage.workloadName],
    ['service.name', baggage.service],
    ['service.version', baggage.revision],
    ['cloud.region', baggage.region],
    ['cloud.availability_zone', baggage.zone],
  ];
  return entries
    .filter(([, value]) => value)
    .map(([key, value]) => `${key}=${value}`)
    .join(',');
}

/** A workload as the mesh's state has it. */
interface KnownWorkload {
  readonly clusterId: string;
  readonly namespace: string;
  readonly workloadType: string;
  readonly workloadName: string;
  readonly canonicalName: string;
  readonly canonicalRevision: string;
  readonly locality: { readonly region: string; readonly zone: string };
}

/** What a proxy says of a workload that it speaks for. */
export function baggageOfWorkload(workload: KnownWorkload): string {
  return formatBaggage({
    cluster: workload.clusterId,
    namespace: workload.namespace,
    workloadType: workload.workloadType,
    workloadName: workload.workloadName,
    service: workload.canonicalName,
    revision: workload.canonicalRevision,
    region: workload.locality.region,
    zone: workload.locality.zone,
  });
}

/** Reads every `baggage` header of a message. Unknown keys and empty values are ignored; the last of a key counts. */
export function parseBaggage(values: readonly string[]): Baggage {
  const found: { -readonly [key in keyof Baggage]: string } = {};
  for (const entry of values.join(',').split(',')) {
    const equals = entry.indexOf('=');
    const key = entry.slice(0, equals).trim();
    const value = entry.slice(equals + 1).trim();
    if (equals <= 0 || value === '' || value.length > MAX_VALUE_CHARS) continue;
    const name = PLAIN_KEYS.get(key);
    const type = WORKLOAD_KEY.exec(key)?.[1];
    if (name) found[name] = value;
    else if (type !== undefined && WORKLOAD_TYPES.has(type)) {
      found.workloadType = type;
      found.workloadName = value;
    }
  }
  return found;
}

/** A map: a peer may write any key, such as the name of something that every object has. */
const PLAIN_KEYS: ReadonlyMap<string, keyof Baggage> = new Map([
  ['k8s.cluster.name', 'cluster'],
  ['k8s.namespace.name', 'namespace'],
  ['service.name', 'service'],
  ['service.version', 'revision'],
  ['cloud.region', 'region'],
  ['cloud.availability_zone', 'zone'],
]);
