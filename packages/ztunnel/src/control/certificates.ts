/**
 * Certificates of this node's workloads, and who is told of them: every worker gets every certificate, a worker that asked
 * for one that cannot be had is told why.
 *
 * In shared mode a workload that mesh state places on this node is asked for before its first connection, and an identity
 * is forgotten with the last workload and pod that used it.
 */
import type { Clock, Timer } from '@ambit/core/clock';
import type { Logger } from '@ambit/core/log';
import { messageOf } from '@ambit/core/errors';
import type { CertificateState, CertificateStore } from '@ambit/identity/certificate-store';
import { CertificateRequestError } from '@ambit/identity/errors';
import type { WorkloadCertificate } from '@ambit/identity/workload-certificate';
import type { MeshStore } from '@ambit/model/store';
import { formatIdentity, type Workload } from '@ambit/model/workload';
import { FORGET_UNANSWERED_MS } from '../limits.ts';
import type { CertificateMessage, ControlToWorker, PodInfo } from '../threads/messages.ts';
import type { WorkerEvent } from './worker-pool.ts';

export interface CertificateWorkers {
  broadcast(message: ControlToWorker): void;
  send(worker: number, message: ControlToWorker): void;
  subscribe(listener: (event: WorkerEvent, worker: number) => void): Disposable;
}

export interface CertificatesOptions {
  readonly store: CertificateStore;
  readonly mesh: MeshStore;
  readonly workers: CertificateWorkers;
  /** Prefetch what mesh state places here. `undefined`: nothing. Empty: every workload is local. */
  readonly prefetchNode: string | undefined;
  readonly podUses: (namespace: string, serviceAccount: string) => boolean;
  readonly clock: Clock;
  readonly log: Logger;
}

export class Certificates implements Disposable {
  readonly #options: CertificatesOptions;
  readonly #disposables = new DisposableStack();
  /** Local workloads that were asked for: uid → identity. */
  readonly #local = new Map<string, Workload>();
  /** Identities whose first answer was waited for in vain. */
  readonly #overdue = new Set<string>();
  /** By account: when it is forgotten if nobody uses it again. */
  readonly #leaving = new Map<string, Timer>();
  readonly #stop = new AbortController();

  constructor(options: CertificatesOptions) {
    this.#options = options;
    const { store, mesh, workers, prefetchNode } = options;
    this.#disposables.use(
      store.subscribe((event) => {
        this.#overdue.delete(event.kind === 'available' ? event.certificate.identity : event.identity);
        if (event.kind === 'available') workers.broadcast(certificateMessage(event.certificate));
        if (event.kind === 'forgotten')
          workers.broadcast({ kind: 'forget-certificate', identity: event.identity });
      }),
    );
    this.#disposables.use(
      workers.subscribe((event, worker) => {
        if (event.kind === 'need-certificate') void this.#answer(event.identity, worker);
      }),
    );
    if (prefetchNode !== undefined) {
      this.#disposables.use(mesh.changes.subscribe((change) => this.#followLocal(change.localWorkloads)));
    }
  }

  states(): readonly CertificateState[] {
    return this.#options.store.states();
  }

  /** Its certificate will be needed soon: it is asked for while the pod's listeners open, and its rules come. */
  podComing(identity: string): void {
    this.#options.store.prefetch(identity);
  }

  /**
   * Resolves when `identity` has a certificate. The first answer about it is waited for, by one caller once; whoever comes
   * later, or after a failure, hears at once.
   *
   * @throws {@link CertificateRequestError} with the last failure; or with what is waited for, when `signal` aborts.
   */
  async available(identity: string, signal: AbortSignal): Promise<void> {
    const { store } = this.#options;
    const known = store.standing(identity);
    if (known instanceof Error) throw known;
    if (known === 'available') return;
    // Neither is one more waited for at a CA that keeps others waiting.
    if (this.#overdue.size > 0) throw overdue(identity);
    try {
      await store.get(identity, 'real-time', signal);
    } catch (error) {
      if (!signal.aborted) throw error;
      const soFar = store.standing(identity);
      if (soFar instanceof Error) throw soFar;
      this.#overdue.add(identity);
      throw overdue(identity);
    }
  }

  /**
   * What was never had is asked for a while longer: a pod that does not start for want of it is made anew again and again, and
   * with it each request would be.
   */
  podLeft(info: PodInfo): void {
    const { clock, store } = this.#options;
    if (identitiesOf(info, store).every((identity) => store.standing(identity) === 'available')) {
      this.#forgetIfUnused(info);
      return;
    }
    const account = `${info.namespace}/${info.serviceAccount}`;
    this.#leaving.get(account)?.cancel();
    const timer = clock.after(FORGET_UNANSWERED_MS, () => {
      this.#leaving.delete(account);
      this.#forgetIfUnused(info);
    });
    this.#leaving.set(account, timer);
  }

  [Symbol.dispose](): void {
    this.#stop.abort(new Error('stopping'));
    for (const timer of this.#leaving.values()) timer.cancel();
    this.#disposables.dispose();
  }

  async #answer(identity: string, worker: number): Promise<void> {
    const { store, workers, log } = this.#options;
    try {
      const certificate = await store.get(identity, 'real-time', this.#stop.signal);
      workers.send(worker, certificateMessage(certificate));
    } catch (error) {
      const reason = messageOf(error);
      log.debug('no certificate for a connection', { identity, error: reason });
      workers.send(worker, { kind: 'certificate-failed', identity, reason });
    }
  }

  #followLocal(uids: ReadonlySet<string>): void {
    const { mesh, store } = this.#options;
    const gone: Workload[] = [];
    for (const uid of uids) {
      const before = this.#local.get(uid);
      const now = mesh.workloadByUid(uid);
      if (before) gone.push(before);
      this.#local.delete(uid);
      if (!now || !this.#isLocal(now)) continue;
      this.#local.set(uid, now);
      if (before?.identity !== now.identity) store.prefetch(now.identity);
    }
    for (const workload of gone) this.#forgetIfUnused(workload);
  }

  #isLocal(workload: Workload): boolean {
    const { prefetchNode } = this.#options;
    const here = prefetchNode === '' || workload.node === prefetchNode;
    return here && (workload.nativeTunnel || workload.protocol === 'HBONE');
  }

  #forgetIfUnused({ namespace, serviceAccount }: Pick<Workload, 'namespace' | 'serviceAccount'>): void {
    const { store, podUses } = this.#options;
    const isSame = (workload: Workload) =>
      workload.namespace === namespace && workload.serviceAccount === serviceAccount;
    if (podUses(namespace, serviceAccount) || this.#local.values().some(isSame)) return;
    for (const identity of identitiesOf({ namespace, serviceAccount }, store)) store.forget(identity);
  }
}

/** In whatever trust domains they were asked for. */
function identitiesOf(
  { namespace, serviceAccount }: Pick<Workload, 'namespace' | 'serviceAccount'>,
  store: CertificateStore,
): readonly string[] {
  const suffix = formatIdentity({ trustDomain: '', namespace, serviceAccount }).slice('spiffe://'.length);
  return store
    .states()
    .map(({ identity }) => identity)
    .filter((identity) => identity.endsWith(suffix));
}

function overdue(identity: string): CertificateRequestError {
  return new CertificateRequestError(identity, 'the CA has not answered yet');
}

export function certificateMessage(certificate: WorkloadCertificate): CertificateMessage {
  const { identity, chainPem, rootsPem, privateKey, notBeforeMs, notAfterMs, serial } = certificate;
  return { kind: 'certificate', identity, chainPem, rootsPem, privateKey, notBeforeMs, notAfterMs, serial };
}
