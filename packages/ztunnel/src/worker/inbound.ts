/**
 * One connection that came through a tunnel to 15008, on its way to the application.
 *
 * Refused until proved otherwise: method, authority, workload, policy, in this order, before anything is connected. What policy
 * was asked when it opened is asked again with the same words whenever policy changes (policy-watch.ts).
 */
import type { Timer } from '@ambit/core/clock';
import { messageOf } from '@ambit/core/errors';
import { type Endpoint, parseHostPort } from '@ambit/core/ip';
import { parseBaggage } from '@ambit/hbone/baggage';
import type { H2Stream, StreamHandler } from '@ambit/http/h2/stream';
import { fieldValue, type HeaderFields } from '@ambit/http/header-fields';
import { acceptFields, fieldValues, forwardedHost, isFromOtherNetwork } from '@ambit/hbone/headers';
import { CONNECT_TIMEOUT_MS } from '@ambit/hbone/limits';
import { proxyHeader } from '@ambit/hbone/proxy-protocol';
import { refuseStream, type ServerTunnel } from '@ambit/hbone/server';
import { PlainSocket, type PlainSocketEvents } from '@ambit/http/transport/plain-socket';
import { TunnelPump } from '@ambit/hbone/tunnel-pump';
import type { AuthorizationRequest } from '@ambit/model/decide/authorize';
import { decideInbound, type InboundAccept } from '@ambit/model/decide/inbound';
import type { Workload } from '@ambit/model/workload';
import { authorizeInTime } from './authorization.ts';
import { Connection } from './connection.ts';
import { ConnectError, type PolicyRejectionError, RouteRefusalError } from './errors.ts';
import { baggageOf, inboundTraffic } from './parties.ts';
import type { Pod } from './pod.ts';

export class InboundConnection extends Connection implements PlainSocketEvents {
  readonly #tunnel: ServerTunnel;
  readonly #stream: H2Stream;
  readonly #fields: HeaderFields;
  readonly #authority: string;
  #local: Workload | undefined;
  #accepted: InboundAccept | undefined;
  /** What policy allowed; asked again whenever it changes. */
  #allowed: AuthorizationRequest | undefined;
  #socket: PlainSocket | undefined;
  #pump: TunnelPump | undefined;
  #timer: Timer | undefined;
  #answered = false;
  #fetched = false;

  constructor(pod: Pod, tunnel: ServerTunnel, stream: H2Stream, fields: HeaderFields) {
    super(pod, 'inbound');
    this.#tunnel = tunnel;
    this.#stream = stream;
    this.#fields = fields;
    this.#authority = fieldValue(fields, ':authority') ?? '';
  }

  /** What handles the stream from now on. */
  start(): StreamHandler {
    if (fieldValue(this.#fields, ':method') !== 'CONNECT') {
      this.#refuse(400, new RouteRefusalError(`not a CONNECT: ${fieldValue(this.#fields, ':method') ?? ''}`));
      return this.#stream.handler;
    }
    this.#pump = new TunnelPump(this.#stream, this.pod.budget, this);
    const workload = this.pod.workload;
    if (workload) this.step(() => this.#decide(workload));
    else this.later(this.pod.workloadInTime(), (found) => this.#decide(found));
    return this.#stream.handler;
  }

  override get authorization(): AuthorizationRequest | undefined {
    return this.#allowed;
  }

  protected override get source(): Endpoint {
    return this.#tunnel.peer;
  }

  protected override get receivedBytes(): number {
    return this.#pump?.bytesDown ?? 0;
  }

  protected override get sentBytes(): number {
    return this.#pump?.bytesUp ?? 0;
  }

  protected override get isAnswered(): boolean {
    return this.#pump?.lastMoved === 'up';
  }

  protected override release(error: Error | undefined): void {
    this.#timer?.cancel();
    if (error) this.#pump?.abort(error);
    this.#socket?.close();
  }

  protected override failed(error: Error): void {
    this.#refuse(503, error);
  }

  /** @internal The pump is through. */
  onFinished(error: Error | undefined): void {
    this.end(error);
  }

  onPlainConnected(): void {
    this.step(() => this.#connected());
  }

  onPlainError(code: string): void {
    const to = this.#accepted?.connectTo ?? this.#tunnel.local;
    this.#refuse(503, new ConnectError(to, code));
  }

  onPlainData(): void {}
  onPlainEnd(): void {}
  onPlainWritten(): void {}

  /** Tells the client, and ends. */
  #refuse(status: 400 | 401 | 503, error: Error): void {
    if (this.isEnded) return;
    if (!this.#answered) {
      refuseStream(this.#stream, status);
      if (this.#pump && this.#pump.heldBytes === 0) this.#pump = undefined;
    }
    this.end(error);
  }

  #connected(): void {
    this.#timer?.cancel();
    const { options } = this.pod.worker;
    if (this.isEnded || !this.#socket || !this.#local) return;
    this.#answered = true;
    this.#stream.respondLate(acceptFields(options.responseBaggage ? baggageOf(this.#local) : ''));
    const target = this.#accepted?.proxyProtocolTarget;
    const { peer, identity } = this.#tunnel;
    this.#pump?.attach(this.#socket, target && proxyHeader(peer, target, identity));
  }

  #decide(local: Workload): void {
    if (this.isEnded) return;
    const { mesh, options, route } = this.pod.worker;
    this.#local = local;
    const decision = decideInbound(
      mesh,
      {
        local,
        connectedTo: this.#tunnel.local,
        authority: this.#authority,
        forwardedHost: forwardedHost(this.#fields),
        network: options.network,
      },
      { illegalPorts: route.illegalPorts, localhostApplicationTunnel: options.localhostApplicationTunnel },
    );
    if (decision.kind === 'refuse' && decision.reason === 'ip-mismatch' && this.#fetchAuthority(local))
      return;
    if (decision.kind === 'refuse') {
      this.#refuse(decision.status, new RouteRefusalError(decision.message));
      return;
    }
    this.#accepted = decision;
    this.#open(local, decision);
    const request = {
      identity: this.#tunnel.identity,
      sourceIp: this.#tunnel.peer.ip,
      destination: decision.to,
    };
    const refusal = authorizeInTime(this.pod, local, request);
    if (!(refusal instanceof Promise)) this.#afterVerdict(refusal, request);
    else this.later(refusal, (verdict) => this.#afterVerdict(verdict, request));
  }

  /** What the client named may be behind this waypoint, and not asked for yet: whether it is being asked for now. */
  #fetchAuthority(local: Workload): boolean {
    const { options, demands } = this.pod.worker;
    const ip = parseHostPort(this.#authority)?.ip;
    if (!options.onDemand || this.#fetched || ip === undefined) return false;
    this.#fetched = true;
    this.later(demands.forAddress(options.network, ip), () => this.#decide(local));
    return true;
  }

  #open(local: Workload, { to, service }: InboundAccept): void {
    const { mesh, options } = this.pod.worker;
    const traffic = inboundTraffic(
      mesh,
      options.network,
      local,
      {
        ip: this.#tunnel.peer.ip,
        identity: this.#tunnel.identity,
        baggage: () =>
          options.responseBaggage ? parseBaggage(fieldValues(this.#fields, 'baggage')) : undefined,
        isGateway: isFromOtherNetwork(this.#fields, options.network),
      },
      service,
    );
    this.opened({
      traffic,
      protocol: 'HBONE',
      originalDestination: undefined,
      actualDestination: to,
      loggedDestination: this.#tunnel.local,
      hboneAddress: this.#authority,
    });
  }

  #afterVerdict(refusal: PolicyRejectionError | undefined, request: AuthorizationRequest): void {
    if (this.isEnded || !this.#accepted) return;
    if (refusal !== undefined) {
      this.#refuse(401, refusal);
      return;
    }
    this.#allowed = request;
    this.#connect(this.#accepted);
  }

  #connect({ connectTo, connectFrom }: InboundAccept): void {
    const { sockets, worker } = this.pod;
    const { ip } = this.#tunnel.peer;
    try {
      const connecting =
        connectFrom === 'peer'
          ? sockets.connectFrom(ip, connectTo, (error) => this.pod.warnSource(ip, error))
          : sockets.connect(connectTo);
      this.#socket = new PlainSocket({ connecting }, this);
    } catch (error) {
      this.#refuse(503, new ConnectError(connectTo, messageOf(error), { cause: error }));
      return;
    }
    if (this.#socket.isConnected) {
      this.onPlainConnected();
      return;
    }
    this.#timer = worker.clock.after(CONNECT_TIMEOUT_MS, () => {
      this.#socket?.close();
      this.#refuse(503, new ConnectError(connectTo, `no answer within ${CONNECT_TIMEOUT_MS} ms`));
    });
  }
}
