/**
 * A connection in clear that the redirection sent to 15006: whoever opened it proved nothing.
 *
 * Policy is asked without an identity, which is how STRICT refuses it. A refusal closes the connection; there is nobody to
 * tell a status.
 */
import type { Timer } from '@ambit/core/clock';
import { messageOf } from '@ambit/core/errors';
import type { Endpoint } from '@ambit/core/ip';
import { CONNECT_TIMEOUT_MS } from '@ambit/hbone/limits';
import { PlainPump } from '@ambit/hbone/plain-pump';
import type { TcpHandle } from '@ambit/http/transport/native';
import { PlainSocket, type PlainSocketEvents } from '@ambit/http/transport/plain-socket';
import { originalDestination } from '@ambit/linux/original-destination';
import type { AuthorizationRequest } from '@ambit/model/decide/authorize';
import { decidePlaintext } from '@ambit/model/decide/inbound';
import type { Workload } from '@ambit/model/workload';
import { authorizeInTime } from './authorization.ts';
import { Connection } from './connection.ts';
import { ConnectError, type PolicyRejectionError, RouteRefusalError } from './errors.ts';
import { inboundTraffic } from './parties.ts';
import type { Pod } from './pod.ts';

export class PassthroughConnection extends Connection implements PlainSocketEvents {
  readonly #socket: PlainSocket;
  readonly #peer: Endpoint;
  readonly #target: Endpoint;
  /** What policy allowed; asked again whenever it changes. */
  #allowed: AuthorizationRequest | undefined;
  #upstream: PlainSocket | undefined;
  #pump: PlainPump | undefined;
  #timer: Timer | undefined;

  constructor(pod: Pod, handle: TcpHandle) {
    super(pod, 'inbound');
    this.#socket = new PlainSocket(handle, this);
    this.#peer = this.#socket.peer();
    this.#target = originalDestination(this.#socket.fd) ?? this.#socket.local();
  }

  start(): void {
    const workload = this.pod.workload;
    if (workload) this.step(() => this.#decide(workload));
    else this.later(this.pod.workloadInTime(), (found) => this.#decide(found));
  }

  override get authorization(): AuthorizationRequest | undefined {
    return this.#allowed;
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
    if (error) this.#pump?.abort(error);
    this.#upstream?.close();
    this.#socket.close();
  }

  protected override failed(error: Error): void {
    this.end(error);
  }

  /** @internal The pump is through. */
  onFinished(error: Error | undefined): void {
    this.end(error);
  }

  onPlainConnected(): void {
    this.step(() => this.#connected());
  }

  onPlainError(code: string): void {
    this.end(new ConnectError(this.#target, code));
  }

  onPlainData(): void {}
  onPlainEnd(): void {}
  onPlainWritten(): void {}

  #connected(): void {
    this.#timer?.cancel();
    if (this.isEnded || !this.#upstream) return;
    this.#pump = new PlainPump(this.#socket, this.#upstream, this.pod.budget, this);
  }

  #decide(local: Workload): void {
    if (this.isEnded) return;
    const { mesh, options, route } = this.pod.worker;
    const decision = decidePlaintext(mesh, { local, originalDestination: this.#target }, route);
    if (decision.kind === 'refuse') {
      this.end(new RouteRefusalError(decision.message));
      return;
    }
    this.opened({
      traffic: inboundTraffic(
        mesh,
        options.network,
        local,
        { ip: this.#peer.ip, identity: undefined, baggage: () => undefined, isGateway: false },
        decision.service,
      ),
      protocol: 'TCP',
      originalDestination: this.#target,
      actualDestination: decision.to,
      loggedDestination: decision.to,
      hboneAddress: undefined,
    });
    const request = { identity: undefined, sourceIp: this.#peer.ip, destination: decision.to };
    const refusal = authorizeInTime(this.pod, local, request);
    if (!(refusal instanceof Promise)) this.#afterVerdict(refusal, request);
    else this.later(refusal, (verdict) => this.#afterVerdict(verdict, request));
  }

  #afterVerdict(refusal: PolicyRejectionError | undefined, request: AuthorizationRequest): void {
    if (this.isEnded) return;
    if (refusal !== undefined) {
      this.end(refusal);
      return;
    }
    this.#allowed = request;
    this.#connect(request.destination);
  }

  #connect(to: Endpoint): void {
    const { sockets, worker } = this.pod;
    const { ip } = this.#peer;
    try {
      const connecting = sockets.connectFrom(ip, to, (error) => this.pod.warnSource(ip, error));
      this.#upstream = new PlainSocket({ connecting }, this);
    } catch (error) {
      this.end(new ConnectError(to, messageOf(error), { cause: error }));
      return;
    }
    if (this.#upstream.isConnected) {
      this.onPlainConnected();
      return;
    }
    this.#timer = worker.clock.after(CONNECT_TIMEOUT_MS, () =>
      this.end(new ConnectError(to, `no answer within ${CONNECT_TIMEOUT_MS} ms`)),
    );
  }
}
