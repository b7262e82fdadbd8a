/** Connections of clients that are no HTTP: allowed or not, carried to an endpoint, told of when they end. */
import type { Clock, Random } from '@ambit/core/clock';
import { messageOf } from '@ambit/core/errors';
import type { Logger } from '@ambit/core/log';
import type { Transport } from '@ambit/http/transport/transport';
import type { QueueBudget } from '@ambit/hbone/queue-budget';
import type { AuthorizeConnection } from '../decide/signatures.ts';
import { configOf, type Downstream } from '../exchange/downstream.ts';
import { formatFlags, type ResponseFlag } from '../exchange/flags.ts';
import type { Carried } from '../inbound/context.ts';
import type { StreamService } from '../inbound/inbound.ts';
import type { Snapshot } from '../resources/snapshot.ts';
import { partyOfWorkload } from '../telemetry/party.ts';
import type { ConnectionRecord } from '../telemetry/record.ts';
import type { Cluster } from '../upstream/cluster.ts';
import type { Connector } from '../upstream/connector.ts';
import type { UpstreamEndpoint } from '../upstream/endpoint.ts';
import { UpstreamError } from '../upstream/errors.ts';
import type { Upstreams } from '../upstream/upstreams.ts';
import { BytePump } from './byte-pump.ts';

export interface StreamContext {
  readonly snapshot: () => Snapshot;
  readonly authorizeConnection: AuthorizeConnection;
  readonly upstreams: Upstreams;
  readonly connector: Connector;
  readonly budget: QueueBudget;
  readonly reporter: { connectionEnded(record: ConnectionRecord): void };
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

export class ByteStreams implements StreamService {
  readonly #context: StreamContext;
  readonly #open = new Set<CarriedStream>();
  #whenEmpty: (() => void) | undefined;

  constructor(context: StreamContext) {
    this.#context = context;
  }

  get openConnections(): number {
    return this.#open.size;
  }

  serve(downstream: Downstream, carried: Carried): void {
    const stream = new CarriedStream(this.#context, downstream, carried, () => {
      this.#open.delete(stream);
      if (this.#open.size === 0) this.#whenEmpty?.();
    });
    this.#open.add(stream);
    stream.start();
  }

  drain(): Promise<void> {
    return new Promise((resolve) => {
      this.#whenEmpty = resolve;
      if (this.#open.size === 0) resolve();
    });
  }

  endIdle(): void {
    for (const stream of [...this.#open]) if (stream.isAtRest) stream.cut();
  }

  destroy(): void {
    for (const stream of [...this.#open]) stream.cut();
  }
}

const NOBODY: ReadonlySet<UpstreamEndpoint> = new Set();

class CarriedStream {
  readonly #context: StreamContext;
  readonly #downstream: Downstream;
  readonly #carried: Carried;
  readonly #ended: () => void;
  readonly #startedAtMs: number;
  readonly #startedMs: number;
  readonly #flags = new Set<ResponseFlag>();
  #details = '';
  #transportFailure = '';
  #endpoint: UpstreamEndpoint | undefined;
  #cluster: Cluster | undefined;
  #connecting: Disposable | undefined;
  #pump: BytePump | undefined;
  #over = false;

  constructor(context: StreamContext, downstream: Downstream, carried: Carried, ended: () => void) {
    this.#context = context;
    this.#downstream = downstream;
    this.#carried = carried;
    this.#ended = ended;
    this.#startedAtMs = context.clock.now();
    this.#startedMs = context.clock.monotonicMs();
  }

  get isAtRest(): boolean {
    return this.#pump?.isAtRest ?? false;
  }

  start(): void {
    const { snapshot, authorizeConnection } = this.#context;
    const now = snapshot();
    if (!now.complete) {
      this.#refuse('NR', 'not_configured_yet');
      return;
    }
    const config = configOf(now, this.#downstream.destination);
    const verdict = authorizeConnection(config.authorization, this.#downstream.connection);
    if (verdict.kind !== 'allow') {
      const policy = verdict.kind === 'no-allow-matched' ? 'none' : verdict.by;
      this.#refuse(undefined, `rbac_access_denied_matched_policy[${policy}]`);
      return;
    }
    this.#connect();
  }

  /** Ends it now. */
  cut(): void {
    if (this.#pump) this.#pump.abort(new Error('draining'));
    else this.#refuse(undefined, 'draining');
  }

  #connect(): void {
    const { upstreams, random } = this.#context;
    const { destination } = this.#downstream;
    const cluster =
      destination.kind === 'workload'
        ? upstreams.workload(destination)
        : upstreams.cluster({ to: { service: destination.service.key, port: destination.port }, subset: '' });
    const pending = cluster.pending;
    if (pending) {
      void pending.then(() => {
        if (!this.#over) this.#connect();
      });
      return;
    }
    const picked = cluster.pick({
      hash: undefined,
      avoid: NOBODY,
      random,
      address: destination.address,
    });
    if (picked instanceof UpstreamError) this.#failed(picked);
    else if (!cluster.breakers.tryTake('connections'))
      this.#failed(new UpstreamError('UO', 'overflow', 'too many connections of this destination'));
    else this.#dial(cluster, picked);
  }

  #dial(cluster: Cluster, endpoint: UpstreamEndpoint): void {
    this.#cluster = cluster;
    this.#endpoint = endpoint;
    endpoint.activeRequests += 1;
    const about = { hostname: cluster.source.hostname, settings: cluster.settings };
    this.#connecting = this.#context.connector.transport(endpoint, about, {
      onTransport: (transport) => this.#connected(transport),
      onFailed: (error) => this.#failed(error),
    });
  }

  #connected(transport: Transport): void {
    this.#connecting = undefined;
    this.#pump = new BytePump(this.#carried.transport, transport, this.#context.budget, {
      onFinished: (error) => {
        if (error) this.#details = messageOf(error);
        this.#end();
      },
    });
    this.#pump.start();
  }

  #failed(error: UpstreamError): void {
    this.#transportFailure = error.message;
    this.#refuse(error.flag, error.reason);
  }

  /** Not a byte of the client goes on. */
  #refuse(flag: ResponseFlag | undefined, details: string): void {
    if (this.#over) return;
    if (flag) this.#flags.add(flag);
    this.#details = details;
    this.#connecting?.[Symbol.dispose]();
    this.#carried.transport.destroy();
    this.#end();
  }

  #end(): void {
    if (this.#over) return;
    this.#over = true;
    if (this.#endpoint) this.#endpoint.activeRequests -= 1;
    this.#cluster?.breakers.release('connections');
    this.#carried.closed();
    this.#ended();
    this.#context.reporter.connectionEnded(this.#record());
  }

  #record(): ConnectionRecord {
    const { source, service, destination, local, remote, connection, id } = this.#downstream;
    const facts = this.#endpoint?.facts;
    const identity = facts?.tunnelled ? facts.workload?.identity : undefined;
    return {
      startedAtMs: this.#startedAtMs,
      durationMs: this.#context.clock.monotonicMs() - this.#startedMs,
      source,
      destination: facts?.workload && partyOfWorkload(facts.workload, identity),
      service,
      servicePort: destination.port,
      addresses: {
        upstream: this.#endpoint?.key ?? '',
        upstreamLocal: '',
        downstreamLocal: local,
        downstreamRemote: remote,
      },
      flags: formatFlags(this.#flags),
      details: this.#details,
      transportFailure: this.#transportFailure,
      routeName: '',
      serverName: connection.sni ?? '',
      connectionId: id,
      receivedBytes: this.#pump?.bytesUp ?? 0,
      sentBytes: this.#pump?.bytesDown ?? 0,
    };
  }
}
