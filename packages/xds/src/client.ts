/**
 * The client end of delta xDS: keeps one stream to a control plane, for as long as it runs.
 *
 * State outlives streams: while there is no connection, handlers keep what they have, and the next stream begins with
 * the versions held, so that only differences come. `start` resolves at once; `synced` says when the first answers are
 * in.
 */
import {
  type DeltaDiscoveryRequest,
  DELTA_ADS_PATH,
  encodeDeltaRequest,
  type Node,
} from '@ambit/api/discovery';
import { MAX_DISCOVERY_RESPONSE_BYTES } from '@ambit/api/limits';
import { Backoff } from '@ambit/core/backoff';
import type { Clock, Random } from '@ambit/core/clock';
import { messageOf } from '@ambit/core/errors';
import type { Logger } from '@ambit/core/log';
import { rpcProblem } from '@ambit/core/rpc-text';
import type { Service } from '@ambit/core/service';
import { type Watch, Watched } from '@ambit/core/watch';
import {
  ChannelCredentials,
  type ChannelOptions,
  Client,
  type ClientDuplexStream,
  connectivityState,
  Metadata,
  type ServiceError,
  status,
} from '@grpc/grpc-js';
import { Demands } from './client/demands.ts';
import { acknowledgement, type TypeHandler, type TypeReport, TypeState } from './client/type-state.ts';
import { bufferOf, type ReceivedResponse, receiveResponse } from './grpc.ts';
import {
  CONNECT_TIMEOUT_MS,
  KEEPALIVE_INTERVAL_MS,
  KEEPALIVE_TIMEOUT_MS,
  RECEIVE_WINDOW_BYTES,
  RECONNECT_INITIAL_MS,
  RECONNECT_MAX_MS,
  STEADY_STREAM_MS,
} from './limits.ts';

/** Why a stream ended, in Istio's words for its metric. */
export type TerminationReason = 'ConnectionError' | 'Error' | 'Reconnect' | 'Complete';

export interface ClientObserver {
  received?(typeUrl: string, bytes: number): void;
  terminated?(reason: TerminationReason): void;
}

/** TLS of a connection. */
export interface ChannelSecurity {
  readonly credentials: ChannelCredentials;
  readonly options?: ChannelOptions;
}

export interface DeltaXdsClientOptions {
  /** `host:port`. */
  readonly address: string;
  /** Made anew for each connection, so that a changed root is used. May reject. `undefined`: no TLS. */
  readonly channel: () => Promise<ChannelSecurity | undefined>;
  /** `authorization`, `clusterid` and others, read anew for each stream. May reject. */
  readonly headers: () => Promise<Readonly<Record<string, string>>>;
  readonly node: Node;
  /** Asked for in this order. */
  readonly types: readonly TypeHandler[];
  readonly observer?: ClientObserver;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

export type ConnectionState = 'disconnected' | 'connecting' | 'connected';

type Stream = ClientDuplexStream<DeltaDiscoveryRequest, ReceivedResponse>;

export class DeltaXdsClient implements Service {
  readonly name = 'xds';
  readonly #options: DeltaXdsClientOptions;
  readonly #types: ReadonlyMap<string, TypeState>;
  readonly #demands = new Map<string, Demands>();
  readonly #awaited: Set<string>;
  readonly #synced = new Watched(false);
  readonly #state = new Watched<ConnectionState>('disconnected');
  readonly #stop = new AbortController();
  #running: Promise<void> | undefined;
  #stream: Stream | undefined;

  constructor(options: DeltaXdsClientOptions) {
    this.#options = options;
    this.#types = new Map(options.types.map((handler) => [handler.typeUrl, new TypeState(handler)]));
    this.#awaited = new Set(options.types.filter((type) => !type.onDemand).map((type) => type.typeUrl));
    for (const typeUrl of this.#types.keys()) this.#demands.set(typeUrl, new Demands());
  }

  /** True from when every type that is followed whole was answered once. Never false again. */
  get synced(): Watch<boolean> {
    return this.#synced;
  }

  get state(): Watch<ConnectionState> {
    return this.#state;
  }

  /** What is held of each type, in the order in which it is asked for. */
  report(): readonly TypeReport[] {
    return [...this.#types.values()].map((type) => type.report());
  }

  async start(_signal: AbortSignal): Promise<void> {
    this.#running ??= this.#run();
  }

  /**
   * Asks for one key of a type that is followed on demand, and resolves when it was answered: with resources, which the
   * handler has by then, or with "no such thing".
   *
   * @throws {@link DemandError} when too much is waited for, or the client stops; `signal.reason` when that aborts.
   */
  demand(typeUrl: string, key: string, signal: AbortSignal): Promise<void> {
    const type = this.#types.get(typeUrl);
    const demands = this.#demands.get(typeUrl);
    if (!type || !demands) return Promise.reject(new Error(`type ${typeUrl} is not followed`));
    return demands.wait(
      key,
      signal,
      () => this.#send(type.demand(key)),
      () => type.forgetDemand(key),
    );
  }

  async drain(): Promise<void> {
    this.#stop.abort(new Error('stopped'));
    for (const demands of this.#demands.values()) demands.close();
    await this.#running;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.drain();
  }

  async #run(): Promise<void> {
    const { clock, random, log } = this.#options;
    const backoff = new Backoff(RECONNECT, random);
    while (!this.#stop.signal.aborted) {
      this.#state.set('connecting');
      const startedMs = clock.monotonicMs();
      const end = await this.#connectOnce();
      this.#state.set('disconnected');
      if (this.#stop.signal.aborted) return;
      if (end.answered && clock.monotonicMs() - startedMs >= STEADY_STREAM_MS) backoff.reset();
      const retryMs = backoff.nextMs();
      this.#options.observer?.terminated?.(end.reason);
      const fields = { address: this.#options.address, reason: end.message, retryMs: Math.round(retryMs) };
      if (end.reason === 'Error' || end.reason === 'ConnectionError') log.warn('xDS stream failed', fields);
      else log.info('xDS stream ended', fields);
      await clock.sleep(retryMs, this.#stop.signal).catch(() => undefined);
    }
  }

  async #connectOnce(): Promise<StreamEnd> {
    let client: Client | undefined;
    try {
      const [security, headers] = await Promise.all([this.#options.channel(), this.#options.headers()]);
      const metadata = new Metadata();
      for (const [name, value] of Object.entries(headers)) metadata.set(name, value);
      if (this.#stop.signal.aborted) return { reason: 'Complete', message: 'stopped', answered: false };
      const credentials = security?.credentials ?? ChannelCredentials.createInsecure();
      client = new Client(this.#options.address, credentials, { ...CHANNEL_OPTIONS, ...security?.options });
      const stream: Stream = client.makeBidiStreamRequest(
        DELTA_ADS_PATH,
        (request: DeltaDiscoveryRequest) => bufferOf(encodeDeltaRequest(request)),
        receiveResponse,
        metadata,
      );
      return await this.#follow(stream, client);
    } catch (error) {
      return { reason: 'ConnectionError', message: messageOf(error), answered: false };
    } finally {
      client?.close();
    }
  }

  /** Runs one stream to its end; never rejects. */
  #follow(stream: Stream, client: Client): Promise<StreamEnd> {
    const { promise, resolve } = Promise.withResolvers<StreamEnd>();
    let answered = false;
    // gRPC itself waits for as long as the kernel tries. What comes after the connection may take its turn.
    const overdue = this.#options.clock.after(CONNECT_TIMEOUT_MS, () => {
      if (client.getChannel().getConnectivityState(false) === connectivityState.READY) return;
      const message = `no connection within ${CONNECT_TIMEOUT_MS} ms`;
      resolve({ reason: 'ConnectionError', message, answered });
    });
    const stop = () => stream.cancel();
    this.#stop.signal.addEventListener('abort', stop, { once: true });
    stream.on('data', (received: ReceivedResponse) => {
      answered = true;
      if (this.#state.value !== 'connected') this.#connected();
      this.#receive(received);
    });
    stream.on('error', (error: ServiceError) => resolve({ ...endOf(error, answered), answered }));
    stream.on('end', () => resolve({ reason: 'Complete', message: 'closed by the control plane', answered }));
    this.#stream = stream;
    for (const type of this.#types.values()) stream.write(type.initialRequest(this.#options.node));
    return promise.finally(() => {
      overdue.cancel();
      this.#stop.signal.removeEventListener('abort', stop);
      this.#stream = undefined;
      stream.cancel();
    });
  }

  #connected(): void {
    this.#options.log.info('xDS stream established', { address: this.#options.address });
    this.#state.set('connected');
  }

  #receive({ response, bytes }: ReceivedResponse): void {
    const { log, observer } = this.#options;
    const { typeUrl } = response;
    observer?.received?.(typeUrl, bytes);
    const type = this.#types.get(typeUrl);
    if (!type) {
      log.warn('response of a type that was not asked for', { type: typeUrl.slice(0, 200) });
      this.#send(acknowledgement(response, []));
      return;
    }
    const { reply, answered, rejections } = type.receive(response);
    log.debug('xDS response', {
      type: typeUrl,
      resources: response.resources.length,
      removed: response.removedResources.length,
      rejected: rejections.length,
      bytes,
    });
    if (reply.errorDetail)
      log.warn('resources rejected', { type: typeUrl, reason: reply.errorDetail.message });
    this.#send(reply);
    for (const key of answered) this.#demands.get(typeUrl)?.answered(key);
    if (this.#awaited.delete(typeUrl) && this.#awaited.size === 0) this.#synced.set(true);
  }

  #send(request: DeltaDiscoveryRequest): void {
    this.#stream?.write(request);
  }
}

/** As Istio's ztunnel, with jitter: all nodes of a mesh lose a control plane at the same moment. */
const RECONNECT = { initialMs: RECONNECT_INITIAL_MS, maxMs: RECONNECT_MAX_MS, jitter: 0.3 };

interface StreamEnd {
  readonly reason: TerminationReason;
  readonly message: string;
  /** Whether the control plane said anything. */
  readonly answered: boolean;
}

const CHANNEL_OPTIONS = {
  'grpc.max_receive_message_length': MAX_DISCOVERY_RESPONSE_BYTES,
  'grpc.max_send_message_length': -1,
  'grpc.keepalive_time_ms': KEEPALIVE_INTERVAL_MS,
  'grpc.keepalive_timeout_ms': KEEPALIVE_TIMEOUT_MS,
  'grpc.keepalive_permit_without_calls': 1,
  'grpc-node.flow_control_window': RECEIVE_WINDOW_BYTES,
  'grpc.enable_retries': 0,
  // Nobody stands between, whatever `http_proxy` a pod was given: not even loopback is left out of that.
  'grpc.enable_http_proxy': 0,
  'grpc.service_config_disable_resolution': 1,
  'grpc.use_local_subchannel_pool': 1,
};

function endOf(error: ServiceError, answered: boolean): { reason: TerminationReason; message: string } {
  const message = rpcProblem(status[error.code] ?? String(error.code), error.details);
  if (error.code === status.UNAVAILABLE && !answered) return { reason: 'ConnectionError', message };
  const expected =
    error.code === status.CANCELLED ||
    error.code === status.DEADLINE_EXCEEDED ||
    error.code === status.UNKNOWN ||
    (error.code === status.UNAVAILABLE && answered);
  return { reason: expected ? 'Reconnect' : 'Error', message };
}
