/**
 * The server end of delta xDS: hands it to a gRPC server, gives each stream the feeds that it may see, counts clients.
 *
 * It owns no port. A control plane serves certificates on the same one, so the gRPC server is the caller's.
 * Invariant: no byte of mesh state leaves before `authenticate` has resolved.
 */
import { randomUUID } from 'node:crypto';
import type { DeltaDiscoveryRequest } from '@ambit/api/discovery';
import { MAX_DISCOVERY_REQUEST_BYTES } from '@ambit/api/limits';
import type { Clock } from '@ambit/core/clock';
import { messageOf } from '@ambit/core/errors';
import type { Logger } from '@ambit/core/log';
import { type Metadata, type Server, type ServerDuplexStream, status } from '@grpc/grpc-js';
import { DELTA_SERVICE } from './grpc.ts';
import {
  AUTHENTICATION_TIMEOUT_MS,
  CONNECTION_AGE_GRACE_MS,
  KEEPALIVE_INTERVAL_MS,
  KEEPALIVE_TIMEOUT_MS,
  MAX_CLIENTS,
  MAX_CONNECTION_AGE_MS,
} from './limits.ts';
import type { ClientNode, ResourceFeed } from './resource-feed.ts';
import { type ClientState, ClientStream, type ServerObserver } from './server/client-stream.ts';
import { FullPushGate } from './server/full-push-gate.ts';
import { ServedFeed } from './server/served-feed.ts';

/** What the gRPC server must be made with: a reconnecting client names all that it holds, and dead clients are found. */
export const XDS_SERVER_OPTIONS = {
  'grpc.max_receive_message_length': MAX_DISCOVERY_REQUEST_BYTES,
  'grpc.max_send_message_length': -1,
  'grpc.keepalive_time_ms': KEEPALIVE_INTERVAL_MS,
  'grpc.keepalive_timeout_ms': KEEPALIVE_TIMEOUT_MS,
  'grpc.max_connection_age_ms': MAX_CONNECTION_AGE_MS,
  'grpc.max_connection_age_grace_ms': CONNECTION_AGE_GRACE_MS,
};

/** A stream that wants in. */
export interface ClientCredentials {
  readonly metadata: Metadata;
  /** `ip:port`. */
  readonly address: string;
}

export interface DeltaXdsServerOptions {
  readonly feeds: readonly ResourceFeed[];
  /** Who this is; rejects if nobody. Aborted after a limit or when the client leaves. */
  readonly authenticate: (credentials: ClientCredentials, signal: AbortSignal) => Promise<string>;
  /** Why an authenticated client may not be served as the node that it says it is. Default: it always may. */
  readonly refuse?: (identity: string, node: ClientNode) => string | undefined;
  /** Goes into each response for people to see. Default: empty. */
  readonly systemVersion?: () => string;
  readonly observer?: ServerObserver;
  readonly maxClients?: number;
  readonly clock: Clock;
  readonly log: Logger;
}

const SHUTTING_DOWN = 'the control plane is shutting down';

export class DeltaXdsServer implements Disposable {
  readonly #options: DeltaXdsServerOptions;
  readonly #feeds: ReadonlyMap<string, ServedFeed>;
  readonly #streams = new Set<ClientStream>();
  readonly #noncePrefix = randomUUID().slice(0, 8);
  readonly #fullPushes: FullPushGate;
  #open = 0;
  #opened = 0;
  #stopped = false;

  constructor(options: DeltaXdsServerOptions) {
    this.#options = options;
    const { systemVersion = () => '', clock } = options;
    this.#fullPushes = new FullPushGate(clock);
    this.#feeds = new Map(
      options.feeds.map((feed, i) => [
        feed.typeUrl,
        new ServedFeed({ feed, systemVersion, noncePrefix: `${this.#noncePrefix}-${i}`, clock }),
      ]),
    );
  }

  /** Serves delta xDS on `server`, which the caller binds and stops. */
  addTo(server: Server): void {
    server.addService(DELTA_SERVICE, {
      deltaAggregatedResources: (call: ServerDuplexStream<DeltaDiscoveryRequest, Buffer>) => {
        void this.#serve(call);
      },
    });
  }

  /** Clients that wait for their turn to be sent everything. */
  get waitingForAll(): number {
    return this.#fullPushes.waiting;
  }

  clients(): readonly ClientState[] {
    return [...this.#streams].map((stream) => stream.state);
  }

  /** Takes no new client and ends the streams there are, evenly over `spreadMs`, so that they go to another replica. */
  async drain(spreadMs: number): Promise<void> {
    this.#stopped = true;
    const streams = [...this.#streams];
    for (const [i, stream] of streams.entries()) {
      if (i > 0) await this.#options.clock.sleep(spreadMs / streams.length);
      stream.fail(status.UNAVAILABLE, SHUTTING_DOWN);
    }
    this[Symbol.dispose]();
  }

  /** Ends every stream at once. */
  [Symbol.dispose](): void {
    this.#stopped = true;
    for (const feed of this.#feeds.values()) feed[Symbol.dispose]();
    for (const stream of this.#streams) stream.fail(status.UNAVAILABLE, SHUTTING_DOWN);
  }

  async #serve(call: ServerDuplexStream<DeltaDiscoveryRequest, Buffer>): Promise<void> {
    const { authenticate, log, clock, observer = {}, maxClients = MAX_CLIENTS } = this.#options;
    const abort = new AbortController();
    let stream: ClientStream | undefined;
    let gone = false;
    this.#open += 1;
    const leave = () => {
      if (gone) return;
      gone = true;
      abort.abort(new Error('the client left'));
      this.#open -= 1;
      if (!stream) return;
      this.#streams.delete(stream);
      stream.closed();
      observer.disconnected?.();
    };
    call.on('cancelled', leave);
    call.on('close', leave);
    call.on('finish', leave);
    call.on('error', leave);
    if (this.#stopped || this.#open > maxClients) {
      refuseCall(call, status.UNAVAILABLE, this.#stopped ? SHUTTING_DOWN : 'too many clients');
      return;
    }
    const limit = clock.after(AUTHENTICATION_TIMEOUT_MS, () => {
      abort.abort(new Error('authentication timed out'));
      refuseCall(call, status.UNAUTHENTICATED, 'authentication timed out');
    });
    try {
      const identity = await authenticate({ metadata: call.metadata, address: call.getPeer() }, abort.signal);
      if (gone || abort.signal.aborted) return;
      if (this.#stopped) {
        refuseCall(call, status.UNAVAILABLE, SHUTTING_DOWN);
        return;
      }
      this.#opened += 1;
      stream = new ClientStream({
        call,
        identity,
        feeds: this.#feeds,
        refuse: this.#options.refuse ?? (() => undefined),
        fullPushes: this.#fullPushes,
        noncePrefix: `${this.#noncePrefix}-c${this.#opened}`,
        observer,
        clock,
        log,
      });
      this.#streams.add(stream);
      observer.connected?.();
    } catch (error) {
      log.warn('client not authenticated', { address: call.getPeer(), error: messageOf(error) });
      if (!abort.signal.aborted) refuseCall(call, status.UNAUTHENTICATED, 'authentication failure');
    } finally {
      limit.cancel();
    }
  }
}

function refuseCall(
  call: ServerDuplexStream<DeltaDiscoveryRequest, Buffer>,
  code: status,
  details: string,
): void {
  call.emit('error', Object.assign(new Error(details), { code, details }));
}
