/**
 * This waypoint's own certificate, as both ends of mesh TLS are told it, and whom it talks to.
 *
 * The certificate is asked for at start and renewed by its store; a handshake uses what is in force at its moment.
 */
import type { X509Certificate } from 'node:crypto';
import type { TLSSocket } from 'node:tls';
import type { CertificateState, CertificateStore } from '@ambit/identity/certificate-store';
import type { Revocations } from '@ambit/identity/revocation-list';
import {
  clientTlsOptions,
  type MeshTlsClientOptions,
  type MeshTlsOptions,
  type PeerVerdict,
  serverTlsOptions,
  type TlsSettings,
  verifyClientPeer,
  verifyServerPeer,
} from '@ambit/identity/tls-context';
import type { WorkloadCertificate } from '@ambit/identity/workload-certificate';

export interface OwnCertificateOptions {
  readonly identity: string;
  readonly store: CertificateStore;
  readonly revocations: Revocations;
  readonly settings: TlsSettings;
  /** Those of the mesh now: its own and its aliases. */
  readonly trustDomains: () => readonly string[];
}

export class OwnCertificate implements Disposable {
  readonly identity: string;
  readonly #options: OwnCertificateOptions;
  readonly #stop = new AbortController();

  constructor(options: OwnCertificateOptions) {
    this.identity = options.identity;
    this.#options = options;
    options.store.prefetch(options.identity);
  }

  /** Waits for the first one. @throws CertificateRequestError with the CA's last refusal. */
  async get(): Promise<WorkloadCertificate> {
    return await this.#options.store.get(this.identity, 'real-time', this.#stop.signal);
  }

  /** Resolves when there is one, however often the CA has refused before: {@link get} tells of a refusal that lasts. */
  async available(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    using _ = this.#options.store.subscribe(({ kind }) => kind === 'available' && resolve());
    this.get().then(
      () => resolve(),
      () => undefined,
    );
    await promise;
  }

  async serverTls(): Promise<MeshTlsOptions> {
    return serverTlsOptions(await this.get(), this.#options.settings);
  }

  async clientTls(): Promise<MeshTlsClientOptions> {
    return clientTlsOptions(await this.get(), this.#options.settings);
  }

  verifyClient(socket: TLSSocket): PeerVerdict {
    const { trustDomains, revocations } = this.#options;
    return this.#tracked(socket, verifyClientPeer(socket, trustDomains(), revocations.check));
  }

  /** @param expected - Of whom the server must be one. */
  verifyServer(socket: TLSSocket, expected: readonly string[]): PeerVerdict {
    const { revocations } = this.#options;
    return this.#tracked(socket, verifyServerPeer(socket, expected, revocations.check));
  }

  states(): readonly CertificateState[] {
    return this.#options.store.states();
  }

  [Symbol.dispose](): void {
    this.#stop.abort(new Error('stopping'));
  }

  /** A later revocation list may end the connection. */
  #tracked(socket: TLSSocket, verdict: PeerVerdict): PeerVerdict {
    if (!verdict.ok) return verdict;
    const chain: readonly X509Certificate[] = verdict.chain;
    const tracking = this.#options.revocations.track(chain, (reason) => socket.destroy(new Error(reason)));
    socket.once('close', () => tracking[Symbol.dispose]());
    return verdict;
  }
}
