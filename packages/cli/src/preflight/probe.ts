/**
 * Looking at each node from a short-lived pod on it.
 *
 * Invariant: what was made is removed again, however this ends, also when the user interrupts it; the namespace takes
 * everything with it. What an earlier run left, as it was killed, is removed first. A namespace that somebody else made,
 * another run of this command included, is never removed.
 */
import { messageOf } from '@ambit/core/errors';
import { isNotFound } from '@ambit/kube/errors';
import type { KubeObject } from '@ambit/kube/resource';
import { daemonSets, namespaces, type Pod, pods } from '@ambit/kube/resources/core';
import { askAdminJson } from '../admin.ts';
import type { Context } from '../context.ts';
import { isRunning } from '../enrolment.ts';
import { listOf, numberOf, objectOf, textOf, textsOf } from '../json-value.ts';
import {
  INSTALL_POLL_MS,
  MAX_PEERS_REACHED,
  MAX_PROXIES_ASKED_AT_ONCE,
  PREFLIGHT_CLEANUP_MS,
  PREFLIGHT_NODE_MS,
  PREFLIGHT_PROBED_MS,
} from '../limits.ts';
import { mapLimited } from '../map-limited.ts';
import { isReady } from '../pod-ready.ts';
import { lastEvent } from '../events.ts';
import { podReason } from '../install/decide/pod-reason.ts';
import type { Probe } from './decide/facts.ts';
import {
  isLeftover,
  PREFLIGHT_LABEL,
  PREFLIGHT_NAME,
  type PreflightPods,
  preflightDaemonSet,
  preflightNamespace,
} from './pods.ts';

const ADMIN_PORT = 15_000;
/** That one pod is asked, one after the other. */
const QUESTIONS = 2;

/** @returns By node; nodes on which no pod came up in time have a reason instead. */
export async function probeNodes(
  context: Context,
  nodeNames: readonly string[],
  given: PreflightPods,
): Promise<ReadonlyMap<string, Probe>> {
  await removeLeftovers(context);
  const { client, clock, options, signal } = context;
  const rounds = Math.ceil(nodeNames.length / MAX_PROXIES_ASKED_AT_ONCE);
  const longestMs = options.timeoutMs + rounds * QUESTIONS * PREFLIGHT_NODE_MS + PREFLIGHT_CLEANUP_MS;
  const wanted = preflightNamespace(given.namespace, clock.now() + longestMs);
  const namespace = await client.create(namespaces, wanted, {}, signal);
  try {
    await client.create(daemonSets, preflightDaemonSet(given), {}, signal);
    return await lookAround(context, nodeNames, given);
  } finally {
    await remove(context, namespace);
  }
}

async function removeLeftovers(context: Context): Promise<void> {
  const { client, clock, signal } = context;
  const { items } = await client.list(namespaces, { labelSelector: `${PREFLIGHT_LABEL}=true` }, signal);
  for (const namespace of items.filter((one) => isLeftover(one, clock.now()))) {
    const { name } = namespace.metadata;
    const inside = await client.list(pods, { namespace: name }, signal);
    const isOurs = inside.items.every(({ metadata }) => metadata.labels?.['app'] === PREFLIGHT_NAME);
    if (isOurs) await remove(context, namespace);
    else
      context.warn(`namespace ${name} is what an earlier preflight left, but has pods of others; it stays`);
  }
}

/** With a time of its own: the user's interruption is a reason to do it, not to leave it. */
async function remove({ client, warn }: Context, { metadata: { name, uid } }: KubeObject): Promise<void> {
  const only = uid === undefined ? {} : { uid };
  try {
    await client.delete(namespaces, { name }, only, AbortSignal.timeout(PREFLIGHT_CLEANUP_MS));
  } catch (error) {
    if (isNotFound(error)) return;
    warn(`namespace ${name} could not be removed: ${messageOf(error)}; kubectl delete namespace ${name}`);
  }
}

async function lookAround(
  context: Context,
  nodeNames: readonly string[],
  { namespace, cniFolder }: PreflightPods,
): Promise<ReadonlyMap<string, Probe>> {
  const up = await podsUp(context, nodeNames, namespace);
  const addresses = new Map(up.running.map((pod) => [pod.spec?.nodeName ?? '', pod.status?.podIP ?? '']));
  const looked = await mapLimited(up.running, MAX_PROXIES_ASKED_AT_ONCE, async (pod) => {
    const node = pod.spec?.nodeName ?? '';
    try {
      return [node, await look(context, pod, cniFolder, addresses)] as const;
    } catch (error) {
      context.signal.throwIfAborted();
      return [node, { kind: 'failed', reason: messageOf(error) }] as const;
    }
  });
  const found = new Map<string, Probe>(looked);
  for (const node of nodeNames)
    if (!found.has(node)) {
      const pod = up.waiting.find(({ spec }) => spec?.nodeName === node);
      const reason = pod ? podReason(pod) : 'no pod was started on it';
      const event = pod && (await lastEvent(context, pod.metadata));
      found.set(node, {
        kind: 'failed',
        reason: event === undefined ? reason : `${reason} (last event: ${event})`,
      });
    }
  return found;
}

/** Waits until the pod of each node runs and was probed, or time is up; a pod that runs is given a while to be probed. */
async function podsUp(
  { client, clock, options, signal }: Context,
  nodeNames: readonly string[],
  namespace: string,
) {
  const startMs = clock.monotonicMs();
  const deadlineMs = startMs + options.timeoutMs;
  let runningSinceMs: number | undefined;
  for (;;) {
    const { items } = await client.list(pods, { namespace }, signal);
    const running = items.filter((pod) => isRunning(pod) && Boolean(pod.status?.podIP));
    const nowMs = clock.monotonicMs();
    const all = running.length >= nodeNames.length;
    runningSinceMs ??= all ? nowMs : undefined;
    const probed = running.filter(isReady).length >= nodeNames.length;
    const waiting = items.filter((pod) => !running.includes(pod));
    const hopeless = items.length >= nodeNames.length && waiting.every(lacksImage);
    const waited = runningSinceMs !== undefined && nowMs - runningSinceMs >= PREFLIGHT_PROBED_MS;
    const over = all ? probed || waited : hopeless && nowMs - startMs >= PREFLIGHT_PROBED_MS;
    if (over || nowMs >= deadlineMs) return { running, waiting };
    await clock.sleep(INSTALL_POLL_MS, signal);
  }
}

/** Its image cannot be had, so that waiting on brings nothing. */
function lacksImage({ status }: Pod): boolean {
  return listOf(objectOf(status)['containerStatuses']).some((one) =>
    /^(ErrImagePull|ImagePullBackOff|InvalidImageName|ErrImageNeverPull)$/.test(
      textOf(objectOf(objectOf(objectOf(one)['state'])['waiting'])['reason']),
    ),
  );
}

async function look(
  context: Context,
  pod: Pod,
  cniFolder: string,
  addresses: ReadonlyMap<string, string>,
): Promise<Probe> {
  const { clock } = context;
  const node = pod.spec?.nodeName ?? '';
  const ask = (path: string) => askPod(context, pod, path);
  const facts = objectOf(await ask('/facts'));
  const afterMs = clock.now();
  const peers = [...addresses]
    .filter(([other, ip]) => other !== node && ip !== '')
    .slice(0, MAX_PEERS_REACHED);
  const query = peers.map(([, ip]) => `to=${encodeURIComponent(ip)}`).join('&');
  const reached = peers.length === 0 ? {} : objectOf(await ask(`/reach?${query}`));
  return {
    kind: 'looked',
    nftables: textOf(facts['nftables']),
    iptables: textOf(facts['iptables']),
    cniFolder,
    cniFolderProblem: textOf(facts['cniFolderProblem']),
    cniConfigs: listOf(facts['cniConfigs'])
      .map(objectOf)
      .map((config) => ({ file: textOf(config['file']), types: textsOf(config['types']) })),
    probed: textOf(facts['probeSource']) !== '',
    // The answer is made at its end: looking takes a while, telling takes none.
    clockAheadMs: (numberOf(facts['atMs']) ?? afterMs) - afterMs,
    selinux: textOf(facts['selinux']),
    apparmor: textOf(facts['apparmor']),
    unreached: peers.flatMap(([other, ip]) => {
      const problem = textOf(reached[ip] ?? 'not tried');
      return problem === '' ? [] : [{ node: other, problem }];
    }),
  };
}

async function askPod({ dial, clock, signal }: Context, pod: Pod, path: string): Promise<unknown> {
  const { namespace = '', name } = pod.metadata;
  const abort = new AbortController();
  const timer = clock.after(PREFLIGHT_NODE_MS, () =>
    abort.abort(new Error(`no answer within ${PREFLIGHT_NODE_MS / 1_000} s`)),
  );
  try {
    return await askAdminJson(
      `pod ${namespace}/${name}`,
      (until) => dial({ namespace, name, port: ADMIN_PORT }, until),
      path,
      AbortSignal.any([signal, abort.signal]),
    );
  } finally {
    timer.cancel();
  }
}
