/** What a waypoint's `/config_dump` says: the parts that the commands show. It may be of another version. */
import { booleanOf, type JsonObject, listOf, numberOf, objectOf, textOf, textsOf } from '../json-value.ts';

/** Parts of the dump, as the waypoint calls them. */
export type WaypointPart =
  | 'destinations'
  | 'httpRoutes'
  | 'streamRoutes'
  | 'authorizationPolicies'
  | 'requestAuthentications'
  | 'destinationPolicies'
  | 'telemetries';

export interface DumpedEndpoint {
  readonly endpoint: string;
  readonly workload: string;
  readonly ejected: boolean;
  readonly failedHealthChecks: boolean;
  readonly requests: number;
  readonly connections: number;
  readonly waiting: number;
}

export interface DumpedDestination {
  readonly destination: string;
  readonly port: number;
  /** Empty: all endpoints. */
  readonly subset: string;
  /** Why nothing is sent there; empty otherwise. */
  readonly problem: string;
  readonly endpoints: readonly DumpedEndpoint[];
}

export interface DumpedRoute {
  /** `KIND/namespace/name`. */
  readonly name: string;
  /** `namespace/hostname:port`; without the port, all of them. */
  readonly parents: readonly string[];
  readonly rules: number;
  /** Empty: it could be read, all of it. */
  readonly unreadable: string;
}

export interface DumpedPolicy {
  readonly kind: string;
  /** `namespace/name`. */
  readonly key: string;
  /** Of an AuthorizationPolicy; empty otherwise. */
  readonly action: string;
  readonly dryRun: boolean;
  readonly targets: readonly string[];
  readonly unreadable: string;
}

export interface WaypointDump {
  readonly destinations: readonly DumpedDestination[];
  readonly routes: readonly DumpedRoute[];
  readonly policies: readonly DumpedPolicy[];
  /** Things that there were too many of, by part. */
  readonly leftOut: ReadonlyMap<string, number>;
}

export function readWaypointDump(json: unknown): WaypointDump {
  const dump = objectOf(json);
  const objects = (part: WaypointPart) => listOf(dump[part]).map(objectOf);
  return {
    destinations: objects('destinations').map(readDestination),
    routes: [...objects('httpRoutes'), ...objects('streamRoutes')].map(readRoute),
    policies: [
      ...objects('authorizationPolicies'),
      ...objects('requestAuthentications'),
      ...objects('telemetries'),
    ]
      .map(readPolicy)
      .concat(objects('destinationPolicies').map(readDestinationPolicy)),
    leftOut: new Map(
      Object.entries(objectOf(dump['leftOut'])).map(([part, count]) => [part, numberOf(count) ?? 0]),
    ),
  };
}

function readDestination(destination: JsonObject): DumpedDestination {
  return {
    destination: textOf(destination['destination']),
    port: numberOf(destination['port']) ?? 0,
    subset: textOf(destination['subset']),
    problem: textOf(destination['problem']),
    endpoints: listOf(destination['endpoints']).map(objectOf).map(readEndpoint),
  };
}

function readEndpoint(endpoint: JsonObject): DumpedEndpoint {
  return {
    endpoint: textOf(endpoint['endpoint']),
    workload: textOf(endpoint['workload']),
    ejected: booleanOf(endpoint['ejected']),
    failedHealthChecks: booleanOf(endpoint['failedHealthChecks']),
    requests: numberOf(endpoint['requests']) ?? 0,
    connections: numberOf(endpoint['connections']) ?? 0,
    waiting: numberOf(endpoint['waiting']) ?? 0,
  };
}

function readRoute(route: JsonObject): DumpedRoute {
  const rules = listOf(route['rules']).map(objectOf);
  const broken = rules.map((rule) => textOf(rule['unreadable'])).find((problem) => problem !== '');
  return {
    name: textOf(route['name']),
    parents: listOf(route['parents']).map(objectOf).map(readParent),
    rules: rules.length,
    unreadable: textOf(route['unreadable']) || (broken ?? ''),
  };
}

function readParent(parent: JsonObject): string {
  const port = numberOf(parent['port']) ?? 0;
  return port === 0 ? textOf(parent['service']) : `${textOf(parent['service'])}:${port}`;
}

function readPolicy(policy: JsonObject): DumpedPolicy {
  return {
    kind: textOf(objectOf(policy['origin'])['kind']),
    key: textOf(policy['key']),
    action: textOf(policy['action']),
    dryRun: booleanOf(policy['dryRun']),
    targets: listOf(policy['targets']).map(objectOf).map(readTarget),
    unreadable: textOf(policy['unreadable']),
  };
}

function readTarget(target: JsonObject): string {
  const kind = textOf(target['kind']);
  if (kind === 'service') return textOf(target['service']);
  return kind === 'gateway' ? `Gateway ${textOf(target['gateway'])}` : 'every waypoint';
}

function readDestinationPolicy(policy: JsonObject): DumpedPolicy {
  const { kind, namespace, name } = objectOf(policy['origin']);
  return {
    kind: textOf(kind),
    key: `${textOf(namespace)}/${textOf(name)}`,
    action: '',
    dryRun: false,
    targets: textsOf([policy['hostname']]),
    unreadable: textOf(policy['unreadable']),
  };
}
