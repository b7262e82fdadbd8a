/** Workloads, services and policies as the bytes, names and versions that go out. */
import { type Authorization, encodeAuthorization } from '@ambit/api/authorization';
import { encodeAddress, type NetworkAddress, type Service, type Workload } from '@ambit/api/workload';
import {
  createWaypointResource,
  encodeWaypointResource,
  type WaypointFields,
  type WaypointResourceKind,
  type WaypointResources,
} from '@ambit/api/waypoint';
import { MAX_WAYPOINT_RESOURCE_BYTES } from '@ambit/api/limits';
import { formatIp } from '@ambit/core/ip';
import { type Labels, selectsLabels } from '@ambit/kube/label-selector';
import { contentVersion } from '@ambit/xds/content-version';
import type { EncodedResource } from '@ambit/xds/resource-feed';

/** An address resource, and what it is looked up by. */
export interface AddressEntry {
  readonly resource: EncodedResource;
  /** Of a workload: the node it runs on; empty for services and where there is none. */
  readonly node: string;
  /** Of a workload: `namespace/hostname` of each service that it is an endpoint of. Of a service: none. */
  readonly memberOf: readonly string[];
  /** Of a workload: what subsets are made by. */
  readonly labels: Labels | undefined;
}

export function workloadEntry(workload: Workload, labels?: Labels): AddressEntry {
  const value = encodeAddress({ type: { $case: 'workload', value: workload } });
  return {
    resource: {
      name: workload.uid,
      version: contentVersion(value),
      aliases: workload.addresses.map((address) => `${workload.network}/${formatIp(address) ?? ''}`),
      value,
    },
    node: workload.node,
    memberOf: [...workload.services.keys()],
    labels,
  };
}

export function serviceEntry(service: Service): AddressEntry {
  const value = encodeAddress({ type: { $case: 'service', value: service } });
  return {
    resource: {
      name: `${service.namespace}/${service.hostname}`,
      version: contentVersion(value),
      aliases: service.addresses.map(aliasOf),
      value,
    },
    node: '',
    memberOf: [],
    labels: undefined,
  };
}

export function authorizationResource(authorization: Authorization): EncodedResource {
  const value = encodeAuthorization(authorization);
  return {
    name: `${authorization.namespace}/${authorization.name}`,
    version: contentVersion(value),
    aliases: [],
    value,
  };
}

/**
 * One that is longer than waypoints read goes out as one that refuses what it is for. They could not tell what that is, and
 * would have to refuse everything: whoever writes a long policy would stop all who share the waypoint. What refuses nothing,
 * as settings, goes out as it is: waypoints go on with what they had, where what is left of it would lift policies.
 */
export function waypointResource<Kind extends WaypointResourceKind>(
  kind: Kind,
  name: string,
  fields: WaypointFields<WaypointResources[Kind]>,
): WaypointResource {
  const message = createWaypointResource(kind, fields);
  const whole = encodeWaypointResource(kind, message);
  const isSent = whole.length <= MAX_WAYPOINT_RESOURCE_BYTES || !('unreadable' in message);
  const sent = isSent ? fields : refusing(fields, whole.length);
  const value = isSent ? whole : encodeWaypointResource(kind, createWaypointResource(kind, sent));
  return { name, version: contentVersion(value), aliases: [], value, problem: problemIn(sent) };
}

/** What waypoints are sent. */
export interface WaypointResource extends EncodedResource {
  /** Why they refuse what it is for, or what one of its rules matches; `undefined`: nothing. */
  readonly problem?: string | undefined;
}

function problemIn(fields: object): string | undefined {
  const { unreadable = '', rules } = fields as { readonly unreadable?: string; readonly rules?: unknown };
  if (unreadable !== '') return unreadable;
  const ofRules = Array.isArray(rules) ? (rules as readonly { readonly unreadable?: string }[]) : [];
  return ofRules.find((rule) => rule.unreadable)?.unreadable;
}

/** What says what a resource is for, of any kind. */
const ATTACHMENT: ReadonlySet<string> = new Set([
  'origin',
  'parents',
  'consumerNamespace',
  'inOrder',
  'grpc',
  'targets',
  'dryRun',
  'hostname',
  'serviceNamespace',
]);

function refusing<Fields extends object>(fields: Fields, bytes: number): Fields {
  const kept = Object.entries(fields).filter(([field]) => ATTACHMENT.has(field));
  const unreadable = `${bytes} bytes where waypoints read ${MAX_WAYPOINT_RESOURCE_BYTES}`;
  return { ...Object.fromEntries(kept), unreadable } as unknown as Fields;
}

export function sameEntry(a: AddressEntry, b: AddressEntry): boolean {
  return sameResource(a.resource, b.resource) && sameLabels(a.labels, b.labels);
}

function sameLabels(a: Labels | undefined, b: Labels | undefined): boolean {
  return a === b || (selectsLabels(a, b) && selectsLabels(b, a));
}

export function sameResource(a: EncodedResource, b: EncodedResource): boolean {
  return a.version === b.version && a.name === b.name;
}

function aliasOf({ network, address, length }: NetworkAddress): string {
  const ip = formatIp(address) ?? '';
  return length === undefined ? `${network}/${ip}` : `${network}/${ip}/${length}`;
}
