/**
 * The pods of this node: what the API server says of them, what is to be done (decide/plan.ts), and doing it, one step at a
 * time for each pod and again after a failure.
 */
import type { Collection } from '@ambit/collections/collection';
import type { Random } from '@ambit/core/clock';
import { messageOf, MeshError } from '@ambit/core/errors';
import type { EventTeller, ObjectEvent } from '@ambit/kube/event-teller';
import { type Namespace, type Pod, pods as podResource } from '@ambit/kube/resources/core';
import { canonicalNames } from '@ambit/kube/workload-name';
import { MAX_LISTED_CONNECTIONS } from '@ambit/linux/limits';
import type { ZdsPod } from '@ambit/zds/messages';
import type { ZdsSnapshotEntry } from '@ambit/zds/agent-side';
import { type Eligibility, eligibility, type EligibilityRules } from './decide/eligibility.ts';
import { bypassesInbound, hasEnded, isMarked, planFor, podIps } from './decide/plan.ts';
import {
  announced,
  clearConnections,
  endRelease,
  enrol,
  type EnrolmentDeps,
  forget,
  type HeldPod,
  releaseStep,
} from './enrolment.ts';
import { KeyedQueue } from './keyed-queue.ts';
import {
  CONCURRENT_PODS,
  FAILURE_TOLD_RETRY_MS,
  MARK_SEEN_MS,
  MAX_CLEAR_CONNECTIONS_LISTED,
  MAX_ENROLLED_PODS,
} from './limits.ts';
import { SIDECAR_STATUS_ANNOTATION } from '../names.ts';
import type { NetnsFinder } from './netns-finder.ts';
import type { NetnsReports } from './reports.ts';

/** More pods than one node may have in the mesh. */
export class TooManyPodsError extends MeshError {
  readonly code = 'TOO_MANY_PODS';
  readonly side = 'internal';
}

export interface PodsOptions extends EnrolmentDeps {
  /** Of this node alone. */
  readonly pods: Collection<string, Pod>;
  readonly namespaces: Collection<string, Namespace>;
  readonly rulesOfEligibility: EligibilityRules;
  /** Where ztunnel's own pods live: they are never enrolled, and never in a snapshot. */
  readonly systemNamespace: string;
  readonly finder: NetnsFinder;
  readonly reports: Pick<NetnsReports, 'get' | 'set' | 'delete'>;
  readonly random: Random;
  readonly onReconcile: (kind: 'add' | 'update' | 'delete') => void;
  readonly onEnrolled: (way: EnrolmentWay) => void;
  /** @param code - Of the error. */
  readonly onEnrolmentFailure: (code: string) => void;
  readonly events: Pick<EventTeller, 'tell'>;
}

/**
 * How a pod came into the mesh: with its start; by a label while it ran; late, since it had started without being asked
 * about (no plugin on the node, or another agent's); taken up from an agent before.
 */
export type EnrolmentWay = 'plugin' | 'label' | 'late' | 'recovered';

export interface ClearConnection {
  readonly pod: string;
  readonly local: string;
  readonly remote: string;
}

/** A pod with too many sockets to tell which of them go on in clear. */
export interface UntoldPod {
  readonly pod: string;
  readonly untold: string;
}

export class NodePods implements AsyncDisposable {
  readonly #options: PodsOptions;
  /** By UID. */
  readonly #held = new Map<string, HeldPod>();
  /** UIDs of pods that were seen to be outside the mesh, so that coming in later is on purpose. */
  readonly #seenOutside = new Set<string>();
  readonly #queue: KeyedQueue;
  readonly #subscriptions = new DisposableStack();

  constructor(options: PodsOptions) {
    this.#options = options;
    this.#queue = new KeyedQueue({
      work: (key, signal) => this.#reconcile(key, signal),
      onFailure: (key, error, { retryMs, isNews }) => {
        options.log[isNews ? 'warn' : 'debug']('a pod is not as it should be yet, trying again', {
          pod: key,
          error: messageOf(error),
          retryMs: Math.round(retryMs),
        });
        if (retryMs >= FAILURE_TOLD_RETRY_MS) this.#tellFailure(key, error);
      },
      clock: options.clock,
      random: options.random,
    });
  }

  get heldCount(): number {
    return this.#held.size;
  }

  /** Of those, how many are outside the mesh since ztunnel has not taken them. */
  get refusedCount(): number {
    return this.#held.values().reduce((sum, { isRefused }) => sum + (isRefused ? 1 : 0), 0);
  }

  /**
   * Takes up what an earlier agent had enrolled, without touching a connection: these pods are in the first snapshot of ZDS,
   * and once pods are followed their rules are applied again, unless `reconcile` says to trust them.
   */
  recover(reconcile: boolean): void {
    for (const pod of this.#options.pods.values()) {
      if (!isMarked(pod) || hasEnded(pod) || this.#isZtunnel(pod)) continue;
      try {
        const held = this.#hold(pod, undefined);
        if (!reconcile) held.stage = 'enrolled';
      } catch (error) {
        this.#options.log.warn('an enrolled pod cannot be taken up yet', {
          pod: keyOf(pod),
          error: messageOf(error),
        });
      }
    }
  }

  /**
   * Takes up pods that an earlier agent was taking out of the mesh: nothing but their rules says so any more. Their way out
   * begins anew once pods are followed. Those that belong into the mesh come in again instead.
   */
  async recoverReleases(): Promise<void> {
    const { pods, finder, reports, rules, log } = this.#options;
    const outside = [...pods.values()].filter(
      (pod) => !isMarked(pod) && !hasEnded(pod) && mayBeReleased(pod) && !this.eligibilityOf(pod).eligible,
    );
    const byUid = new Map(outside.map((pod) => [pod.metadata.uid ?? '', pod]));
    const wanted = [...byUid].map(([uid, pod]) => ({
      uid,
      ips: podIps(pod),
      reportedPath: reports.get(uid)?.path,
    }));
    for (const { uid, netns } of finder.findMany(wanted)) {
      using _ = netns;
      const pod = byUid.get(uid);
      if (!pod) continue;
      try {
        if (!(await rules.stand(netns.fd))) continue;
        this.#hold(pod, undefined).stage = 'redirected';
        log.info('an earlier agent has not taken a pod out of the mesh to the end', { pod: keyOf(pod) });
      } catch (error) {
        log.warn('whether a pod outside the mesh has rules of it cannot be told', {
          pod: keyOf(pod),
          error: messageOf(error),
        });
      }
    }
  }

  /**
   * Ends what is under way out of the mesh, since no agent will come that would.
   *
   * @param signal - Aborting leaves the pods that are not begun with as they are.
   */
  async endReleases(signal: AbortSignal): Promise<void> {
    const left = [...this.#held.values()].filter(isOnItsWayOut);
    const work = async () => {
      for (let held = left.shift(); held && !signal.aborted; held = left.shift())
        await this.#endRelease(held);
    };
    await Promise.all(Array.from({ length: CONCURRENT_PODS }, work));
  }

  async #endRelease(held: HeldPod): Promise<void> {
    const key = `${held.pod.namespace}/${held.pod.name}`;
    await this.#queue
      .exclusively(key, async () => {
        if (this.#held.get(held.pod.uid) !== held || !isOnItsWayOut(held)) return;
        await endRelease(held, this.#options);
        this.#letGo(held, 'a pod has left the mesh, at once since the agent ends');
      })
      .catch((error: unknown) => {
        this.#options.log.warn('a pod outside the mesh keeps the last rules of it', {
          pod: key,
          error: messageOf(error),
        });
      });
  }

  /** Follows pods and namespaces from now on. */
  follow(): void {
    const { pods, namespaces, onReconcile } = this.#options;
    this.#subscriptions.use(
      pods.subscribe((events) => {
        for (const { key, previous, value } of events) {
          onReconcile(value === undefined ? 'delete' : previous === undefined ? 'add' : 'update');
          if (previous && previous.metadata.uid !== value?.metadata.uid)
            this.#seenOutside.delete(previous.metadata.uid ?? '');
          this.#queue.add(key);
        }
      }),
    );
    this.#subscriptions.use(
      namespaces.subscribe((events) => {
        const changed = new Set(events.map(({ key }) => key));
        for (const pod of pods.values())
          if (changed.has(pod.metadata.namespace ?? '')) this.#queue.add(keyOf(pod));
      }),
    );
    for (const key of pods.keys()) this.#queue.add(key);
    for (const { pod } of this.#held.values()) this.#queue.add(`${pod.namespace}/${pod.name}`);
  }

  /** For ZDS: pods whose namespace is not known are named without it, so that ztunnel keeps what it has. */
  snapshot(): readonly ZdsSnapshotEntry[] {
    const { pods } = this.#options;
    const unknown = [...pods.values()].filter(
      (pod) =>
        isMarked(pod) && !hasEnded(pod) && !this.#isZtunnel(pod) && !this.#held.has(pod.metadata.uid ?? ''),
    );
    return [
      ...[...this.#held.values()].map((held) => ({ pod: announced(held), netnsFd: held.netns.fd })),
      ...unknown.map((pod) => ({ pod: zdsPodOf(pod) })),
    ];
  }

  eligibilityOf(pod: Pod): Eligibility {
    if (this.#isZtunnel(pod)) return { eligible: false, reason: 'it is a ztunnel' };
    const labels = this.#options.namespaces.get(pod.metadata.namespace ?? '')?.metadata.labels ?? {};
    return eligibility(pod, labels, this.#options.rulesOfEligibility);
  }

  /**
   * Enrols a pod that the container runtime is starting: its addresses are not in its status yet, and its namespace is known.
   *
   * @throws whatever kept it from being enrolled; the runtime then tries the pod again.
   */
  async enrolStarting(pod: Pod, ips: readonly string[], signal: AbortSignal): Promise<void> {
    await this.#queue.exclusively(keyOf(pod), async () => {
      await this.#enrol(this.#hold(pod, ips), pod, 'plugin', signal);
    });
  }

  isEnrolled(uid: string): boolean {
    return this.#held.get(uid)?.stage === 'enrolled';
  }

  /** What goes on in clear, of pods that are enrolled. */
  clearConnections(): readonly (ClearConnection | UntoldPod)[] {
    return [...this.#held.values()].flatMap(
      ({ pod: { namespace, name }, netns, isRefused }): readonly (ClearConnection | UntoldPod)[] => {
        if (isRefused) return [];
        const pod = `${namespace}/${name}`;
        const clear = clearConnections(netns.fd);
        if (clear === undefined) return [{ pod, untold: `more than ${MAX_LISTED_CONNECTIONS} sockets` }];
        return clear.slice(0, MAX_CLEAR_CONNECTIONS_LISTED).map(({ local, remote }) => ({
          pod,
          local: `${local.ip}:${local.port}`,
          remote: `${remote.ip}:${remote.port}`,
        }));
      },
    );
  }

  /** All pods stay as they are; the next agent goes on with those on their way out. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#subscriptions[Symbol.dispose]();
    await this.#queue[Symbol.asyncDispose]();
    for (const { netns, timer } of this.#held.values()) {
      timer?.cancel();
      netns.close();
    }
    this.#held.clear();
  }

  /** @param key - `namespace/name`; a pod of that name that was replaced leaves one to forget and one to enrol. */
  async #reconcile(key: string, signal: AbortSignal): Promise<void> {
    const pod = this.#options.pods.get(key);
    for (const held of this.#heldUnder(key)) {
      if (held.pod.uid !== pod?.metadata.uid) await this.#forget(held, signal);
    }
    if (!pod) return;
    const { uid = '' } = pod.metadata;
    const held = this.#held.get(uid);
    held?.timer?.cancel();
    const eligible = this.eligibilityOf(pod);
    if (eligible.eligible && held && !isMarked(pod) && this.#waitForMark(held, key)) return;
    const plan = planFor(pod, eligible, held?.stage === 'enrolled');
    if (plan.action === 'nothing' && !eligible.eligible) this.#seenOutside.add(uid);
    // A pod whose sandbox is being made has no address yet, and its way in goes on when the plugin asks again.
    const isComing = eligible.eligible && held?.stage === 'listening' && !hasEnded(pod);
    const isHalfWay = held !== undefined && held.stage !== 'enrolled' && !isComing;
    const out = hasEnded(pod) ? 'forget' : 'release';
    const action = plan.action === 'nothing' && isHalfWay ? out : plan.action;
    if (action === 'enrol') await this.#enrol(this.#holdAgain(held, pod), pod, this.#wayOf(pod), signal);
    else if (action === 'release') await this.#release(held ?? this.#hold(pod, undefined), key, signal);
    else if (action === 'forget' && held) await this.#forget(held, signal);
  }

  /** What was written comes back from the watch a moment later; until then there is nothing to do again. */
  #waitForMark(held: HeldPod, key: string): boolean {
    const { clock } = this.#options;
    const leftMs = held.stage === 'enrolled' ? held.sinceMs + MARK_SEEN_MS - clock.monotonicMs() : 0;
    if (leftMs <= 0) return false;
    held.timer = clock.after(leftMs, () => this.#queue.add(key));
    return true;
  }

  async #enrol(held: HeldPod, pod: Pod, way: EnrolmentWay, signal: AbortSignal): Promise<void> {
    const { onEnrolled, onEnrolmentFailure, events } = this.#options;
    const isNew = held.stage !== 'enrolled';
    try {
      await enrol(held, pod, this.#options, signal);
    } catch (error) {
      onEnrolmentFailure(error instanceof MeshError ? error.code : 'OTHER');
      throw error;
    }
    if (!isNew) return;
    onEnrolled(way);
    if (way === 'late') events.tell(podResource, pod, ENROLLED_LATE);
  }

  #wayOf(pod: Pod): EnrolmentWay {
    const { uid = '' } = pod.metadata;
    if (isMarked(pod)) return 'recovered';
    return this.#seenOutside.has(uid) || this.#options.reports.get(uid) ? 'label' : 'late';
  }

  #tellFailure(key: string, error: unknown): void {
    const pod = this.#options.pods.get(key);
    const isEligible = pod && this.eligibilityOf(pod).eligible;
    // A pod that is in the mesh stays in it, whatever cannot be done again: that is for the log.
    if (!pod || (isEligible && isMarked(pod))) return;
    const [reason, state] = isEligible
      ? ['EnrolmentFailed', 'it belongs into the mesh and is not in it']
      : ['ReleaseFailed', 'it has left the mesh and its redirection is not gone'];
    this.#options.events.tell(podResource, pod, {
      type: 'Warning',
      reason,
      message: `${state}, trying again: ${messageOf(error)}`,
      about: error instanceof MeshError ? error.code : 'OTHER',
    });
  }

  async #release(held: HeldPod, key: string, signal: AbortSignal): Promise<void> {
    const nextMs = await releaseStep(held, this.#options, signal);
    if (nextMs === undefined) this.#letGo(held, 'a pod has left the mesh');
    else held.timer = this.#options.clock.after(nextMs, () => this.#queue.add(key));
  }

  async #forget(held: HeldPod, signal: AbortSignal): Promise<void> {
    await forget(held, this.#options, signal);
    this.#options.reports.delete(held.pod.uid);
    this.#letGo(held, 'a pod of the mesh is gone');
  }

  #letGo(held: HeldPod, message: string): void {
    held.timer?.cancel();
    held.netns.close();
    this.#held.delete(held.pod.uid);
    this.#options.log.info(message, { pod: `${held.pod.namespace}/${held.pod.name}` });
  }

  /** Its sandbox may have been made anew while it was outside, of which nobody asks. */
  #holdAgain(held: HeldPod | undefined, pod: Pod): HeldPod {
    try {
      return this.#hold(pod, undefined);
    } catch (error) {
      if (!held) throw error;
      return held;
    }
  }

  /** Holds the pod's namespace open from now on. */
  #hold(pod: Pod, startingIps: readonly string[] | undefined): HeldPod {
    const zdsPod = zdsPodOf(pod);
    const ips = startingIps ?? podIps(pod);
    const known = this.#held.get(zdsPod.uid);
    const netns = this.#options.finder.find({
      uid: zdsPod.uid,
      ips,
      reportedPath: this.#options.reports.get(zdsPod.uid)?.path,
    });
    if (known && known.netns.ino === netns.ino && known.netns.dev === netns.dev) {
      netns.close();
      return known;
    }
    if (!known && this.#held.size >= MAX_ENROLLED_PODS) {
      netns.close();
      throw new TooManyPodsError(`${this.#held.size} pods of this node are in the mesh, and no more can be`);
    }
    // The sandbox of a pod may be made anew under the same UID.
    if (known) this.#letGoOfSandbox(known, ips);
    const held: HeldPod = {
      pod: zdsPod,
      netns,
      ips,
      stage: 'listening',
      sinceMs: 0,
      isTakenUp: !known && startingIps === undefined && isMarked(pod),
      isRefused: false,
      timer: undefined,
    };
    this.#held.set(zdsPod.uid, held);
    return held;
  }

  #letGoOfSandbox({ pod, netns, ips }: HeldPod, stillIts: readonly string[]): void {
    const { probes, log } = this.#options;
    netns.close();
    const left = ips.filter((ip) => !stillIts.includes(ip));
    probes.remove(pod.uid, left).catch((error: unknown) => {
      log.warn('addresses of a sandbox that is no more stay among those probed', { error: messageOf(error) });
    });
  }

  #heldUnder(key: string): readonly HeldPod[] {
    return [...this.#held.values()].filter(({ pod }) => `${pod.namespace}/${pod.name}` === key);
  }

  #isZtunnel({ metadata: { namespace, labels } }: Pod): boolean {
    return namespace === this.#options.systemNamespace && labels?.['app'] === 'ztunnel';
  }
}

const ENROLLED_LATE: ObjectEvent = {
  type: 'Warning',
  reason: 'EnrolledLate',
  message:
    'the CNI plugin was not asked when this pod started, so it ran outside the mesh until now; connections that it has open go on in clear (ambit connections lists them)',
  about: '',
};

function isOnItsWayOut({ stage }: HeldPod): boolean {
  return stage === 'leaving' || stage === 'draining';
}

/** What stands in the node's own namespace is the node's, and a sidecar's rules have names like ours. */
function mayBeReleased({ metadata: { annotations }, spec }: Pod): boolean {
  return spec?.hostNetwork !== true && annotations?.[SIDECAR_STATUS_ANNOTATION] === undefined;
}

function keyOf({ metadata: { namespace = '', name } }: Pod): string {
  return `${namespace}/${name}`;
}

function zdsPodOf(pod: Pod): ZdsPod {
  const { uid = '', name, namespace = '' } = pod.metadata;
  return {
    uid,
    name,
    namespace,
    serviceAccount: pod.spec?.serviceAccountName ?? 'default',
    names: canonicalNames(pod),
    ...(bypassesInbound(pod) && { inboundBypassed: true }),
  };
}
