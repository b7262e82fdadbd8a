/**
 * A connection that a pod opened and the redirection sent to 15001.
 *
 * The application believes to be connected from the first moment; whatever keeps its bytes from where they should go ends in
 * a close, never in a detour. Before the far end has agreed no more is read from it than its first words, which go to a peer
 * that is known to be the right one and that keeps them until then (early-data.ts); to any other peer nothing goes.
 */
import type { Timer } from '@ambit/core/clock';
import { messageOf } from '@ambit/core/errors';
import { type Endpoint, formatHostPort } from '@ambit/core/ip';
import { parseBaggage } from '@ambit/hbone/baggage';
import type { Tunnel } from '@ambit/hbone/client';
import { brokenApplication, ConnectStatusError, TunnelClosedError } from '@ambit/hbone/errors';
import { H2ClosedError, type StreamResetError } from '@ambit/http/errors';
import { H2 } from '@ambit/http/h2/protocol';
import type { H2Session } from '@ambit/http/h2/session';
import type { H2Stream, StreamHandler } from '@ambit/http/h2/stream';
import { fieldValue, type HeaderFields } from '@ambit/http/header-fields';
import { connectFields, fieldValues } from '@ambit/hbone/headers';
import { CONNECT_TIMEOUT_MS } from '@ambit/hbone/limits';
import { PlainPump } from '@ambit/hbone/plain-pump';
import { poolKey } from '@ambit/hbone/pool';
import type { TcpHandle } from '@ambit/http/transport/native';
import { PlainSocket, type PlainSocketEvents } from '@ambit/http/transport/plain-socket';
import { newTraceparent } from '@ambit/hbone/trace-context';
import { TunnelPump } from '@ambit/hbone/tunnel-pump';
import { originalDestination } from '@ambit/linux/original-destination';
import { type Route, type RouteDecision, type RouteRequest, selectRoute } from '@ambit/model/decide/route';
import { leadsElsewhere } from '@ambit/model/decide/stale-route';
import type { Workload } from '@ambit/model/workload';
import type { FarEnd } from './bulk-destinations.ts';
import { Connection } from './connection.ts';
import { EarlyData } from './early-data.ts';
import { type InnerTunnel, openInnerTunnel } from './double-tunnel.ts';
import { ConnectAnswerError, ConnectError, endInTunnel, RouteRefusalError, unanswered } from './errors.ts';
import {
  CONNECT_ANSWER_TIMEOUT_MS,
  MAX_STREAM_ATTEMPTS,
  STALE_ROUTE_WAIT_MS,
  WAYPOINT_DOUBT_MS,
} from './limits.ts';
import { baggageOf, learnedTraffic, outboundTraffic, partyOfWorkload } from './parties.ts';
import type { Pod } from './pod.ts';
import { type Traffic, UNKNOWN_PARTY } from './traffic.ts';

const NOWHERE: Traffic = {
  reporter: 'source',
  source: UNKNOWN_PARTY,
  destination: UNKNOWN_PARTY,
  service: undefined,
  mutualTls: false,
};

export class OutboundConnection extends Connection implements PlainSocketEvents, StreamHandler {
  readonly #socket: PlainSocket;
  readonly #peer: Endpoint;
  readonly #target: Endpoint;
  #source: Workload | undefined;
  #route: Route | undefined;
  #upstream: PlainSocket | undefined;
  #stream: H2Stream | undefined;
  #inner: InnerTunnel | undefined;
  #pump: TunnelPump | PlainPump | undefined;
  readonly #early: EarlyData;
  #timer: Timer | undefined;
  /** Aborted as soon as it does not matter any more whether the connection leads elsewhere. */
  #doubt: AbortController | undefined;
  #attempts = 0;
  /** Chosen once, so that a retry finds the tunnel that was opened for it; `undefined`: not ours to choose. */
  #far: FarEnd | undefined;
  #begunAtMs = 0;

  /** @param target - Where the application wants to go, if somebody other than the kernel knows. */
  constructor(pod: Pod, from: TcpHandle | PlainSocket, target?: Endpoint) {
    super(pod, 'outbound');
    this.#socket = from instanceof PlainSocket ? from : new PlainSocket(from, this);
    this.#socket.events = this;
    this.#early = new EarlyData(this.#socket, pod.budget, (error) => this.end(error));
    this.#peer = this.#socket.peer();
    this.#target = target ?? originalDestination(this.#socket.fd) ?? this.#socket.local();
  }

  start(): void {
    const { client } = this.pod;
    if (client) this.step(() => this.#decide(client));
    else this.later(this.pod.clientInTime(), (found) => this.#decide(found));
  }

  protected override get source(): Endpoint {
    return this.#peer;
  }

  protected override get receivedBytes(): number {
    return this.#pump?.bytesUp ?? 0;
  }

  protected override get sentBytes(): number {
    return this.#pump?.bytesDown ?? 0;
  }

  protected override get isAnswered(): boolean {
    return this.#pump?.lastMoved === 'down';
  }

  protected override release(error: Error | undefined): void {
    this.#timer?.cancel();
    this.#doubt?.abort();
    if (!this.#pump) this.#stream?.reset(H2.cancel);
    else if (error) this.#pump.abort(error);
    this.#inner?.[Symbol.dispose]();
    this.#upstream?.close();
    // As the kernel does when what an application said was never read.
    if (this.#early.isHeld) this.#socket.reset();
    else this.#socket.close();
    this.#early.release();
  }

  protected override end(error: Error | undefined): void {
    if (this.isEnded) return;
    this.#countAsBulk();
    super.end(endInTunnel(error, this.#route?.to));
  }

  /** @internal The pump is through. */
  onFinished(error: Error | undefined): void {
    this.end(error);
  }

  // The sockets, before a pump takes over: the upstream one in clear, or the application's ahead of an answer.

  onPlainConnected(): void {
    this.step(() => this.#connected());
  }

  onPlainError(code: string): void {
    if (this.#stream) this.end(brokenApplication(code));
    else this.end(new ConnectError(this.#route?.to ?? this.#target, code));
  }

  onPlainData(buffer: Buffer, from: number, to: number): void {
    if (this.#stream) this.#early.read(this.#stream, buffer, from, to);
  }

  onPlainEnd(): void {
    this.#early.end(this.#stream);
  }

  onPlainWritten(): void {}

  // The stream, before its pump takes over.

  onHeaders(stream: H2Stream, fields: HeaderFields): void {
    this.step(() => this.#answered(stream, fields));
  }

  onData(stream: H2Stream): void {
    stream.reset(H2.protocolError);
    this.end(new ConnectAnswerError('data'));
  }

  onWritable(): void {}

  onEnd(): void {
    this.end(new TunnelClosedError('the stream ended before it was answered'));
  }

  onReset(_stream: H2Stream, error: StreamResetError): void {
    this.#stream = undefined;
    this.#doubt?.abort();
    this.#early.pause();
    if (error.h2Code === H2.refusedStream && this.#attempts < MAX_STREAM_ATTEMPTS && this.#route) {
      const route = this.#route;
      this.step(() => this.#tunnel(route));
    } else {
      this.end(error);
    }
  }

  protected override failed(error: Error): void {
    this.end(error);
  }

  #connected(): void {
    this.#timer?.cancel();
    if (this.isEnded || !this.#upstream) return;
    this.#pump = new PlainPump(this.#socket, this.#upstream, this.pod.budget, this);
  }

  #answered(stream: H2Stream, fields: HeaderFields): void {
    this.#timer?.cancel();
    this.#doubt?.abort();
    const status = fieldValue(fields, ':status') ?? '';
    if (status !== '200') {
      this.#refused(stream, status);
      return;
    }
    if (this.#inner && this.#route && this.#source) {
      const baggage = parseBaggage(fieldValues(fields, 'baggage'));
      const traffic = outboundTraffic(this.#source, this.#route);
      this.learned(learnedTraffic(traffic, this.#inner.identity, baggage));
    }
    const pump = new TunnelPump(stream, this.pod.budget, this);
    this.#pump = pump;
    this.#early.handOver(stream, pump);
  }

  #decide(source: Workload): void {
    if (this.isEnded) return;
    this.#source = source;
    const { options, demands } = this.pod.worker;
    if (!options.onDemand) {
      this.#follow(this.#select(source));
      return;
    }
    this.later(demands.forRoute(this.#question(source)), () => this.#follow(this.#select(source)));
  }

  #question(source: Workload): RouteRequest {
    const { network } = this.pod.worker.options;
    return { source, sourceIp: this.#peer.ip, target: this.#target, network };
  }

  #select(source: Workload): RouteDecision {
    const { mesh, route } = this.pod.worker;
    return selectRoute(mesh, this.#question(source), route);
  }

  #follow(decision: RouteDecision): void {
    if (this.isEnded) return;
    switch (decision.kind) {
      case 'refuse':
        this.end(new RouteRefusalError(decision.message));
        return;
      case 'resolve':
        this.#countResolution(decision.hostname);
        this.later(this.pod.worker.names.resolve(decision.hostname), (ips) =>
          this.#follow(decision.resume(ips)),
        );
        return;
      default:
        this.#begin(decision);
    }
  }

  #countAsBulk(): void {
    if (this.#far === undefined || !this.#pump || !this.#route) return;
    const { bulk, clock } = this.pod.worker;
    const bytes = this.receivedBytes + this.sentBytes;
    bulk.ended(this.#route.authority, { bytes, ms: clock.monotonicMs() - this.#begunAtMs });
  }

  #countResolution(hostname: string): void {
    const source = this.#source;
    if (!source) return;
    const party = partyOfWorkload(source, source.identity);
    this.pod.worker.events.resolved({ ...NOWHERE, source: party }, hostname);
  }

  #begin(route: Route): void {
    const source = this.#source;
    if (!source) return;
    this.#route = route;
    this.#far = route.protocol === 'HBONE' ? this.pod.farEndFor(route) : undefined;
    this.#begunAtMs = this.pod.worker.clock.monotonicMs();
    this.opened({
      traffic: outboundTraffic(source, route),
      protocol: route.protocol,
      originalDestination: this.#target,
      actualDestination: route.to,
      loggedDestination: route.to,
      hboneAddress: route.protocol === 'TCP' ? undefined : route.authority,
    });
    if (route.protocol === 'TCP') this.#connectInClear(route.to);
    else if (route.protocol === 'HBONE') this.#tunnel(route);
    else this.#doubleTunnel(route, source);
  }

  #connectInClear(to: Endpoint): void {
    try {
      this.#upstream = new PlainSocket({ connecting: this.pod.sockets.connect(to) }, this);
    } catch (error) {
      this.end(new ConnectError(to, messageOf(error), { cause: error }));
      return;
    }
    if (this.#upstream.isConnected) {
      this.onPlainConnected();
      return;
    }
    this.#timer = this.pod.worker.clock.after(CONNECT_TIMEOUT_MS, () =>
      this.end(new ConnectError(to, `no answer within ${CONNECT_TIMEOUT_MS} ms`)),
    );
  }

  /** Opens a stream in a tunnel that is there, in the same turn in which it was found to have room. */
  #tunnel(route: Route): void {
    const source = this.#source;
    if (this.isEnded || !source) return;
    const { pool } = this.pod;
    const nextHop = formatHostPort(route.to.ip, route.to.port);
    const far = this.#far ?? 'own';
    // Those whose far ends are different workers' are different tunnels.
    const key = `${far}\0${poolKey(source.identity, route.expectedIdentities, nextHop, this.#peer.ip)}`;
    const tunnel = pool.take(key);
    if (tunnel) {
      this.#request(tunnel, route, source);
      return;
    }
    const opened = pool.get(key, (handler) => this.pod.openTunnel(source.identity, route, handler, far));
    this.later(opened, () => this.#tunnel(route));
  }

  #request({ session }: Tunnel, route: Route, source: Workload): void {
    this.#attempts += 1;
    try {
      const stream = session.request(this.#fields(route, source, undefined), this);
      this.#stream = stream;
      if (route.via === 'waypoint') this.#expectAnswerOfWaypoint(session, route, source);
      else {
        this.#expectAnswer(session, route);
        if (session.takesEarlyData) this.#early.follow(stream);
      }
    } catch (error) {
      if (!(error instanceof H2ClosedError && this.#attempts < MAX_STREAM_ATTEMPTS)) throw error;
      this.#tunnel(route);
    }
  }

  /** Little or nothing is read from the application until then, so its end might not be noticed either. */
  #expectAnswer(session: H2Session, { to }: Route): void {
    this.#timer?.cancel();
    this.#timer = this.pod.worker.clock.after(CONNECT_ANSWER_TIMEOUT_MS, () =>
      this.end(unanswered(session, to)),
    );
  }

  #expectAnswerOfWaypoint(session: H2Session, route: Route, source: Workload): void {
    this.#timer?.cancel();
    this.#timer = this.pod.worker.clock.after(WAYPOINT_DOUBT_MS, () => {
      this.#expectAnswer(session, route);
      this.later(this.#elsewhere(route, source, CONNECT_ANSWER_TIMEOUT_MS), (isElsewhere) => {
        if (isElsewhere) this.#decideAgain(source);
      });
    });
  }

  #refused(stream: H2Stream, status: string): void {
    const error = new ConnectStatusError(status);
    const route = this.#route;
    const source = this.#source;
    const mayBeStale = status === '404' && route?.via === 'waypoint' && this.#attempts < MAX_STREAM_ATTEMPTS;
    if (!mayBeStale || !source) {
      this.end(error);
      return;
    }
    stream.reset(H2.cancel);
    this.#stream = undefined;
    this.later(this.#elsewhere(route, source, STALE_ROUTE_WAIT_MS), (isElsewhere) => {
      if (isElsewhere) this.#decideAgain(source);
      else this.end(error);
    });
  }

  /**
   * Whether the connection leads elsewhere than `route` now, or does within `ms`, while it still waits. A waypoint that was
   * taken from a service may hear of it before this proxy: then it says 404, or nothing while it waits for news itself.
   */
  async #elsewhere(route: Route, source: Workload, ms: number): Promise<boolean> {
    const stream = this.#stream;
    const isOver = () => this.isEnded || this.#pump !== undefined || this.#stream !== stream;
    const look = () => isOver() || leadsElsewhere(route, this.#select(source)) || undefined;
    const doubt = new AbortController();
    this.#doubt = doubt;
    return (await this.pod.worker.doubts.until(look, ms, doubt.signal)) === true && !isOver();
  }

  /** Nothing of the application has been sent, so it may go where it leads now. */
  #decideAgain(source: Workload): void {
    this.#timer?.cancel();
    this.#stream?.reset(H2.cancel);
    this.#stream = undefined;
    this.#decide(source);
  }

  #fields(route: Route, source: Workload, sourceNetwork: string | undefined) {
    return connectFields({
      authority: route.authority,
      baggage: baggageOf(source),
      client: this.#peer,
      host: route.service?.hostname,
      traceparent: newTraceparent(),
      sourceNetwork,
    });
  }

  #doubleTunnel(route: Route, source: Workload): void {
    const outer = this.#fields(route, source, undefined);
    const opened = openInnerTunnel(this.pod, { route, source, clientIp: this.#peer.ip, outer });
    this.later(opened, (tunnel) => {
      if (this.isEnded) {
        tunnel[Symbol.dispose]();
        return;
      }
      this.#inner = tunnel;
      const fields = this.#fields(route, source, this.pod.worker.options.network);
      this.#stream = tunnel.session.request(fields, this);
      this.#expectAnswer(tunnel.session, route);
    });
  }
}
