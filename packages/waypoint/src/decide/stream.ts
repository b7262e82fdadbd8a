/**
 * Where a connection that is no HTTP goes: TCPRoute, TLSRoute, and the tcp and tls parts of VirtualServices.
 *
 * Of each route its first rule that matches; of the routes the one whose rule says most of the name that TLS asks for,
 * then the oldest. No route at all: to the service itself. Gateway API routes of which none matches: closed.
 */
import type { Random } from '@ambit/core/clock';
import type { ServiceKey } from '@ambit/model/address';
import { atPort } from '../resources/service-port.ts';
import type { StreamRoute, StreamRule } from '../resources/stream-route.ts';
import { drawByWeight } from './draw.ts';
import type { Lead, RouteName } from './route-decision.ts';
import { NO_ROUTE } from './route-decision.ts';

export interface StreamView {
  /** A TLS ClientHello came first. */
  readonly isTls: boolean;
  /** Of the ClientHello; `undefined` without one. */
  readonly sni: string | undefined;
  /** Of the client; `undefined` when its identity names none. */
  readonly sourceNamespace: string | undefined;
}

export type StreamDecision =
  | ({ readonly kind: 'forward'; readonly name: RouteName } & Lead)
  | {
      readonly kind: 'close';
      readonly name: RouteName;
      readonly reason: 'no-route' | 'no-backend' | 'invalid-backend' | 'unreadable';
      /** One sentence, for logs. */
      readonly message: string;
    };

/** @param routes - Of the port, from the oldest on. */
export function decideStream(
  routes: readonly StreamRoute[],
  service: ServiceKey,
  port: number,
  stream: StreamView,
  random: Random,
): StreamDecision {
  const asked = routesFor(routes, stream);
  const broken = asked.find(({ unreadable }) => unreadable !== undefined);
  if (broken) {
    const message = `${broken.name} cannot be read: ${broken.unreadable}`;
    return { kind: 'close', name: { ...NO_ROUTE, route: broken.name }, reason: 'unreadable', message };
  }
  const matched = bestMatch(asked, stream);
  if (matched) return follow(matched, port, random);
  if (asked.every(isVirtualService)) {
    const backend = { to: { service, port }, subset: '' };
    const nobodys = { consumerNamespace: undefined, authorNamespace: undefined };
    return { kind: 'forward', name: NO_ROUTE, backend, ...nobodys };
  }
  const message = `no route of ${service} matches ${stream.sni ?? 'a connection without a name'}`;
  return { kind: 'close', name: NO_ROUTE, reason: 'no-route', message };
}

/** A consumer's routes stand in place of the producer's. */
function routesFor(routes: readonly StreamRoute[], { sourceNamespace }: StreamView): readonly StreamRoute[] {
  const own = routes.filter(
    ({ consumerNamespace }) => consumerNamespace !== undefined && consumerNamespace === sourceNamespace,
  );
  return own.length > 0 ? own : routes.filter(({ consumerNamespace }) => consumerNamespace === undefined);
}

function isVirtualService({ origin }: StreamRoute): boolean {
  return origin.kind === 'VirtualService';
}

interface Matched {
  readonly route: StreamRoute;
  readonly rule: StreamRule;
  readonly ruleIndex: number;
  readonly specificity: number;
}

function bestMatch(routes: readonly StreamRoute[], stream: StreamView): Matched | undefined {
  let best: Matched | undefined;
  for (const route of routes) {
    const matched = firstMatch(route, stream);
    if (matched && (best === undefined || matched.specificity > best.specificity)) best = matched;
  }
  return best;
}

function firstMatch(route: StreamRoute, stream: StreamView): Matched | undefined {
  for (const [ruleIndex, rule] of route.rules.entries()) {
    const specificity = specificityOf(rule, stream);
    if (specificity > 0) return { route, rule, ruleIndex, specificity };
  }
  return undefined;
}

const CLEAR = 1;
const ANY_NAME = 2;

/** 0: the rule does not match. An exact name says more than any wildcard, and a longer wildcard more than a shorter. */
function specificityOf(rule: StreamRule, { isTls, sni, sourceNamespace }: StreamView): number {
  const { tls, sniHosts } = rule;
  if (rule.sourceNamespace !== undefined && rule.sourceNamespace !== sourceNamespace) return 0;
  if (sniHosts.length === 0) {
    if (!tls) return CLEAR;
    return isTls ? ANY_NAME : 0;
  }
  if (!isTls || sni === undefined) return 0;
  const name = sni.toLowerCase();
  let best = 0;
  for (const host of sniHosts) {
    if (host === name) return Number.MAX_SAFE_INTEGER;
    const isWild = host.startsWith('*') && name.length >= host.length && name.endsWith(host.slice(1));
    if (isWild) best = Math.max(best, ANY_NAME + host.length);
  }
  return best;
}

function follow({ route, rule, ruleIndex }: Matched, port: number, random: Random): StreamDecision {
  const name: RouteName = { route: route.name, rule: rule.name, ruleIndex, match: '' };
  const backend = drawByWeight(rule.backends, random);
  if (backend === undefined) {
    const message = `rule ${rule.name || ruleIndex} of ${route.name} has no backend`;
    return { kind: 'close', name, reason: 'no-backend', message };
  }
  const { target } = backend;
  if (target.kind === 'service') {
    const { consumerNamespace, origin } = route;
    const to = { to: atPort(target.to, port), subset: target.subset };
    const whose = { consumerNamespace, authorNamespace: origin.namespace };
    return { kind: 'forward', name, backend: to, ...whose };
  }
  const message = `a backend of ${route.name} does not exist or may not be used`;
  return { kind: 'close', name, reason: 'invalid-backend', message };
}
