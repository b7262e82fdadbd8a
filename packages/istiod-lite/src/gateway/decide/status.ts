/**
 * What the status of a Gateway for waypoints says, with Istio's types, reasons and messages, since tools read them. Pure.
 *
 * It is programmed once something that is ready stands behind its Service. Addresses that were told once stay told: who
 * was sent to a waypoint must not go on without it because it is away.
 */
import type { EndpointSlice, Service } from '@ambit/kube/resources/core';
import type {
  Gateway,
  GatewayAddressStatus,
  GatewayListener,
  GatewayListenerStatus,
} from '@ambit/kube/resources/gateway';
import { sayAll, writtenConditions } from '../../status/conditions.ts';
import type { WantedCondition } from '../../translate/condition.ts';
import { deploymentName } from './names.ts';

const HBONE_PORT = 15_008;
const HBONE = 'HBONE';
const ADDRESS_TYPE_ANNOTATION = 'networking.istio.io/address-type';
/** Of a status, that the API server takes. */
const MAX_ADDRESSES = 16;
/** Conditions of a Gateway and of a listener that we write. */
const NO_ERRORS = 'No errors found';

export interface StatusQuestion {
  readonly gateway: Gateway;
  /** Its user runs it, and says where by `spec.addresses`. */
  readonly manual: boolean;
  /** `cluster.local` */
  readonly domain: string;
  /** Of the Gateway's namespace, by name. */
  readonly service: (name: string) => Service | undefined;
  /** Of that Service. */
  readonly slices: (name: string) => readonly EndpointSlice[];
  /** What is wrong with what the Gateway asks for. */
  readonly parameterProblem: string | undefined;
  /** What could not be done for it. */
  readonly deploymentProblem: string | undefined;
}

export interface WantedStatus {
  readonly addresses: readonly GatewayAddressStatus[];
  readonly conditions: readonly WantedCondition[];
  readonly listeners: readonly (Omit<GatewayListenerStatus, 'conditions'> & {
    readonly conditions: readonly WantedCondition[];
  })[];
}

export function gatewayStatus(question: StatusQuestion): WantedStatus {
  const { gateway } = question;
  const listeners = gateway.spec?.listeners ?? [];
  const generation = gateway.metadata.generation;
  const observed = generation === undefined ? {} : { observedGeneration: generation };
  const at = (conditions: readonly WantedCondition[]) => conditions.map((one) => ({ ...one, ...observed }));
  const reach = reachOf(question, listeners);
  return {
    addresses: addressesOf(gateway, reach),
    conditions: at([
      accepted(question, listeners),
      programmed(question, reach),
      { type: 'ResolvedRefs', isTrue: true, reason: 'ResolvedRefs', message: 'All references resolved' },
    ]),
    listeners: listeners.map((listener) => ({
      name: listener.name,
      // Those count that name the Gateway as a parent and are accepted: a waypoint's listeners take none, since routes name
      // Services, and which waypoint has these is no matter of theirs.
      attachedRoutes: 0,
      supportedKinds: [],
      conditions: at(listenerConditions(listener)),
    })),
  };
}

function isForTunnels({ port, protocol }: GatewayListener): boolean {
  return port === HBONE_PORT && protocol === HBONE;
}

function listenerConditions(listener: GatewayListener): readonly WantedCondition[] {
  const ok = (type: string, reason: string): WantedCondition => ({
    type,
    isTrue: true,
    reason,
    message: NO_ERRORS,
  });
  const isRight = isForTunnels(listener);
  return [
    isRight
      ? ok('Accepted', 'Accepted')
      : {
          type: 'Accepted',
          isTrue: false,
          reason: 'UnsupportedProtocol',
          message: `Expected a single listener on port ${HBONE_PORT} with protocol "${HBONE}"`,
        },
    { type: 'Conflicted', isTrue: false, reason: 'NoConflicts', message: NO_ERRORS },
    ok('Programmed', 'Programmed'),
    ok('ResolvedRefs', 'ResolvedRefs'),
  ];
}

function accepted(
  { gateway, manual, parameterProblem }: StatusQuestion,
  listeners: readonly GatewayListener[],
): WantedCondition {
  const type = 'Accepted';
  if (parameterProblem !== undefined)
    return { type, isTrue: false, reason: 'InvalidParameters', message: parameterProblem };
  const unsupported = manual ? unsupportedAddresses(gateway) : [];
  if (unsupported.length > 0)
    return {
      type,
      isTrue: false,
      reason: 'UnsupportedAddress',
      message: `Only addresses of type Hostname are supported here, not ${unsupported.join(', ')}`,
    };
  const wrong = listeners.filter((listener) => !isForTunnels(listener)).map(({ name }) => name);
  return wrong.length > 0
    ? { type, isTrue: true, reason: 'ListenersNotValid', message: `Invalid listeners: ${wrong.join(', ')}` }
    : { type, isTrue: true, reason: 'Accepted', message: RESOURCE_ACCEPTED };
}

function unsupportedAddresses({ spec }: Gateway): readonly string[] {
  return (spec?.addresses ?? [])
    .filter(({ type = 'IPAddress', value }) => type !== 'Hostname' || value === undefined)
    .map(({ type = 'IPAddress', value = '' }) => `${type} ${value}`.trim());
}

/** How the Gateway can be reached now. */
interface Reach {
  /** `host:port` of listeners with something ready behind them. */
  readonly assigned: readonly string[];
  /** The Services that it consists of, as far as they are there. */
  readonly services: readonly { readonly host: string; readonly service: Service }[];
  /** Why not everything is assigned; `wait` when that may come right by itself. */
  readonly warnings: readonly { readonly text: string; readonly wait: boolean }[];
}

function reachOf(
  { gateway, manual, domain, service, slices }: StatusQuestion,
  listeners: readonly GatewayListener[],
): Reach {
  const { namespace = '' } = gateway.metadata;
  const suffix = `.${namespace}.svc.${domain}`;
  const wanted = manual ? hostsOf(gateway, suffix) : [`${deploymentName(gateway)}${suffix}`];
  const assigned: string[] = [];
  const services: { readonly host: string; readonly service: Service }[] = [];
  const warnings: { readonly text: string; readonly wait: boolean }[] = [];
  for (const host of wanted) {
    const name = host.endsWith(suffix) ? host.slice(0, -suffix.length) : '';
    const found = name === '' ? undefined : service(name);
    if (!found) {
      warnings.push({ text: `hostname "${host}" not found`, wait: !manual });
      continue;
    }
    services.push({ host, service: found });
    const behind = slices(name);
    const ports = [...new Set(listeners.map(({ port }) => port))];
    const isAnyReady = behind.some(({ endpoints = [] }) => endpoints.some(isReady));
    if (!isAnyReady) warnings.push({ text: `no instances found for hostname "${host}"`, wait: true });
    for (const port of ports) {
      if (hasInstance(found, behind, port)) assigned.push(`${host}:${port}`);
      else if (isAnyReady && manual)
        warnings.push({ text: `port ${port} not found for hostname "${host}"`, wait: false });
    }
  }
  return { assigned, services, warnings };
}

/** A name without dots is that of a Service beside the Gateway. */
function hostsOf({ spec }: Gateway, suffix: string): readonly string[] {
  return (spec?.addresses ?? []).flatMap(({ type, value }) =>
    type !== 'Hostname' || value === undefined ? [] : [value.includes('.') ? value : `${value}${suffix}`],
  );
}

function hasInstance(service: Service, slices: readonly EndpointSlice[], port: number): boolean {
  const served = service.spec?.ports?.find((one) => one.port === port);
  if (!served) return false;
  return slices.some(
    ({ ports = [], endpoints = [] }) =>
      ports.some((one) => (one.name ?? '') === (served.name ?? '')) && endpoints.some(isReady),
  );
}

function isReady({ conditions }: NonNullable<EndpointSlice['endpoints']>[number]): boolean {
  return conditions?.ready ?? true;
}

function programmed(
  { deploymentProblem, parameterProblem }: StatusQuestion,
  { assigned, warnings }: Reach,
): WantedCondition {
  const type = 'Programmed';
  const problem = parameterProblem ?? deploymentProblem;
  if (problem !== undefined) return { type, isTrue: false, reason: 'Invalid', message: problem };
  const texts = warnings.map(({ text }) => text).join('; ');
  if (warnings.length === 0 && assigned.length > 0)
    return {
      type,
      isTrue: true,
      reason: 'Programmed',
      message: `Resource programmed, assigned to service(s) ${inWords(assigned)}`,
    };
  const reason = warnings.every(({ wait }) => wait) ? 'AddressNotAssigned' : 'AddressNotUsable';
  const message =
    assigned.length > 0
      ? `Assigned to service(s) ${inWords(assigned)}, but failed to assign to all requested addresses: ${texts}`
      : `Failed to assign to any requested addresses${texts === '' ? '' : `: ${texts}`}`;
  return { type, isTrue: false, reason, message };
}

/** `a`, `a and b`, `a, b, and c`. */
function inWords(items: readonly string[]): string {
  if (items.length < 3) return items.join(' and ');
  return `${items.slice(0, -1).join(', ')}, and ${items.at(-1) ?? ''}`;
}

function addressesOf(gateway: Gateway, { assigned, services }: Reach): readonly GatewayAddressStatus[] {
  const before = gateway.status?.addresses ?? [];
  if (assigned.length === 0 && before.length === 0) return [];
  const external = services.flatMap(({ service }) => service.status?.loadBalancer?.ingress ?? []);
  const now: readonly GatewayAddressStatus[] =
    external.length > 0
      ? external.flatMap(({ ip, hostname }) =>
          ip !== undefined
            ? [{ type: 'IPAddress', value: ip }]
            : hostname !== undefined
              ? [{ type: 'Hostname', value: hostname }]
              : [],
        )
      : inside(gateway, services);
  return (now.length > 0 ? now : before).slice(0, MAX_ADDRESSES);
}

/** Both kinds of address, unless only one of them is asked for. */
function inside(gateway: Gateway, services: Reach['services']): readonly GatewayAddressStatus[] {
  const only = gateway.metadata.annotations?.[ADDRESS_TYPE_ANNOTATION];
  const ips = services.flatMap(({ service: { spec } }) =>
    (spec?.clusterIPs ?? []).filter((ip) => ip !== '' && ip !== 'None'),
  );
  // Where there is not room for all, a name stands for every address of its Service.
  const all: readonly GatewayAddressStatus[] = [
    ...ips.slice(0, MAX_ADDRESSES - services.length).map((value) => ({ type: 'IPAddress', value })),
    ...services.map(({ host: value }) => ({ type: 'Hostname', value })),
  ];
  return only === 'IPAddress' || only === 'Hostname' ? all.filter(({ type }) => type === only) : all;
}

/** Whether a condition may be one of ours; Istio's have the same words. */
export function saysOurs({ status }: Gateway): boolean {
  return (status?.conditions ?? []).some(
    ({ type, message = '' }) =>
      (type === 'Accepted' && message === RESOURCE_ACCEPTED) ||
      (type === 'Programmed' && OUR_WORDS.test(message)),
  );
}

const RESOURCE_ACCEPTED = 'Resource accepted';
const OUR_WORDS =
  /^(?:Resource programmed, assigned to|Assigned to service|Failed to assign to any requested)/;

/**
 * The whole status as it is to be written, or `undefined` if the Gateway says so already.
 *
 * @param nowMs - Since 1970: when a condition that turns was last different.
 */
export function statusToWrite(
  { status = {} }: Gateway,
  wanted: WantedStatus,
  nowMs: number,
): Gateway['status'] | undefined {
  const before = status.conditions ?? [];
  const conditions = writtenConditions(before, wanted.conditions, nowMs);
  const listenerBefore = (name: string) => status.listeners?.find((listener) => listener.name === name);
  const listeners = wanted.listeners.map((listener) => ({
    ...listener,
    conditions: writtenConditions(
      listenerBefore(listener.name)?.conditions ?? [],
      listener.conditions,
      nowMs,
    ),
  }));
  const isSame =
    sameAddresses(status.addresses ?? [], wanted.addresses) &&
    sayAll(before, conditions) &&
    status.listeners?.length === listeners.length &&
    listeners.every((listener) => {
      const current = listenerBefore(listener.name);
      return (
        current?.attachedRoutes === listener.attachedRoutes &&
        sayAll(current?.conditions ?? [], listener.conditions)
      );
    });
  return isSame ? undefined : { addresses: wanted.addresses, conditions, listeners };
}

function sameAddresses(a: readonly GatewayAddressStatus[], b: readonly GatewayAddressStatus[]): boolean {
  return (
    a.length === b.length &&
    a.every(({ type = 'IPAddress', value }, i) => type === b[i]?.type && value === b[i].value)
  );
}
