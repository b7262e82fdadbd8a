/**
 * Asks a CA for certificates: one gRPC call each, with a key that is made for it and never used again.
 *
 * A node's proxy asks in its workloads' names (impersonation); the CA decides whether it may. What comes back is checked
 * before anybody uses it: it must be for our key and for the identity asked for. The channel is rebuilt when the root
 * that the CA is verified by has changed; if the new root cannot be read, the old channel goes on.
 */
import {
  CREATE_CERTIFICATE_PATH,
  decodeCertificateResponse,
  encodeCertificateRequest,
  IMPERSONATED_IDENTITY,
  type IstioCertificateRequest,
  type IstioCertificateResponse,
} from '@ambit/api/ca';
import type { Clock, Random } from '@ambit/core/clock';
import { messageOf } from '@ambit/core/errors';
import { rpcProblem } from '@ambit/core/rpc-text';
import type { Logger } from '@ambit/core/log';
import { Client, Metadata, type ServiceError, status } from '@grpc/grpc-js';
import { createRequest } from './certificate-request.ts';
import {
  type ControlPlaneChannel,
  controlPlaneChannel,
  type RootSource,
  readAuthorization,
  readRoots,
  type TokenSource,
} from './control-plane-tls.ts';
import { CertificateRequestError } from './errors.ts';
import { KeptConnection } from './kept-connection.ts';
import { generateKeys } from './keys.ts';
import { CHANNEL_MIN_AGE_MS, MAX_BUNDLE_SIZE_BYTES, REQUEST_TIMEOUT_MS } from './limits.ts';
import { identityOfPem, type WorkloadCertificate, workloadCertificate } from './workload-certificate.ts';

export interface CaClientOptions {
  /** `host:port`. */
  readonly address: string;
  readonly root: RootSource;
  readonly alternativeHost?: string;
  readonly token: TokenSource;
  /** Istio's `clusterid` header. */
  readonly clusterId: string;
  /** `CA_HEADER_*`: further headers, by name. */
  readonly headers: Readonly<Record<string, string>>;
  /** Ask in the workload's name, as a node's proxy does; false: the CA names us by our token. */
  readonly impersonate: boolean;
  /** The lifetime to ask for. */
  readonly ttlMs: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  /** Called when the CA can be reached, first or again. Only of a client that stays connected. */
  readonly onConnected?: () => void;
}

/** Every 30 s a PING, and 10 s for its answer: as Istio's ztunnel. */
const CHANNEL_OPTIONS = {
  'grpc.keepalive_time_ms': 30_000,
  'grpc.keepalive_timeout_ms': 10_000,
  'grpc.max_receive_message_length': MAX_BUNDLE_SIZE_BYTES,
  'grpc.initial_reconnect_backoff_ms': 500,
  'grpc.max_reconnect_backoff_ms': 5_000,
  'grpc.use_local_subchannel_pool': 1,
  'grpc.enable_http_proxy': 0,
};

export class CaClient implements Disposable {
  readonly #options: CaClientOptions;
  #client: Client | undefined;
  /** The roots that `#client` verifies by, joined. */
  #roots = '';
  #madeAtMs = 0;
  #isDoubtful = false;
  #staysConnected = false;
  #kept: KeptConnection | undefined;
  #disposed = false;

  constructor(options: CaClientOptions) {
    this.#options = options;
  }

  /**
   * A certificate for `identity` with a new key.
   *
   * @throws {@link CertificateRequestError} naming what failed; {@link CertificateError} if the answer is unusable.
   */
  readonly fetch = async (identity: string, signal: AbortSignal): Promise<WorkloadCertificate> => {
    const keys = await generateKeys();
    const request: IstioCertificateRequest = {
      csr: createRequest(identity, keys),
      validityDuration: BigInt(Math.floor(this.#options.ttlMs / 1_000)),
      metadata: this.#options.impersonate ? { [IMPERSONATED_IDENTITY]: identity } : undefined,
    };
    const client = await this.#connected(identity);
    const { certChain } = await this.#call(client, request, identity, signal);
    const certificate = workloadCertificate(identity, keys.privateKey, certChain);
    const proven = identityOfPem(certificate.chainPem[0] ?? '');
    if (this.#options.impersonate && proven !== identity)
      throw new CertificateRequestError(
        identity,
        `did not find expected SAN in the answer, got ${proven ?? 'none'}`,
      );
    return certificate;
  };

  /**
   * Has a connection from now on, whether anybody asks or not: a first request would wait for a handshake, and the first
   * connections of its workload with it. What keeps it from that, the next request says.
   */
  connectAhead(): void {
    this.#staysConnected = true;
    this.#connected('').then(
      () => this.#keep(),
      () => undefined,
    );
  }

  [Symbol.dispose](): void {
    this.#disposed = true;
    this.#drop();
  }

  /** The channel, made anew when the roots on disk are others than it was made with. */
  async #connected(identity: string): Promise<Client> {
    try {
      const roots = await readRoots(this.#options.root);
      if (this.#disposed) throw new CertificateRequestError(identity, 'nobody asks any more');
      if (this.#client && this.#roots === roots.join('') && this.#isUsable) return this.#client;
      const { address, alternativeHost } = this.#options;
      return this.#replace(controlPlaneChannel(address, roots, alternativeHost), roots.join(''));
    } catch (error) {
      if (error instanceof CertificateRequestError) throw error;
      if (!this.#client)
        throw new CertificateRequestError(identity, `no root to verify the CA by: ${messageOf(error)}`, {
          cause: error,
        });
      this.#options.log.warn('CA root could not be reloaded, the old one stays', { error: messageOf(error) });
      return this.#client;
    }
  }

  #replace(channel: ControlPlaneChannel, roots: string): Client {
    this.#drop();
    this.#client = new Client(this.#options.address, channel.credentials, {
      ...CHANNEL_OPTIONS,
      ...channel.options,
    });
    this.#madeAtMs = this.#options.clock.monotonicMs();
    this.#isDoubtful = false;
    this.#roots = roots;
    this.#keep();
    return this.#client;
  }

  #keep(): void {
    if (!this.#client || !this.#staysConnected) return;
    const { clock, random, onConnected } = this.#options;
    this.#kept ??= new KeptConnection(this.#client.getChannel(), {
      clock,
      random,
      onConnected: () => {
        // What was doubted is another connection.
        this.#isDoubtful = false;
        onConnected?.();
      },
    });
  }

  /**
   * The next request has another channel: a connection that nobody used may lead nowhere, since PINGs begin with the first
   * call; and where none could be made, gRPC makes pauses of its own, in which every request fails at once, though whoever
   * asks makes pauses, too, and the control plane may be there by now.
   */
  #doubt(client: Client, code: status): void {
    if (client !== this.#client) return;
    this.#isDoubtful ||= code === status.DEADLINE_EXCEEDED || code === status.UNAVAILABLE;
  }

  get #isUsable(): boolean {
    const ageMs = this.#options.clock.monotonicMs() - this.#madeAtMs;
    return !this.#isDoubtful || ageMs < CHANNEL_MIN_AGE_MS;
  }

  /** Calls that are under way go on. */
  #drop(): void {
    this.#kept?.[Symbol.dispose]();
    this.#kept = undefined;
    this.#client?.close();
    this.#client = undefined;
  }

  async #call(
    client: Client,
    request: IstioCertificateRequest,
    identity: string,
    signal: AbortSignal,
  ): Promise<IstioCertificateResponse> {
    const metadata = await this.#metadata(identity);
    return await new Promise((resolve, reject) => {
      const call = client.makeUnaryRequest(
        CREATE_CERTIFICATE_PATH,
        (message: IstioCertificateRequest) => Buffer.from(encodeCertificateRequest(message)),
        (bytes: Buffer) => decodeCertificateResponse(bytes),
        request,
        metadata,
        { deadline: this.#options.clock.now() + REQUEST_TIMEOUT_MS },
        (error, response) => {
          signal.removeEventListener('abort', cancel);
          if (error) this.#doubt(client, error.code);
          if (response) resolve(response);
          // Without the error as its cause: that says the same in other words, and would be told behind it.
          else reject(new CertificateRequestError(identity, describe(error, this.#options.address)));
        },
      );
      const cancel = () => call.cancel();
      if (signal.aborted) cancel();
      else signal.addEventListener('abort', cancel, { once: true });
    });
  }

  async #metadata(identity: string): Promise<Metadata> {
    const metadata = new Metadata();
    try {
      for (const [name, value] of Object.entries(this.#options.headers)) metadata.set(name, value);
      metadata.set('clusterid', this.#options.clusterId);
      const authorization = await readAuthorization(this.#options.token);
      if (authorization !== undefined) metadata.set('authorization', authorization);
    } catch (error) {
      throw new CertificateRequestError(identity, `the request could not be made: ${messageOf(error)}`, {
        cause: error,
      });
    }
    return metadata;
  }
}

/** `UNAUTHENTICATED: request authenticate failure (from 10.0.0.1:15012)`. */
function describe(error: ServiceError | null, address: string): string {
  if (!error) return `the CA at ${address} answered nothing`;
  return `${rpcProblem(status[error.code] ?? String(error.code), error.details)} (CA at ${address})`;
}
