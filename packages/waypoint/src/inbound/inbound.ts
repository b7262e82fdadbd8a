/**
 * The way in: tunnels of clients at one port, their streams, and what carries them.
 *
 * Draining, tunnels are told to go elsewhere and their streams end by themselves; new ones are still taken to the last
 * moment, since whoever has not heard yet that this waypoint goes would find nobody.
 */
import type { Clock } from '@ambit/core/clock';
import { formatHostPort } from '@ambit/core/ip';
import type { Logger } from '@ambit/core/log';
import { messageOf } from '@ambit/core/errors';
import type { SessionOptions } from '@ambit/http/h2/session';
import type { QueueBudget } from '@ambit/hbone/queue-budget';
import { TunnelServer } from '@ambit/hbone/server';
import type { MeshStore } from '@ambit/model/store';
import type { OwnCertificate } from '../control/own-certificate.ts';
import { type Downstream, downstreamOf } from '../exchange/downstream.ts';
import {
  DRAIN_ANNOUNCE_MS,
  HANDSHAKES_IN_FLIGHT,
  LAST_CALL_LOOK_MS,
  LAST_CALL_MS,
  TUNNELS_PER_PEER,
} from '../limits.ts';
import { partyOfPeer, partyOfWorkload } from '../telemetry/party.ts';
import { ClientStream } from './client-stream.ts';
import type { Carried, InboundContext } from './context.ts';
import type { HttpService } from './http-service.ts';
import { InboundListener } from './listener.ts';

/** Carries connections that are no HTTP. */
export interface StreamService {
  serve(downstream: Downstream, carried: Carried): void;
  /** Resolves when none is open, which the next may change. */
  empty(): Promise<void>;
  /** Ends those on which nothing is under way. */
  endIdle(): void;
  destroy(): void;
}

export interface InboundOptions extends Omit<InboundContext, 'carry' | 'refused'> {
  readonly ip: string;
  readonly port: number;
  readonly mesh: MeshStore;
  readonly certificate: OwnCertificate;
  readonly session: SessionOptions;
  readonly budget: QueueBudget;
  readonly http: HttpService;
  readonly streams: StreamService;
  readonly clock: Clock;
  readonly log: Logger;
}

export class Inbound implements AsyncDisposable {
  readonly #options: InboundOptions;
  readonly #listener: InboundListener;
  readonly #server: TunnelServer;
  #connections = 0;

  constructor(options: InboundOptions) {
    const { certificate, session, budget, log, clock, ip, port } = options;
    this.#options = options;
    const context: InboundContext = {
      mesh: options.mesh,
      meshWaits: options.meshWaits,
      self: options.self,
      admission: options.admission,
      clock,
      hasHttpRules: options.hasHttpRules,
      faults: options.faults,
      network: options.network,
      baggage: options.baggage,
      carry: (carried) => this.#carry(carried),
      refused: ({ peer, identity }, authority, status, reason, message) =>
        log.info('connection refused', {
          peer: formatHostPort(peer.ip, peer.port),
          identity,
          authority: authority.slice(0, 300),
          status,
          reason,
          message,
        }),
    };
    this.#server = new TunnelServer({
      session,
      budget,
      maxHandshakes: HANDSHAKES_IN_FLIGHT,
      maxTunnelsPerPeer: TUNNELS_PER_PEER,
      tls: () => certificate.serverTls(),
      verify: (socket) => certificate.verifyClient(socket),
      onStream: (tunnel, stream, fields) => new ClientStream(context, tunnel, stream, fields).start(),
      onRefused: (peer, _local, error) =>
        log.info('tunnel refused', { peer: formatHostPort(peer.ip, peer.port), error: messageOf(error) }),
    });
    this.#listener = new InboundListener({
      ip,
      port,
      onAccepted: (handle) => this.#server.accept(handle),
      clock,
      log,
    });
  }

  /** @throws BindError */
  async open(): Promise<void> {
    await this.#listener.open();
  }

  get port(): number {
    return this.#listener.port;
  }

  get openTunnels(): number {
    return this.#server.openTunnels;
  }

  /**
   * Lets what is open end by itself for `ms`, then leaves it to be cut. What comes while it is announced is served as well,
   * and what came in the moment in which the listener closes.
   */
  async drain(ms: number): Promise<void> {
    const { http, streams, clock } = this.#options;
    const untilMs = clock.monotonicMs() + ms;
    const late = new AbortController();
    const lastCallMs = Math.min(LAST_CALL_MS, ms / 2);
    const announceMs = Math.min(DRAIN_ANNOUNCE_MS, ms / 2);
    this.#server.goAway();
    http.drain();
    await clock.sleep(announceMs);
    const empty = Promise.all([http.empty(), streams.empty()]);
    const over = clock.sleep(ms - lastCallMs - announceMs, late.signal).catch(() => undefined);
    await Promise.race([empty, over]);
    late.abort();
    await this.#lastCall(untilMs);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener[Symbol.dispose]();
    this.#options.http.destroy();
    this.#options.streams.destroy();
    this.#server.destroy();
    await Promise.resolve();
  }

  /** Takes nothing new, and ends connections in moments when nothing is under way on them. */
  async #lastCall(untilMs: number): Promise<void> {
    const { http, streams, clock } = this.#options;
    this.#listener[Symbol.dispose]();
    const drained = this.#server.drain();
    let isDrained = false;
    void drained.then(() => {
      isDrained = true;
    });
    while (!isDrained && clock.monotonicMs() < untilMs) {
      http.endIdle();
      streams.endIdle();
      await Promise.race([drained, clock.sleep(LAST_CALL_LOOK_MS)]);
    }
  }

  #carry(carried: Carried): void {
    const { destination, carrier, tunnel, transport, toldOfClient, closed } = carried;
    const { mesh, network, http, streams } = this.#options;
    this.#connections += 1;
    const { peer, identity } = tunnel;
    const workload = carried.isFromOtherNetwork ? undefined : mesh.workloadAt(network, peer.ip);
    const source =
      workload?.identity === identity
        ? partyOfWorkload(workload, identity)
        : partyOfPeer(toldOfClient(), identity);
    const downstream = downstreamOf({ id: this.#connections, peer, identity, destination, source });
    if (carrier === 'http') http.serve(downstream, transport, closed);
    else streams.serve(downstream, carried);
  }
}
