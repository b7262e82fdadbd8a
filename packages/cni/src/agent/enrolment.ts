/**
 * Bringing one pod into the mesh and out of it: the steps, in the order in which no connection is lost.
 *
 * Into: the proxy listens and probes have their source, then the rules come in one transaction, then everybody is told. Out: the rules stop redirecting,
 * everybody is told, the proxy closes its listeners and lets go of its connections, and only then the marks that its
 * replies need go. Each step may be repeated; a failed one leaves the pod as it was or further on, never in between.
 */
import { setImmediate } from 'node:timers/promises';
import type { Clock, Timer } from '@ambit/core/clock';
import { messageOf } from '@ambit/core/errors';
import { isLoopback } from '@ambit/core/ip';
import type { Logger } from '@ambit/core/log';
import type { Pod } from '@ambit/kube/resources/core';
import { clearConnections as connectionsInClear } from '@ambit/linux/clear-connections';
import {
  destroyTcpConnection,
  listTcpConnections,
  type TcpConnection,
  type TcpListing,
} from '@ambit/linux/sock-diag';
import type { Netns } from '@ambit/linux/netns';
import type { ZdsPod } from '@ambit/zds/messages';
import type { PodRulesBackend } from '../rules/backend.ts';
import {
  DNS_CAPTURE_PORT,
  INBOUND_PLAINTEXT_PORT,
  MARK_MASK,
  OUTBOUND_PORT,
  ZTUNNEL_MARK,
} from '../rules/constants.ts';
import { type RuleDefaults, rulesFor } from './decide/plan.ts';
import type { HostProbes } from './host-probes.ts';
import type { UnforgottenConnections } from './unforgotten.ts';
import {
  MAX_CUT_LISTINGS,
  PROPAGATION_MS,
  RELEASE_DRAIN_MS,
  RELEASE_POLL_MS,
  RELEASE_QUIET_MS,
} from './limits.ts';

/** A pod that this agent holds. */
export interface HeldPod {
  readonly pod: ZdsPod;
  readonly netns: Netns;
  readonly ips: readonly string[];
  /**
   * How far it is, on its way in: the proxy listens; redirection is in force; everybody has been told. On its way out:
   * nothing new is redirected; the proxy has been told.
   */
  stage: 'listening' | 'redirected' | 'enrolled' | 'leaving' | 'draining';
  /** When it was enrolled, or its stage on the way out began, on the monotonic clock. */
  sinceMs: number;
  /** Another agent has had it enrolled, in this namespace: it is redirected, though this one has done nothing yet. */
  readonly isTakenUp: boolean;
  /** It is outside the mesh, and ztunnel did not take it when it was asked last, or was not there. */
  isRefused: boolean;
  /** The wait for the next step out. */
  timer: Timer | undefined;
}

export interface EnrolmentDeps {
  /** The ZDS server's verbs. */
  readonly proxy: {
    /** Counts ztunnels that have connected. */
    readonly welcomed: number;
    add(entry: { readonly pod: ZdsPod; readonly netnsFd: number }): Promise<void>;
    remove(uid: string): Promise<void>;
  };
  readonly rules: PodRulesBackend;
  readonly probes: HostProbes;
  /** Writes the redirection annotation; `undefined` takes it off. A pod that is gone is no error. */
  readonly annotate: (pod: ZdsPod, value: 'enabled' | undefined, signal: AbortSignal) => Promise<void>;
  /** Told a little before: whoever writes can get ready. */
  readonly annotateSoon: () => void;
  readonly defaults: RuleDefaults;
  readonly unforgotten: Pick<UnforgottenConnections, 'tell'>;
  readonly clock: Clock;
  readonly log: Logger;
}

/**
 * A pod that is outside until then, and whose connections could not be carried, ztunnel refuses: it goes on as it is.
 *
 * @throws whatever a step throws; `held.stage` says how far it came, and calling again goes on from there.
 */
export async function enrol(
  held: HeldPod,
  pod: Pod,
  deps: EnrolmentDeps,
  signal: AbortSignal,
): Promise<void> {
  const { fd } = held.netns;
  const name = `${held.pod.namespace}/${held.pod.name}`;
  let hasFailed = false;
  const { welcomed } = deps.proxy;
  const listening = deps.proxy.add({ pod: announced(held), netnsFd: fd }).catch((error: unknown) => {
    hasFailed = true;
    throw error;
  });
  // Probes first or meanwhile: the rules capture those that come from elsewhere. But a turn later: to start a program takes
  // this thread milliseconds, in which the proxy can begin already. And whatever else the next steps are to find there.
  const meanwhile = async () => {
    await setImmediate();
    if (hasFailed) return;
    deps.annotateSoon();
    await deps.probes.add(held.ips.map((ip) => ({ ip, uid: held.pod.uid })));
  };
  // Who was refused is likely to be again, and is probed like any pod outside until it is not.
  if (held.isRefused) await listening;
  const ready = await Promise.allSettled([listening, meanwhile()]);
  held.isRefused = hasFailed && isOutside(held);
  if (held.isRefused)
    await deps.probes.remove(held.pod.uid, held.ips).catch((error: unknown) => {
      deps.log.warn('a pod outside is probed like one in the mesh', { pod: name, error: messageOf(error) });
    });
  for (const one of ready) if (one.status === 'rejected') throw one.reason;
  await deps.rules.apply(fd, rulesFor(pod, deps.defaults));
  if (held.stage !== 'enrolled') held.stage = 'redirected';
  // One that came meanwhile has heard of a pod outside.
  if (deps.proxy.welcomed !== welcomed) await deps.proxy.add({ pod: announced(held), netnsFd: fd });
  await deps.annotate(held.pod, 'enabled', signal);
  held.stage = 'enrolled';
  held.sinceMs = deps.clock.monotonicMs();
  tellOfClear(held, deps);
}

/** That it cannot be told takes nobody out of the mesh. */
function tellOfClear({ pod, netns }: HeldPod, { log }: EnrolmentDeps): void {
  const name = `${pod.namespace}/${pod.name}`;
  try {
    const clear = clearConnections(netns.fd);
    if (clear === undefined)
      log.warn('a pod has too many sockets to tell which connections go on in clear', { pod: name });
    else if (clear.length > 0)
      log.info('connections older than enrolment go on in clear', { pod: name, connections: clear.length });
  } catch (error) {
    log.warn('it cannot be told which connections go on in clear', { pod: name, error: messageOf(error) });
  }
}

/** The pod as ztunnel is told of it. */
export function announced(held: HeldPod): ZdsPod {
  return isOutside(held) ? { ...held.pod, waitsOutside: true } : held.pod;
}

/** Whether nothing is redirected. */
function isOutside({ stage, isTakenUp }: HeldPod): boolean {
  return stage === 'leaving' || stage === 'draining' || (stage === 'listening' && !isTakenUp);
}

/**
 * The next step of a pod's way out of the mesh, in which it lives on. Steps that wait return at once, so that many pods
 * can leave together and one that is wanted again can turn round.
 *
 * @returns after how many milliseconds to take the step that follows; `undefined` when the pod is out.
 */
export async function releaseStep(
  held: HeldPod,
  deps: EnrolmentDeps,
  signal: AbortSignal,
): Promise<number | undefined> {
  const { fd } = held.netns;
  const nowMs = deps.clock.monotonicMs();
  const elapsedMs = nowMs - held.sinceMs;
  switch (held.stage) {
    case 'leaving':
      if (elapsedMs < PROPAGATION_MS) return PROPAGATION_MS - elapsedMs;
      if (elapsedMs < RELEASE_QUIET_MS && servesProgram(held)) return RELEASE_POLL_MS;
      await deps.proxy.remove(held.pod.uid);
      held.stage = 'draining';
      held.sinceMs = nowMs;
      return RELEASE_POLL_MS;
    case 'draining':
      if (elapsedMs < RELEASE_DRAIN_MS && usesProxy(fd)) return RELEASE_POLL_MS;
      await takeLast(held, deps);
      return undefined;
    default:
      deps.annotateSoon();
      await deps.rules.removeRedirects(fd);
      await deps.annotate(held.pod, undefined, signal);
      held.stage = 'leaving';
      held.sinceMs = deps.clock.monotonicMs();
      return PROPAGATION_MS;
  }
}

/**
 * The rest of a pod's way out at once, whatever it has open: nobody will be there to take the steps.
 *
 * @throws whatever keeps the last rules from going.
 */
export async function endRelease(held: HeldPod, deps: EnrolmentDeps): Promise<void> {
  await deps.proxy.remove(held.pod.uid).catch((error: unknown) => {
    const pod = `${held.pod.namespace}/${held.pod.name}`;
    deps.log.warn('ztunnel did not let go of a pod that has left the mesh', { pod, error: messageOf(error) });
  });
  await takeLast(held, deps);
}

async function takeLast(held: HeldPod, deps: EnrolmentDeps): Promise<void> {
  cut(held, deps);
  deps.unforgotten.tell(held.pod, await deps.rules.remove(held.netns.fd));
  await deps.probes.remove(held.pod.uid, held.ips);
}

/** The pod is gone, or its programs have ended; its namespace, and the rules in it, go with it. */
export async function forget(held: HeldPod, deps: EnrolmentDeps, signal: AbortSignal): Promise<void> {
  await deps.probes.remove(held.pod.uid, held.ips);
  await deps.proxy.remove(held.pod.uid);
  await deps.annotate(held.pod, undefined, signal);
}

/** Those of the proxy; of more than one listing holds, some, and perhaps others that it does not hold. */
function proxyConnections(netnsFd: number): TcpListing {
  const { connections, isAll } = listTcpConnections(netnsFd);
  return { connections: connections.filter(isOfProxy), isAll };
}

function usesProxy(netnsFd: number): boolean {
  const { connections, isAll } = proxyConnections(netnsFd);
  return connections.length > 0 || !isAll;
}

/**
 * Cuts what is listed, and then what the listing had no room for, since what was cut is in the next one no more. A pod that
 * opens others meanwhile is not followed for ever.
 *
 * @param destroy - Whether it was still there.
 * @returns how many were cut.
 */
export function cutListed(list: () => TcpListing, destroy: (connection: TcpConnection) => boolean): number {
  let count = 0;
  for (let n = 0; n < MAX_CUT_LISTINGS; n++) {
    const { connections, isAll } = list();
    const gone = connections.filter(destroy).length;
    count += gone;
    if (isAll || gone === 0) break;
  }
  return count;
}

/** Whether a connection of the pod's programs goes through the proxy; tunnels that are kept for later do not count. */
function servesProgram({ netns, ips }: HeldPod): boolean {
  const { connections, isAll } = proxyConnections(netns.fd);
  return (
    !isAll ||
    connections.some(
      ({ local, remote }) =>
        REDIRECTED_TO.has(local.port) || isLoopback(remote.ip) || ips.includes(remote.ip),
    )
  );
}

function cut(held: HeldPod, { log }: EnrolmentDeps): void {
  const { fd } = held.netns;
  const count = cutListed(
    () => proxyConnections(fd),
    ({ handle }) => destroyTcpConnection(fd, handle),
  );
  if (count === 0) return;
  log.warn('connections through the proxy are cut, the pod has left the mesh', {
    pod: `${held.pod.namespace}/${held.pod.name}`,
    connections: count,
  });
}

/**
 * Connections of the pod's programs with the outside that no proxy sees.
 *
 * @returns `undefined` if there are too many sockets to tell: the proxy's end may be among those that are not listed.
 */
export function clearConnections(netnsFd: number): readonly TcpConnection[] | undefined {
  const { connections, isAll } = listTcpConnections(netnsFd);
  return isAll ? connectionsInClear(connections, { isOfProxy, redirectedTo: REDIRECTED_TO }) : undefined;
}

const REDIRECTED_TO: ReadonlySet<number> = new Set([OUTBOUND_PORT, INBOUND_PLAINTEXT_PORT, DNS_CAPTURE_PORT]);

function isOfProxy({ mark = 0 }: TcpConnection): boolean {
  return (mark & MARK_MASK) === ZTUNNEL_MARK;
}
