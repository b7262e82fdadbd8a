/**
 * One pod on this worker: its listeners, its tunnels, its open connections.
 *
 * Everything of a pod hangs here, so that stopping it leaves nothing behind. Tunnels are never shared among pods.
 */
import type { X509Certificate } from 'node:crypto';
import { setImmediate } from 'node:timers/promises';
import type { TLSSocket } from 'node:tls';
import { getSystemErrorName } from 'node:util';
import { codeOf, messageOf } from '@ambit/core/errors';
import { type Endpoint, formatHostPort, isLoopback } from '@ambit/core/ip';
import { openTunnel, type Tunnel } from '@ambit/hbone/client';
import { TunnelConnectError } from '@ambit/hbone/errors';
import type { SessionHandler } from '@ambit/http/h2/session';
import { QUEUED_BYTES_PER_POD } from '@ambit/hbone/limits';
import { TunnelPool } from '@ambit/hbone/pool';
import { QueueBudget } from '@ambit/hbone/queue-budget';
import { Roster } from '@ambit/http/roster';
import { TunnelServer } from '@ambit/hbone/server';
import type { TcpHandle } from '@ambit/http/transport/native';
import {
  clientTlsOptions,
  type PeerVerdict,
  type RevocationCheck,
  serverTlsOptions,
  verifyClientPeer,
  verifyServerPeer,
} from '@ambit/identity/tls-context';
import { trySetCongestionControl } from '@ambit/linux/congestion-control';
import type { Route } from '@ambit/model/decide/route';
import { parseIdentity, type Workload } from '@ambit/model/workload';
import type { PodInfo, StartPodMessage } from '../threads/messages.ts';
import type { FarEnd } from './bulk-destinations.ts';
import type { Connection } from './connection.ts';
import type { WorkerContext } from './context.ts';
import { DrainError, RevokedPeerError, UnknownWorkloadError } from './errors.ts';
import { InboundConnection } from './inbound.ts';
import {
  ACCEPT_WARNING_MS,
  LAST_CALL_LOOK_MS,
  LAST_CALL_MS,
  LOCAL_WORKLOAD_WAIT_MS,
  shareOf,
} from './limits.ts';
import { type Listener, openListeners, type Listeners } from './listeners.ts';
import { OutboundConnection } from './outbound.ts';
import { PassthroughConnection } from './passthrough.ts';
import { PodSockets, type WithinMachine } from './sockets.ts';
import { acceptSocks } from './socks.ts';
import type { Traffic } from './traffic.ts';

export class Pod {
  readonly info: PodInfo;
  readonly worker: WorkerContext;
  readonly connections = new Roster<'podPlace', Connection>('podPlace');
  /** Clients that have not said yet where they want to go. */
  readonly negotiations = new Set<Disposable>();
  readonly budget: QueueBudget;
  readonly pool: TunnelPool;
  readonly sockets: PodSockets;
  readonly #assumedIdentity: string;
  readonly #listeners: Listeners;
  readonly #tunnels: TunnelServer;
  #workload: Workload | undefined;
  #workloadVersion = -1;
  #expected: Workload | undefined;
  #warnedOfSource = false;
  #warnedOfAcceptMs = Number.NEGATIVE_INFINITY;
  #stopped = false;
  #whenEmpty: (() => void) | undefined;

  /** @throws ListenError with nothing left open. */
  constructor(worker: WorkerContext, { pod, netnsFd, identity, inboundOnly }: StartPodMessage) {
    const { options, clock } = worker;
    this.info = pod;
    this.worker = worker;
    this.#assumedIdentity = identity;
    this.budget = new QueueBudget(
      shareOf(QUEUED_BYTES_PER_POD, options.workers, options.http2.streamWindowBytes),
      worker.budget,
    );
    this.pool = new TunnelPool({
      clock,
      maxStreams: options.http2.maxStreamsPerConnection,
      unusedReleaseMs: options.http2.unusedReleaseMs,
      budget: this.budget,
      streamWindowBytes: options.http2.streamWindowBytes,
    });
    this.#tunnels = new TunnelServer({
      session: worker.session,
      budget: this.budget,
      tls: async () => serverTlsOptions(await worker.certificates.get(this.identity), worker.tls),
      verify: (socket) => this.#verifyClient(socket),
      onConnection: (fd, peer) => this.#fromAfar(fd, peer),
      onStream: (tunnel, stream, fields) => new InboundConnection(this, tunnel, stream, fields).start(),
      onRefused: (peer, local, error) =>
        worker.accessLog.refused('inbound', text(peer), text(local), messageOf(error)),
    });
    try {
      this.#listeners = openListeners(netnsFd, this.#wantedListeners(inboundOnly), options, (port, status) =>
        this.#notAccepted(port, status),
      );
    } catch (error) {
      this.#tunnels.destroy();
      this.pool.close('destroy');
      throw error;
    }
    if (!this.#listeners.byClientPort) {
      worker.log.debug('tunnels are spread over workers by chance', {
        pod: pod.name,
        namespace: pod.namespace,
      });
    }
    this.sockets = new PodSockets(
      netnsFd,
      options,
      this.#listeners.transparent && !inboundOnly,
      worker.random,
      this.#withinMachine(),
    );
  }

  /** What mesh state says of this pod; `undefined` until it does. */
  get workload(): Workload | undefined {
    const { mesh } = this.worker;
    if (this.#workloadVersion !== mesh.version) {
      this.#workloadVersion = mesh.version;
      this.#workload = mesh.localWorkload(this.info);
    }
    return this.#workload;
  }

  /** Who opens the pod's connections: what mesh state says, or else what the node agent said. */
  get client(): Workload | undefined {
    const known = this.workload;
    if (known) return known;
    this.#expected ??= this.worker.mesh.expectedWorkload(this.info);
    return this.#expected;
  }

  get identity(): string {
    return this.workload?.identity ?? this.#assumedIdentity;
  }

  /** @throws {@link UnknownWorkloadError} mesh state did not come in time. */
  workloadInTime(): Promise<Workload> {
    return this.#inTime(() => this.workload);
  }

  /** @throws {@link UnknownWorkloadError} mesh state did not come in time. */
  clientInTime(): Promise<Workload> {
    return this.#inTime(() => this.client);
  }

  async #inTime(probe: () => Workload | undefined): Promise<Workload> {
    const found = await this.worker.meshWaits.until(probe, LOCAL_WORKLOAD_WAIT_MS);
    if (found) return found;
    throw new UnknownWorkloadError(`${this.info.namespace}/${this.info.name}`, LOCAL_WORKLOAD_WAIT_MS);
  }

  /** Which worker should serve the far end of a tunnel; `undefined` where that is not this process's to choose. */
  farEndFor({ to, via, authority }: Route): FarEnd | undefined {
    const { options, bulk } = this.worker;
    if (options.workers === 1 || !this.#listeners.byClientPort) return undefined;
    if (via === 'waypoint' || !this.#isWithinMachine(to.ip)) return undefined;
    return bulk.expects(authority) ? 'next' : 'own';
  }

  /** A new tunnel for the pool. @throws {@link RevokedPeerError}, or what `openTunnel` throws. */
  async openTunnel(
    identity: string,
    route: Route,
    handler: SessionHandler,
    far: FarEnd = 'own',
  ): Promise<Tunnel> {
    const { certificates, tls: settings, session } = this.worker;
    const tls = clientTlsOptions(await certificates.get(identity), settings);
    let revoked: string | undefined;
    const check: RevocationCheck = (chain) => {
      revoked = this.#revoked(chain, 'source');
      return revoked;
    };
    const dial = (fd: number) => ({
      to: route.to,
      fd,
      tls,
      verify: (socket: TLSSocket) => this.verifyServer(socket, route.expectedIdentities, check),
      session,
    });
    try {
      return await openTunnel(dial(this.sockets.tunnel(route.to.ip, far)), handler).catch(
        (error: unknown) => {
          if (!arePortsTaken(error)) throw error;
          return openTunnel(dial(this.sockets.plain(route.to.ip)), handler);
        },
      );
    } catch (error) {
      throw revoked === undefined ? error : new RevokedPeerError(revoked, { cause: error });
    }
  }

  /** Who a server proved to be, as long as no revocation list ends it. */
  verifyServer(
    socket: TLSSocket,
    expected: readonly string[],
    check: RevocationCheck = (chain) => this.#revoked(chain, 'source'),
  ): PeerVerdict {
    return this.#tracked(socket, 'source', verifyServerPeer(socket, expected, check));
  }

  /** A client's address could not be borne: said once for each pod. */
  warnSource(ip: string, error: unknown): void {
    if (this.#warnedOfSource) return;
    this.#warnedOfSource = true;
    this.worker.log.warn('client address not preserved', {
      pod: this.info.name,
      namespace: this.info.namespace,
      client: ip,
      error: messageOf(error),
    });
  }

  /** @internal */
  ended(connection: Connection): void {
    this.connections.delete(connection);
    if (this.connections.size === 0) this.#whenEmpty?.();
  }

  /** Closes listeners at once; connections may end by themselves for `deadlineMs`, then they are cut. */
  async stop(deadlineMs: number): Promise<void> {
    this.#listeners.close();
    if (deadlineMs > 0 && !this.#stopped) {
      const { clock } = this.worker;
      const late = new AbortController();
      const tunnels = this.#tunnels.drain();
      const empty = new Promise<void>((resolve) => {
        this.#whenEmpty = resolve;
        if (this.connections.size === 0) resolve();
      });
      this.pool.close('drain');
      const deadline = clock.sleep(deadlineMs, late.signal).catch(() => undefined);
      const over = Promise.race([Promise.all([tunnels, empty]), deadline]);
      void this.#lastCall(deadlineMs, late.signal);
      await over;
      late.abort();
    }
    this.cut();
  }

  /**
   * Before the deadline cuts connections wherever they are, ends each in a moment when it is at rest: a client that keeps
   * its connection between requests then opens another, and none of its requests is lost.
   */
  async #lastCall(deadlineMs: number, signal: AbortSignal): Promise<void> {
    const { clock } = this.worker;
    const lastCallMs = Math.min(LAST_CALL_MS, deadlineMs / 2);
    try {
      await clock.sleep(deadlineMs - lastCallMs, signal);
      while (!this.#stopped) {
        // Timers come before input in a turn of the loop: what has arrived meanwhile must be seen to have moved.
        await setImmediate();
        for (const connection of [...this.connections])
          if (connection.isAtRest()) connection.cut(new DrainError());
        await clock.sleep(LAST_CALL_LOOK_MS, signal);
      }
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  }

  /** Ends everything now. */
  cut(): void {
    if (this.#stopped) return;
    this.#stopped = true;
    this.sockets.close();
    for (const negotiation of [...this.negotiations]) negotiation[Symbol.dispose]();
    for (const connection of [...this.connections]) connection.cut(new DrainError());
    this.#tunnels.destroy();
    this.pool.close('destroy');
    this.#whenEmpty?.();
  }

  #withinMachine(): WithinMachine | undefined {
    const { withinMachine: congestionControl } = this.#listeners.congestionControl;
    return congestionControl === undefined
      ? undefined
      : { congestionControl, includes: (ip) => this.#isWithinMachine(ip) };
  }

  /** What is not known is taken to be elsewhere. */
  #isWithinMachine(ip: string): boolean {
    if (isLoopback(ip)) return true;
    const { mesh, options } = this.worker;
    const workload = mesh.workloadAt(options.network, ip);
    if (workload === undefined || workload === this.workload) return workload !== undefined;
    const { nodeName, clusterId } = options;
    return nodeName !== '' && workload.node === nodeName && workload.clusterId === clusterId;
  }

  /** The listener gave the connection what those within the machine have. */
  #fromAfar(fd: number, peer: Endpoint): void {
    const { own, withinMachine } = this.#listeners.congestionControl;
    if (withinMachine !== undefined && !this.#isWithinMachine(peer.ip)) trySetCongestionControl(fd, own);
  }

  #wantedListeners(inboundOnly: boolean): readonly Listener[] {
    const { ports } = this.worker.options;
    const inbound: Listener = {
      port: ports.inbound,
      byClientPort: true,
      withinMachine: true,
      onAccepted: (handle) => this.#tunnels.accept(handle),
    };
    if (inboundOnly) return [inbound];
    const all: Listener[] = [
      { port: ports.outbound, withinMachine: true, onAccepted: (handle) => this.#acceptOutbound(handle) },
      { port: ports.inboundPlaintext, onAccepted: (handle) => this.#acceptPlaintext(handle) },
      inbound,
    ];
    if (ports.socks5 !== undefined) {
      all.push({
        port: ports.socks5,
        loopback: true,
        withinMachine: true,
        onAccepted: (handle) => acceptSocks(this, handle),
      });
    }
    return all;
  }

  /** Something in this proxy is wrong, and has ended one connection of the pod. */
  tellFault(error: unknown): void {
    const { log, events, clock } = this.worker;
    if (!events.fault(clock.monotonicMs())) return;
    log.error('a connection failed by a fault of this proxy', {
      pod: this.info.name,
      namespace: this.info.namespace,
      error: error instanceof Error ? error.stack : String(error),
    });
  }

  /** Out of descriptors, most of the time: every connection would say it again. */
  #notAccepted(port: number, status: number): void {
    const { clock, log } = this.worker;
    if (clock.monotonicMs() < this.#warnedOfAcceptMs + ACCEPT_WARNING_MS) return;
    this.#warnedOfAcceptMs = clock.monotonicMs();
    log.warn('connections not accepted', {
      pod: this.info.name,
      namespace: this.info.namespace,
      port,
      error: status < 0 ? getSystemErrorName(status) : 'no handle',
    });
  }

  #acceptOutbound(handle: TcpHandle): void {
    new OutboundConnection(this, handle).start();
  }

  #acceptPlaintext(handle: TcpHandle): void {
    new PassthroughConnection(this, handle).start();
  }

  #verifyClient(socket: TLSSocket): PeerVerdict {
    const trustDomain = parseIdentity(this.identity)?.trustDomain ?? this.worker.options.trustDomain;
    const check: RevocationCheck = (chain) => this.#revoked(chain, 'destination');
    return this.#tracked(socket, 'destination', verifyClientPeer(socket, [trustDomain], check));
  }

  #revoked(chain: readonly X509Certificate[], reporter: Traffic['reporter']): string | undefined {
    const { revocations, events } = this.worker;
    const reason = revocations.check(chain);
    if (reason !== undefined) events.revoked(reporter);
    return reason;
  }

  /** A later revocation list may end the tunnel. */
  #tracked(socket: TLSSocket, reporter: Traffic['reporter'], verdict: PeerVerdict): PeerVerdict {
    if (!verdict.ok) return verdict;
    const { revocations, events } = this.worker;
    const tracking = revocations.track(verdict.chain, (reason) => {
      events.revoked(reporter);
      socket.destroy(new RevokedPeerError(reason));
    });
    socket.once('close', () => tracking[Symbol.dispose]());
    return verdict;
  }
}

function arePortsTaken(error: unknown): boolean {
  return error instanceof TunnelConnectError && codeOf(error.cause) === 'EADDRNOTAVAIL';
}

function text({ ip, port }: Endpoint): string {
  return formatHostPort(ip, port);
}
