/**
 * Every certificate of this node's workloads: asked for once per identity, renewed at half of its life, kept while a
 * renewal fails, forgotten with the last pod that used it.
 *
 * A caller waits for the first answer about an identity and no longer: afterwards it gets the certificate, or the last
 * error at once. Asking is this store's own business, on its own schedule, so that a thousand connections of a pod
 * without certificate do not become a thousand requests.
 */
import { Backoff } from '@ambit/core/backoff';
import type { Clock, Random, Timer } from '@ambit/core/clock';
import { LimitError, messageOf } from '@ambit/core/errors';
import type { Logger } from '@ambit/core/log';
import { CertificateRequestError } from './errors.ts';
import {
  MAX_IDENTITIES,
  MAX_REQUESTS_IN_FLIGHT,
  MAX_TIMER_MS,
  MAX_PROBES,
  NEAR_RETRY_MS,
  PROBE_INITIAL_MS,
  PROBE_MAX_MS,
  RECOVERY_INTERVAL_MS,
  RECOVERY_SPREAD_MS,
  REQUEST_TIMEOUT_MS,
  RETRY_INITIAL_MS,
  RETRY_MAX_MS,
} from './limits.ts';
import { refreshAtMs } from './refresh-time.ts';
import { type Priority, RequestQueue } from './request-queue.ts';
import type { WorkloadCertificate } from './workload-certificate.ts';

/** Where certificates come from: a CA over the network, or one in this process. */
export type FetchCertificate = (identity: string, signal: AbortSignal) => Promise<WorkloadCertificate>;

export type CertificateEvent =
  | { readonly kind: 'available'; readonly certificate: WorkloadCertificate }
  | { readonly kind: 'failed'; readonly identity: string; readonly reason: string }
  | { readonly kind: 'forgotten'; readonly identity: string };

export interface CertificateState {
  readonly identity: string;
  /** As Istio prints it: `Available`, `Initializing`, or `Unavailable: ` and the error. */
  readonly state: string;
  readonly certificate: WorkloadCertificate | undefined;
}

export interface CertificateStoreOptions {
  readonly fetch: FetchCertificate;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

interface Waiter {
  resolve(certificate: WorkloadCertificate): void;
  reject(error: Error): void;
}

/**
 * What is known of one identity. `error` is the last failure since the last success, while there is no certificate; `fails`, that
 * the last request failed, whether there is one or not; `refuses`, that nobody is to wait for the next try.
 */
interface Entry {
  readonly identity: string;
  readonly backoff: Backoff;
  readonly waiters: Set<Waiter>;
  certificate: WorkloadCertificate | undefined;
  error: Error | undefined;
  fails: boolean;
  refuses: boolean;
  request: AbortController | undefined;
  timer: Timer | undefined;
  /** When `timer` asks again. */
  dueAtMs: number;
  /** When it was asked for last, on the monotonic clock. */
  askedAtMs: number;
}

/** Asking whether the CA is there again. */
interface Probing {
  readonly pauses: Backoff;
  left: number;
  entry: Entry | undefined;
  timer: Timer | undefined;
}

export class CertificateStore implements Disposable {
  readonly #options: CertificateStoreOptions;
  readonly #entries = new Map<string, Entry>();
  readonly #listeners = new Set<(event: CertificateEvent) => void>();
  readonly #queue = new RequestQueue();
  #inFlight = 0;
  #probing: Probing | undefined;
  #recoveredAtMs = Number.NEGATIVE_INFINITY;

  constructor(options: CertificateStoreOptions) {
    this.#options = options;
  }

  /**
   * The certificate of `identity`, when there is one.
   *
   * @throws {@link CertificateRequestError} with the last failure, once the next try is not near; {@link LimitError} when there are too many
   * identities; `signal.reason` when that aborts. None of them stops the store's own attempts.
   */
  get(identity: string, priority: Priority, signal: AbortSignal): Promise<WorkloadCertificate> {
    if (signal.aborted) return Promise.reject(signal.reason as Error);
    const entry = this.#entries.get(identity);
    const usable = entry?.certificate && this.#isValid(entry.certificate);
    if (usable && entry.certificate) return Promise.resolve(entry.certificate);
    if (entry?.refuses && entry.error) return Promise.reject(entry.error);
    return new Promise((resolve, reject) => {
      const wanted = entry ?? this.#create(identity);
      if (!wanted) return reject(new LimitError('identities of this node', MAX_IDENTITIES, 'identities'));
      this.#wait(wanted, { resolve, reject }, signal);
      // After a failure the next try has its time.
      if (!wanted.error) this.#enqueue(wanted, priority);
    });
  }

  /** Asks for `identity` before anybody needs it; the outcome goes to subscribers. */
  prefetch(identity: string): void {
    if (this.#entries.has(identity)) return;
    const entry = this.#create(identity);
    if (entry) this.#enqueue(entry, 'warmup');
    else this.#options.log.warn('too many identities to prefetch another', { identity });
  }

  /**
   * Whether whoever wants the certificate of `identity` would get it: or the last failure; `undefined` while the first answer is
   * awaited, and if nobody has asked.
   */
  standing(identity: string): 'available' | Error | undefined {
    const { certificate, error } = this.#entries.get(identity) ?? {};
    return certificate && this.#isValid(certificate) ? 'available' : error;
  }

  /**
   * Whatever was in the way of certificates may be gone: asks for those that could not be had or renewed, one after the other
   * with growing pauses, until one comes; then for all others, within {@link RECOVERY_SPREAD_MS}. A CA that takes connections
   * and gives nothing, or denies one account for good, is hardly asked more than without.
   */
  tryAgain(): void {
    if (this.#probing) return;
    const { random } = this.#options;
    const pauses = new Backoff({ initialMs: PROBE_INITIAL_MS, maxMs: PROBE_MAX_MS, jitter: 0.2 }, random);
    this.#probe({ pauses, left: MAX_PROBES, entry: undefined, timer: undefined });
  }

  /** The one that was asked for longest ago, and of those whose life ends first. */
  #probe(probing: Probing): void {
    const [entry] = this.#failing()
      .filter(({ request }) => !request)
      .sort((a, b) => a.askedAtMs - b.askedAtMs || endOf(a) - endOf(b));
    this.#probing = entry && probing.left > 0 ? probing : undefined;
    if (!entry || !this.#probing) return;
    probing.left -= 1;
    probing.entry = entry;
    entry.timer?.cancel();
    this.#enqueue(entry, 'warmup');
  }

  /** What was asked for to see whether the CA is there again has not come. */
  #probeFailed(entry: Entry): void {
    const probing = this.#probing;
    if (probing?.entry !== entry) return;
    probing.entry = undefined;
    probing.timer = this.#options.clock.after(probing.pauses.nextMs(), () => this.#probe(probing));
  }

  #failing(): Entry[] {
    return [...this.#entries.values()].filter(({ fails }) => fails);
  }

  /** The CA gives certificates: those that could not be had are asked for soon, unless that was so a moment ago. */
  #recovered(): void {
    const { clock, random } = this.#options;
    this.#probing?.timer?.cancel();
    this.#probing = undefined;
    const nowMs = clock.monotonicMs();
    if (nowMs - this.#recoveredAtMs < RECOVERY_INTERVAL_MS) return;
    const failing = this.#failing();
    if (failing.length === 0) return;
    this.#recoveredAtMs = nowMs;
    for (const entry of failing) {
      const atMs = clock.now() + random() * RECOVERY_SPREAD_MS;
      // Others that come meanwhile do not put it off.
      if (!entry.request && atMs < entry.dueAtMs) this.#schedule(entry, atMs, 'warmup');
    }
  }

  /** Drops all that is known of `identity`; a request under way is abandoned and those who wait are refused. */
  forget(identity: string): void {
    const entry = this.#entries.get(identity);
    if (!entry) return;
    this.#entries.delete(identity);
    this.#queue.remove(identity);
    entry.timer?.cancel();
    this.#probeFailed(entry);
    const error = new CertificateRequestError(identity, 'no workload of this node uses it any more');
    entry.request?.abort(error);
    for (const waiter of [...entry.waiters]) waiter.reject(error);
    this.#emit({ kind: 'forgotten', identity });
  }

  /** Calls `listener` with each new certificate, each failure that refuses who waits, each removal. */
  subscribe(listener: (event: CertificateEvent) => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  /** Every identity with its state, sorted. */
  states(): readonly CertificateState[] {
    return [...this.#entries.values()]
      .map(({ identity, certificate, error }) => ({
        identity,
        certificate,
        state: this.#describe(certificate, error),
      }))
      .sort((a, b) => (a.identity < b.identity ? -1 : 1));
  }

  /** Forgets everything and asks for nothing more. */
  [Symbol.dispose](): void {
    this.#listeners.clear();
    this.#probing?.timer?.cancel();
    this.#probing = undefined;
    for (const identity of [...this.#entries.keys()]) this.forget(identity);
  }

  #create(identity: string): Entry | undefined {
    if (this.#entries.size >= MAX_IDENTITIES) return undefined;
    const { random } = this.#options;
    const entry: Entry = {
      identity,
      backoff: new Backoff({ initialMs: RETRY_INITIAL_MS, maxMs: RETRY_MAX_MS, jitter: 0.2 }, random),
      waiters: new Set(),
      certificate: undefined,
      error: undefined,
      fails: false,
      refuses: false,
      request: undefined,
      timer: undefined,
      dueAtMs: 0,
      askedAtMs: 0,
    };
    this.#entries.set(identity, entry);
    return entry;
  }

  #wait(entry: Entry, { resolve, reject }: Waiter, signal: AbortSignal): void {
    const settled = () => {
      entry.waiters.delete(waiter);
      signal.removeEventListener('abort', abandon);
    };
    const abandon = () => waiter.reject(signal.reason as Error);
    const waiter: Waiter = {
      resolve: (certificate) => {
        settled();
        resolve(certificate);
      },
      reject: (error) => {
        settled();
        reject(error);
      },
    };
    entry.waiters.add(waiter);
    signal.addEventListener('abort', abandon, { once: true });
  }

  #enqueue(entry: Entry, priority: Priority): void {
    if (entry.request) return;
    this.#queue.add(entry.identity, priority);
    this.#startRequests();
  }

  #startRequests(): void {
    while (this.#inFlight < MAX_REQUESTS_IN_FLIGHT) {
      const identity = this.#queue.take();
      if (identity === undefined) return;
      const entry = this.#entries.get(identity);
      if (!entry) continue;
      this.#inFlight += 1;
      void this.#request(entry).finally(() => {
        this.#inFlight -= 1;
        this.#startRequests();
      });
    }
  }

  /** One attempt, bounded in time. Never rejects. */
  async #request(entry: Entry): Promise<void> {
    const { fetch, clock } = this.#options;
    entry.timer?.cancel();
    const abort = new AbortController();
    entry.request = abort;
    entry.askedAtMs = clock.monotonicMs();
    const timeout = clock.after(REQUEST_TIMEOUT_MS, () =>
      abort.abort(
        new CertificateRequestError(entry.identity, `no answer of the CA within ${REQUEST_TIMEOUT_MS} ms`),
      ),
    );
    const aborted = new Promise<never>((_, reject) => {
      abort.signal.addEventListener('abort', () => reject(abort.signal.reason as Error), { once: true });
    });
    try {
      const certificate = await Promise.race([fetch(entry.identity, abort.signal), aborted]);
      if (certificate.identity !== entry.identity)
        throw new CertificateRequestError(entry.identity, `got a certificate of ${certificate.identity}`);
      if (this.#entries.get(entry.identity) === entry) this.#succeed(entry, certificate);
    } catch (error) {
      if (this.#entries.get(entry.identity) === entry) this.#fail(entry, error);
    } finally {
      timeout.cancel();
      entry.request = undefined;
    }
  }

  #succeed(entry: Entry, certificate: WorkloadCertificate): void {
    const { clock, random, log } = this.#options;
    entry.backoff.reset();
    entry.certificate = certificate;
    entry.error = undefined;
    entry.fails = false;
    entry.refuses = false;
    const { identity, serial } = certificate;
    const expires = new Date(certificate.notAfterMs).toISOString();
    log.debug('certificate available', { identity, serial, expires });
    this.#schedule(entry, refreshAtMs(certificate, clock.now(), random()));
    for (const waiter of [...entry.waiters]) waiter.resolve(certificate);
    this.#emit({ kind: 'available', certificate });
    this.#recovered();
  }

  #fail(entry: Entry, cause: unknown): void {
    const { clock, log } = this.#options;
    const error =
      cause instanceof CertificateRequestError
        ? cause
        : new CertificateRequestError(entry.identity, messageOf(cause), { cause });
    entry.fails = true;
    // What was asked for while the CA was away still had to fail.
    const isLate = entry.askedAtMs < this.#recoveredAtMs;
    const backoffMs = isLate ? RETRY_INITIAL_MS : entry.backoff.nextMs();
    this.#probeFailed(entry);
    const retryAtMs = clock.now() + backoffMs;
    const { certificate } = entry;
    if (certificate && this.#isValid(certificate)) {
      log.warn('certificate could not be renewed, the old one stays', {
        identity: entry.identity,
        error: error.message,
        expires: new Date(certificate.notAfterMs).toISOString(),
      });
      this.#schedule(entry, Math.min(retryAtMs, certificate.notAfterMs));
      return;
    }
    log.warn('no certificate', { identity: entry.identity, error: error.message });
    entry.error = error;
    this.#schedule(entry, retryAtMs);
    entry.refuses ||= backoffMs > NEAR_RETRY_MS;
    if (!entry.refuses) return;
    for (const waiter of [...entry.waiters]) waiter.reject(error);
    this.#emit({ kind: 'failed', identity: entry.identity, reason: error.message });
  }

  #schedule(entry: Entry, atMs: number, priority: Priority = 'background'): void {
    const { clock } = this.#options;
    const remainingMs = Math.max(0, atMs - clock.now());
    entry.timer?.cancel();
    entry.dueAtMs = atMs;
    entry.timer = clock.after(Math.min(remainingMs, MAX_TIMER_MS), () => {
      if (clock.now() < atMs) this.#schedule(entry, atMs, priority);
      else this.#enqueue(entry, priority);
    });
  }

  #isValid(certificate: WorkloadCertificate): boolean {
    return certificate.notAfterMs > this.#options.clock.now();
  }

  #describe(certificate: WorkloadCertificate | undefined, error: Error | undefined): string {
    if (certificate && this.#isValid(certificate)) return 'Available';
    return error ? `Unavailable: ${error.message}` : 'Initializing';
  }

  #emit(event: CertificateEvent): void {
    for (const listener of [...this.#listeners]) listener(event);
  }
}

/** Those without one first. */
function endOf({ certificate }: Entry): number {
  return certificate?.notAfterMs ?? 0;
}
