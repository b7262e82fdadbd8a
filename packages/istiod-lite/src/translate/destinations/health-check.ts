/**
 * How waypoints ask the endpoints of a Service or of a ServiceEntry how they are, by annotations of ours: neither the Gateway
 * API nor Istio has a word for it. Pure.
 *
 * What cannot be read is nothing: endpoints are then as well as Kubernetes or the entry says, and the status says why.
 */
import type { DestinationPolicy, HealthCheck, WaypointFields } from '@ambit/api/waypoint';
import type { KubeObject } from '@ambit/kube/resource';
import type { Service } from '@ambit/kube/resources/core';
import type { ServiceEntry, ServiceEntrySpec } from '@ambit/kube/resources/networking';
import { schemaProblems } from '../../schema/openapi.ts';
import { serviceEntrySpec } from '../../schema/service-entry.ts';
import type { WantedCondition } from '../condition.ts';
import { goDurationMs } from '../go-duration.ts';
import { originOf } from '../routes/translated.ts';
import { isWildcard } from '../service-entry.ts';

export const HEALTH_CHECK_ANNOTATION = 'ambit.mesh/health-check';
export const HEALTH_CHECKED = 'ambit.mesh/HealthCheckAccepted';

const INTERVAL_MS = { least: 1_000, most: 600_000, otherwise: 10_000 };
const TIMEOUT_MS = { least: 10, most: 60_000, otherwise: 1_000 };
const HEALTHY = { least: 1, most: 10, otherwise: 1 };
const UNHEALTHY = { least: 1, most: 10, otherwise: 3 };
const MAX_PATH_CHARS = 1_024;

/** What both kinds have. */
export interface CheckedService {
  readonly kind: 'Service' | 'ServiceEntry';
  readonly metadata: KubeObject['metadata'];
  readonly ports: readonly { readonly number: number | undefined; readonly name: string | undefined }[];
}

export function checkedService({ metadata, spec = {} }: Service): CheckedService {
  const ports = (spec.ports ?? []).map(({ port: number, name }) => ({ number, name }));
  return { kind: 'Service', metadata, ports };
}

export function checkedEntry(entry: ServiceEntry): CheckedService {
  const ports = (readableSpec(entry).ports ?? []).map(({ number, name }) => ({ number, name }));
  return { kind: 'ServiceEntry', metadata: entry.metadata, ports };
}

/** Where checks of it are asked for; the entry need not be a valid one. */
export function checkedHosts(entry: ServiceEntry): readonly string[] {
  if (entry.metadata.annotations?.[HEALTH_CHECK_ANNOTATION] === undefined) return [];
  const hosts = (readableSpec(entry).hosts ?? []).map((host) => host.toLowerCase());
  return [...new Set(hosts)].filter((host) => !isWildcard(host));
}

/** What has not the form of one says nothing. */
function readableSpec({ spec }: ServiceEntry): ServiceEntrySpec {
  return spec && schemaProblems(serviceEntrySpec, spec, 'spec').length === 0 ? spec : {};
}

interface Bounds {
  readonly least: number;
  readonly most: number;
  readonly otherwise: number;
}

export type ReadHealthCheck =
  | {
      readonly kind: 'check';
      readonly check: WaypointFields<HealthCheck>;
      /** Of the service; `undefined`: all. */
      readonly port: number | undefined;
    }
  | { readonly kind: 'problem'; readonly problem: string };

/** @returns `undefined` where none is asked for. */
export function readHealthCheck({ kind, metadata, ports }: CheckedService): ReadHealthCheck | undefined {
  const { annotations = {} } = metadata;
  const how = annotations[HEALTH_CHECK_ANNOTATION];
  if (how === undefined) return undefined;
  const problems: string[] = [];
  const say = (part: string, problem: string) =>
    problems.push(`${HEALTH_CHECK_ANNOTATION}${part === '' ? '' : `-${part}`} ${problem}`);
  const given = (part: string) => annotations[`${HEALTH_CHECK_ANNOTATION}-${part}`];
  const duration = (part: string, { least, most, otherwise }: Bounds): number => {
    const text = given(part);
    const ms = text === undefined ? otherwise : (goDurationMs(text) ?? 0);
    if (ms < least || ms > most) say(part, `must be a duration from ${least}ms to ${most / 1_000}s`);
    return ms;
  };
  const count = (part: string, { least, most, otherwise }: Bounds): number => {
    const text = given(part);
    const number = text === undefined ? otherwise : /^[0-9]{1,3}$/.test(text) ? Number(text) : 0;
    if (number < least || number > most) say(part, `must be a number from ${least} to ${most}`);
    return number;
  };
  if (how !== 'http' && how !== 'grpc' && how !== 'tcp') say('', 'must be http, grpc or tcp');
  const path = given('path');
  if (path !== undefined && how !== 'http') say('path', 'is for http alone');
  else if (path !== undefined && (path.length > MAX_PATH_CHARS || !/^\/[\x21\x22\x24-\x7e]*$/.test(path)))
    say('path', `must be a path of ASCII that begins with /, of at most ${MAX_PATH_CHARS} characters`);
  const named = given('port');
  const port =
    named === undefined
      ? undefined
      : ports.find(({ number, name }) => named === String(number) || named === name)?.number;
  if (named !== undefined && port === undefined)
    say('port', `must be the number or name of a port of the ${kind}`);
  const intervalMs = duration('interval', INTERVAL_MS);
  const timeoutMs = duration('timeout', TIMEOUT_MS);
  const healthyThreshold = count('healthy-threshold', HEALTHY);
  const unhealthyThreshold = count('unhealthy-threshold', UNHEALTHY);
  if (problems.length > 0) return { kind: 'problem', problem: `No health check: ${problems.join('; ')}` };
  const check = {
    path: how === 'http' ? (path ?? '/') : '',
    grpc: how === 'grpc',
    tcp: how === 'tcp',
    intervalMs,
    timeoutMs,
    healthyThreshold,
    unhealthyThreshold,
  };
  return { kind: 'check', check, port };
}

export function healthCheckDestination(
  service: CheckedService,
  hostname: string,
): WaypointFields<DestinationPolicy> | undefined {
  const read = readHealthCheck(service);
  if (read?.kind !== 'check') return undefined;
  const policy = { healthCheck: read.check };
  return {
    origin: originOf(service.kind, service),
    hostname,
    serviceNamespace: service.metadata.namespace ?? '',
    ...(read.port === undefined ? { policy } : { ports: [{ port: read.port, policy }] }),
  };
}

/** What is wrong with the annotations, if they are there. */
export function healthCheckProblem(service: CheckedService): string | undefined {
  const read = readHealthCheck(service);
  return read?.kind === 'problem' ? read.problem : undefined;
}

/** What the status of a service that has a waypoint says of its annotations. */
export function healthCheckConditions(service: CheckedService): readonly WantedCondition[] {
  const read = readHealthCheck(service);
  if (!read) return [];
  const isTrue = read.kind === 'check';
  const [reason, message] = isTrue
    ? ['Accepted', 'Waypoints ask the endpoints how they are']
    : ['Invalid', read.problem];
  return [{ type: HEALTH_CHECKED, isTrue, reason, message }];
}
