/**
 * What a user calls an end of a connection, and what in the cluster that is.
 *
 * A name is a pod's own or the beginning of one (`web` finds `web-7d4b9-x2x`), as pods' names are made up by their
 * controllers. A name that is both a service and a pod is the service.
 */
import { formatHostPort, parseHostPort, parseIp } from '@ambit/core/ip';
import type { Pod, Service } from '@ambit/kube/resources/core';
import { isRunning } from './enrolment.ts';
import { UsageError } from './errors.ts';

/** `namespace` is `undefined` where none was given. */
export interface Name {
  readonly namespace: string | undefined;
  readonly name: string;
}

export type Source = { readonly kind: 'ip'; readonly ip: string } | ({ readonly kind: 'name' } & Name);

export type Destination =
  | { readonly kind: 'ip'; readonly ip: string; readonly port: number | undefined }
  | ({ readonly kind: 'name'; readonly port: number | undefined } & Name)
  /** With dots: perhaps a service of the cluster, perhaps a host outside. */
  | { readonly kind: 'host'; readonly host: string; readonly port: number | undefined };

const LABEL = /^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/;

/** @throws {@link UsageError} */
export function parseSource(text: string): Source {
  const ip = parseIp(text);
  if (ip !== undefined) return { kind: 'ip', ip };
  return { kind: 'name', ...parseName(text) };
}

/** @throws {@link UsageError} */
export function parseDestination(text: string): Destination {
  const endpoint = parseHostPort(text);
  if (endpoint) return { kind: 'ip', ip: endpoint.ip, port: checkPort(endpoint.port, text) };
  const bare = parseIp(text.replace(/^\[(.*)\]$/, '$1'));
  if (bare !== undefined) return { kind: 'ip', ip: bare, port: undefined };
  const [, host = '', digits] = /^([^:]*)(?::([0-9]+))?$/.exec(text) ?? [];
  const port = digits === undefined ? undefined : checkPort(Number(digits), text);
  if (!host.includes('/') && host.includes('.') && LABEL.test(host)) return { kind: 'host', host, port };
  return { kind: 'name', ...parseName(host === '' ? text : host), port };
}

function parseName(text: string): Name {
  const [first = '', second, ...rest] = text.split('/');
  const name = second ?? first;
  const namespace = second === undefined ? undefined : first;
  if (rest.length > 0 || !LABEL.test(name) || (namespace !== undefined && !LABEL.test(namespace)))
    throw new UsageError(`"${text}" is not NAME, NAMESPACE/NAME or an IP address`);
  return { namespace, name };
}

function checkPort(port: number, text: string): number {
  if (port < 1 || port > 65_535) throw new UsageError(`"${text}": a port is a number from 1 to 65535`);
  return port;
}

/** The pod of that name; else those whose controllers made names from it, those that run first. */
export function podsNamed(name: string, pods: readonly Pod[]): readonly Pod[] {
  const exact = pods.find(({ metadata }) => metadata.name === name);
  if (exact) return [exact];
  const made = pods.filter(({ metadata }) => metadata.name.startsWith(`${name}-`));
  return [...made.filter(isRunning), ...made.filter((pod) => !isRunning(pod))];
}

/** The pod that owns an address. Pods on their node's network own none. */
export function podAt(ip: string, pods: readonly Pod[]): Pod | undefined {
  return pods.find((pod) => !pod.spec?.hostNetwork && isRunning(pod) && addressesOf(pod).includes(ip));
}

export function addressesOf({ status }: Pod): readonly string[] {
  const all = status?.podIPs?.map(({ ip }) => ip) ?? (status?.podIP ? [status.podIP] : []);
  return all.flatMap((ip) => parseIp(ip) ?? []);
}

/** The name and namespace in `name.namespace`, `name.namespace.svc` or the full name of a service. */
export function serviceInHost(host: string): Required<Name> | undefined {
  const [name = '', namespace = '', svc] = host.split('.');
  return namespace !== '' && (svc === undefined || svc === 'svc') ? { name, namespace } : undefined;
}

/** What {@link podsNamed} would find these pods by: their names, and the beginnings that end before a dash. */
export function namesFinding(podNames: readonly string[]): readonly string[] {
  const beginnings = podNames.flatMap((name) => {
    const parts = name.split('-');
    return parts.map((_, end) => parts.slice(0, end + 1).join('-'));
  });
  return [...new Set(beginnings)];
}

/** @throws {@link UsageError} if the user has to say which port. */
export function portOfService({ metadata, spec }: Service, asked: number | undefined): number {
  const ports = spec?.ports?.map(({ port }) => port) ?? [];
  const only = ports.length === 1 ? ports[0] : undefined;
  if (asked !== undefined) return asked;
  if (only !== undefined) return only;
  const choice = ports.length === 0 ? 'it has none' : `it has ${ports.join(', ')}`;
  throw new UsageError(`name a port of service ${metadata.namespace}/${metadata.name}: ${choice}`);
}

/** @throws {@link UsageError} if the user has to say which port. */
export function portOfPod({ metadata, spec }: Pod, asked: number | undefined): number {
  const ports =
    spec?.containers?.flatMap(({ ports: own }) => own?.map(({ containerPort }) => containerPort) ?? []) ?? [];
  const only = ports.length === 1 ? ports[0] : undefined;
  if (asked !== undefined) return asked;
  if (only !== undefined) return only;
  throw new UsageError(
    `name a port of pod ${metadata.namespace}/${metadata.name}, such as ${metadata.name}:8080`,
  );
}

/** `host:port` as the proxies take it. */
export function hostPort(host: string, port: number): string {
  return formatHostPort(host, port);
}
