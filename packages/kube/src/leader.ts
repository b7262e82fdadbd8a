/**
 * Leader election by a Lease, as Kubernetes' own controllers do it: the holder renews, the others wait until it does not.
 *
 * Clocks of two machines are never compared: how long a lease has gone without renewal is measured here, from when we saw
 * it change. A leader that cannot renew stops leading before anybody else may start.
 */
import { Backoff } from '@ambit/core/backoff';
import { type Clock, type Random, systemClock, systemRandom } from '@ambit/core/clock';
import { messageOf } from '@ambit/core/errors';
import { type Logger, silentLogger } from '@ambit/core/log';
import { type Watch, Watched } from '@ambit/core/watch';
import type { KubeClient } from './client.ts';
import { isConflict } from './errors.ts';
import {
  LEASE_DURATION_MS,
  LEASE_RENEW_DEADLINE_MS,
  LEASE_REQUEST_TIMEOUT_MS,
  LEASE_RETRY_MS,
} from './limits.ts';
import { type Lease, leases } from './resources/coordination.ts';
import { deadline } from './transport.ts';

export interface LeaderOptions {
  readonly client: Pick<KubeClient, 'find' | 'create' | 'replace'>;
  readonly namespace: string;
  /** Of the Lease: `istio-status-leader`. */
  readonly name: string;
  /** Unique among the replicas: the pod's name. */
  readonly identity: string;
  readonly clock?: Clock;
  readonly random?: Random;
  readonly log?: Logger;
}

/** Stands for election from its making until it is disposed of; then it gives the lease back. */
export class LeaderElection implements AsyncDisposable {
  readonly #options: LeaderOptions;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #backoff: Backoff;
  readonly #leads = new Watched(false);
  readonly #abort = new AbortController();
  readonly #running: Promise<void>;
  /** The lease as it was when it last changed, and when we saw that. */
  #seen: { readonly version: string; readonly atMs: number } | undefined;
  #renewedMs = 0;
  /** Whether the server may have us as the holder: from before it is asked to, until it names another. */
  #mayHold = false;

  constructor(options: LeaderOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#log = (options.log ?? silentLogger).scope('leader');
    // Replicas that stand at the same moment spread.
    const jitter = { initialMs: LEASE_RETRY_MS, maxMs: LEASE_RETRY_MS * 1.2, factor: 1, jitter: 0.2 };
    this.#backoff = new Backoff(jitter, options.random ?? systemRandom);
    this.#running = this.#run();
  }

  /** Whether this replica leads now. */
  get leads(): Watch<boolean> {
    return this.#leads;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#abort.abort();
    await this.#running;
    if (this.#mayHold) await this.#release();
  }

  async #run(): Promise<void> {
    const { signal } = this.#abort;
    while (!signal.aborted) {
      // The server may have written the lease long before its answer is here: others count from then.
      const askedMs = this.#clock.monotonicMs();
      try {
        using until = deadline('lease', LEASE_REQUEST_TIMEOUT_MS, this.#clock);
        const held = await this.#acquireOrRenew(until);
        if (signal.aborted) return;
        if (held) this.#renewedMs = askedMs;
        if (held !== this.#leads.value) this.#become(held);
      } catch (error) {
        if (signal.aborted) return;
        this.#log.warn('lease not renewed', { lease: this.#options.name, error: messageOf(error) });
        const overdue = this.#clock.monotonicMs() - this.#renewedMs > LEASE_RENEW_DEADLINE_MS;
        if (this.#leads.value && overdue) this.#become(false);
      }
      await this.#clock.sleep(this.#backoff.nextMs(), signal).catch(() => undefined);
    }
  }

  #become(leader: boolean): void {
    this.#log.info(leader ? 'leads' : 'leads no longer', { lease: this.#options.name });
    this.#leads.set(leader);
  }

  /**
   * Whether the lease is ours now.
   *
   * A stop ends a look at it at once. A write it waits for, until that has an answer or has taken as long as one may: the
   * server may have done it, or do it after we looked whether there is something to give back, and then nobody would lead
   * until it expires.
   */
  async #acquireOrRenew(signal: AbortSignal): Promise<boolean> {
    const { client, namespace, name, identity } = this.#options;
    const stopped = this.#abort.signal;
    const current = await client.find(leases, { namespace, name }, AbortSignal.any([signal, stopped]));
    stopped.throwIfAborted();
    const now = new Date(this.#clock.now()).toISOString().replace('Z', '000Z');
    const held = current?.spec?.holderIdentity;
    const ours = held === identity;
    if (current && !ours && held && !this.#isExpired(current)) {
      this.#mayHold = false;
      return false;
    }
    const spec: NonNullable<Lease['spec']> = {
      holderIdentity: identity,
      leaseDurationSeconds: LEASE_DURATION_MS / 1_000,
      acquireTime: ours ? (current?.spec?.acquireTime ?? now) : now,
      renewTime: now,
      leaseTransitions: (current?.spec?.leaseTransitions ?? 0) + (current && !ours ? 1 : 0),
    };
    this.#mayHold = true;
    try {
      if (current) await client.replace(leases, { ...current, spec }, {}, signal);
      else
        await client.create(
          leases,
          { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata: { namespace, name }, spec },
          {},
          signal,
        );
      return true;
    } catch (error) {
      // Somebody else was faster.
      if (isConflict(error)) return false;
      throw error;
    }
  }

  #isExpired({ metadata, spec }: Lease): boolean {
    const nowMs = this.#clock.monotonicMs();
    const version = metadata.resourceVersion ?? '';
    if (this.#seen?.version !== version) this.#seen = { version, atMs: nowMs };
    const durationMs = (spec?.leaseDurationSeconds ?? LEASE_DURATION_MS / 1_000) * 1_000;
    return nowMs - this.#seen.atMs > durationMs;
  }

  async #release(): Promise<void> {
    this.#mayHold = false;
    this.#leads.set(false);
    const { client, namespace, name, identity } = this.#options;
    try {
      // A stop must not wait for a server that is away; the lease expires by itself then.
      using until = deadline('lease', LEASE_REQUEST_TIMEOUT_MS, this.#clock);
      const current = await client.find(leases, { namespace, name }, until);
      if (current?.spec?.holderIdentity !== identity) return;
      await client.replace(leases, { ...current, spec: { ...current.spec, holderIdentity: '' } }, {}, until);
    } catch (error) {
      this.#log.warn('lease not given back', { lease: name, error: messageOf(error) });
    }
  }
}
