/**
 * One connection that is no HTTP: looked at (the name that TLS asks for), allowed or not, routed, carried, told of.
 *
 * Until it is allowed and an endpoint is connected, nothing of it goes anywhere. A change of policy decides again about one
 * that is open, and cuts it if it would not be let in now. A fault of ours ends this connection and no other: uncaught it
 * would end the process.
 */
import type { Timer } from '@ambit/core/clock';
import { messageOf } from '@ambit/core/errors';
import type { Transport } from '@ambit/http/transport/transport';
import type { AuthorizationSubject } from '../decide/authorization-facts.ts';
import { authorize, externalChecks } from '../decide/authorize.ts';
import { readClientHello } from '../decide/client-hello.ts';
import { hasNameRules } from '../decide/port-rules.ts';
import { type ConnectionView, sourceNamespaceOf } from '../decide/request-view.ts';
import { type Lead, routeText } from '../decide/route-decision.ts';
import { decideStream } from '../decide/stream.ts';
import { refusalOf, type Verdict } from '../decide/verdict.ts';
import { configOf, type Downstream, endsOf, keptFrom } from '../exchange/downstream.ts';
import { formatFlags, type ResponseFlag } from '../exchange/flags.ts';
import type { Carried } from '../inbound/context.ts';
import { CLIENT_HELLO_BYTES, COUNT_BYTES_MS, NAME_WAIT_MS, SNIFF_REST_MS } from '../limits.ts';
import type { PortConfig } from '../resources/snapshot.ts';
import type { CountedConnection } from '../telemetry/metrics/traffic-metrics.ts';
import type { ConnectionRecord } from '../telemetry/record.ts';
import type { Cluster } from '../upstream/cluster.ts';
import type { UpstreamEndpoint } from '../upstream/endpoint.ts';
import { NOT_ENDPOINTS_FAULT, UpstreamError } from '../upstream/errors.ts';
import { BytePump } from './byte-pump.ts';
import { PeekedTransport } from './peeked-transport.ts';
import type { StreamContext } from './stream-service.ts';

/** Of a fault. */
const FAILED = 'a connection failed';
/** Envoy's word for a connection that no route takes. */
const NO_ROUTE = 'filter_chain_not_found';

const NOBODY: ReadonlySet<UpstreamEndpoint> = new Set();

export class CarriedStream {
  readonly #context: StreamContext;
  readonly #downstream: Downstream;
  readonly #carried: Carried;
  readonly #transport: PeekedTransport;
  readonly #ended: () => void;
  readonly #startedAtMs: number;
  readonly #startedMs: number;
  readonly #flags = new Set<ResponseFlag>();
  readonly #gone = new AbortController();
  #connection: ConnectionView;
  #isTls = false;
  #counted: CountedConnection | undefined;
  #counting: Timer | undefined;
  #toldUp = 0;
  #toldDown = 0;
  #peeking: Timer | undefined;
  #details = '';
  #transportFailure = '';
  #routeName = '';
  /** Our end of the connection to the endpoint. */
  #localAddress = '';
  #endpoint: UpstreamEndpoint | undefined;
  #cluster: Cluster | undefined;
  #connecting: Disposable | undefined;
  #pump: BytePump | undefined;
  /** Policies let it in; its endpoint may not be connected yet. */
  #admitted = false;
  /** Where a route leads. */
  #lead: Lead | undefined;
  #over = false;

  constructor(context: StreamContext, downstream: Downstream, carried: Carried, ended: () => void) {
    this.#context = context;
    this.#downstream = downstream;
    this.#connection = downstream.connection;
    this.#carried = carried;
    this.#transport = new PeekedTransport(carried.transport);
    this.#ended = ended;
    this.#startedAtMs = context.clock.now();
    this.#startedMs = context.clock.monotonicMs();
  }

  get isAtRest(): boolean {
    return this.#pump?.isAtRest ?? false;
  }

  start(): void {
    this.#step(() => this.#begin());
  }

  #begin(): void {
    const now = this.#context.snapshot();
    const config = this.#config;
    this.#counted = this.#context.reporter.connectionBegan(config, this.#record());
    if (!now.complete) {
      this.#refuse('NR', 'not_configured_yet');
      return;
    }
    const areNamesAsked = hasNameRules(config) || this.#leadsWhereNamesLead;
    if (areNamesAsked || this.#carried.carrier === 'tls') this.#peek(areNamesAsked);
    else this.#admit();
  }

  /** A policy may have changed. */
  authorizeAgain(): void {
    if (this.#admitted) this.#step(() => this.#decideAgain());
  }

  #decideAgain(): void {
    const verdict = authorize(this.#config.authorization, this.#subject);
    if (verdict.kind !== 'allow') {
      this.cut(deniedBy(verdict));
      return;
    }
    const { destination } = this.#downstream;
    if (!this.#lead || destination.kind !== 'service') return;
    const by = keptFrom(this.#context.snapshot(), destination, this.#lead, this.#subject);
    if (by !== undefined) this.cut(`rbac_access_denied_matched_policy[${by}]`);
  }

  /** Ends it now. */
  cut(details: string): void {
    if (this.#over) return;
    if (!this.#pump) {
      this.#refuse(undefined, details);
      return;
    }
    this.#details = details;
    this.#pump.abort(new Error(details));
  }

  // What TLS asks for.

  /**
   * @param isNeeded - Rules are about the name: without it, if there may be one, nobody is let through. Otherwise it is for
   *   reports alone, and not waited for long.
   */
  #peek(isNeeded: boolean): void {
    const waitMs = isNeeded ? NAME_WAIT_MS : SNIFF_REST_MS;
    const without = () => {
      if (isNeeded) this.#refuse(undefined, 'tls_hello_timeout');
      else this.#peeked(undefined);
    };
    this.#peeking = this.#context.clock.after(waitMs, () => this.#step(without));
    let atLeast = 0;
    const look = (count: number, bytes: Buffer) => {
      const hello = readClientHello(bytes);
      if (hello.kind === 'hello') {
        this.#isTls = true;
        this.#peeked(hello.serverName);
      } else if (hello.kind === 'none') this.#peeked(undefined);
      else if (count >= CLIENT_HELLO_BYTES) without();
      else atLeast = Math.min(hello.atLeast, CLIENT_HELLO_BYTES);
    };
    this.#transport.peek({
      onPeeked: (count, bytes) => {
        if (count >= atLeast) this.#step(() => look(count, bytes()));
      },
      onPeekedEnd: () => this.#step(without),
    });
  }

  /** Once. */
  #peeked(sni: string | undefined): void {
    if (this.#over || !this.#peeking) return;
    this.#peeking.cancel();
    this.#peeking = undefined;
    this.#transport.endPeek();
    this.#connection = { ...this.#connection, sni };
    this.#admit();
  }

  // Whether it may, and where to.

  /** As it is now. */
  get #config(): PortConfig {
    return configOf(this.#context.snapshot(), this.#downstream.destination);
  }

  /** The name that TLS asks for is where the connection goes. */
  get #leadsWhereNamesLead(): boolean {
    const { destination } = this.#downstream;
    if (destination.kind !== 'service' || this.#carried.carrier !== 'tls') return false;
    const to = { service: destination.service.key, port: destination.port };
    return this.#context.upstreams.cluster({ to, subset: '' }).wildcard !== undefined;
  }

  get #subject(): AuthorizationSubject {
    return { request: undefined, connection: this.#connection, token: undefined };
  }

  #admit(): void {
    const subject = this.#subject;
    const checks = externalChecks(this.#config.authorization, subject);
    if (checks.length === 0) {
      this.#authorize();
      return;
    }
    const { security } = this.#context;
    Promise.all(checks.map((check) => security.check(check, subject, undefined, this.#gone.signal))).then(
      (verdicts) =>
        this.#step(() => {
          if (verdicts.every(({ kind }) => kind === 'allow')) this.#authorize();
          else this.#refuse('UAEX', 'ext_authz_denied');
        }),
      () => this.#step(() => this.#refuse('UAEX', 'ext_authz_error')),
    );
  }

  #authorize(): void {
    const config = this.#config;
    const subject = this.#subject;
    const verdict = authorize(config.authorization, subject);
    this.#context.policyReport.decided(config.authorization, subject, verdict);
    if (verdict.kind !== 'allow') {
      this.#refuse(undefined, deniedBy(verdict));
      return;
    }
    this.#admitted = true;
    this.#route(config);
  }

  #route(config: PortConfig): void {
    const { upstreams, random } = this.#context;
    const { destination } = this.#downstream;
    const { sni, identity } = this.#connection;
    if (destination.kind === 'workload') {
      this.#connect(() => upstreams.workload(destination, identity));
      return;
    }
    const view = {
      isTls: this.#isTls,
      sni,
      sourceNamespace: sourceNamespaceOf(this.#connection),
    };
    const decision = decideStream(config.streams, destination.service.key, destination.port, view, random);
    this.#routeName = routeText(decision.name);
    if (decision.kind === 'close') {
      this.#refuse('NR', decision.reason === 'no-route' ? NO_ROUTE : decision.reason);
      return;
    }
    const by = keptFrom(this.#context.snapshot(), destination, decision, this.#subject);
    if (by !== undefined) {
      this.#refuse(undefined, `rbac_access_denied_matched_policy[${by}]`);
      return;
    }
    this.#lead = decision;
    this.#connect(() => upstreams.clusterFor(decision.backend, () => sni, identity));
  }

  #connect(find: () => Cluster | UpstreamError): void {
    const cluster = find();
    if (cluster instanceof UpstreamError) {
      this.#failed(cluster);
      return;
    }
    const pending = cluster.pending;
    if (pending) {
      void pending.then(() => this.#step(() => this.#connect(find)));
      return;
    }
    const picked = cluster.pick({
      hash: undefined,
      avoid: NOBODY,
      random: this.#context.random,
      address: this.#downstream.destination.address,
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
    this.#connecting = cluster.transport(endpoint, this.#connection, {
      onTransport: (transport) => {
        this.#step(() => {
          endpoint.report('success');
          this.#connected(transport);
        });
        if (!this.#pump) transport.destroy();
      },
      onFailed: (error) =>
        this.#step(() => {
          if (!NOT_ENDPOINTS_FAULT.has(error.reason)) endpoint.report('local-origin');
          this.#failed(error);
        }),
    });
  }

  #connected(transport: Transport): void {
    this.#connecting = undefined;
    this.#localAddress = transport.localAddress;
    this.#pump = new BytePump(this.#transport, transport, this.#context.budget, {
      onFinished: (error) => {
        if (error && this.#details === '') this.#details = messageOf(error);
        this.#end();
      },
      onFault: (error) => this.#context.faults.tell(FAILED, error),
    });
    this.#counting = this.#context.clock.every(COUNT_BYTES_MS, () => this.#countBytes());
    this.#pump.start();
  }

  // How it ends.

  /** Goes on, unless it has ended meanwhile. */
  #step(act: () => void): void {
    if (this.#over) return;
    this.#context.faults.contain(FAILED, act, () => this.cut('internal_error'));
  }

  #failed(error: UpstreamError): void {
    this.#transportFailure = error.message;
    this.#refuse(error.flag, error.reason === 'route_not_found' ? NO_ROUTE : error.reason);
  }

  /** Not a byte of the client goes on. */
  #refuse(flag: ResponseFlag | undefined, details: string): void {
    if (this.#over) return;
    if (flag) this.#flags.add(flag);
    this.#details = details;
    this.#connecting?.[Symbol.dispose]();
    this.#transport.destroy();
    this.#end();
  }

  #end(): void {
    if (this.#over) return;
    this.#over = true;
    this.#peeking?.cancel();
    this.#counting?.cancel();
    this.#gone.abort();
    if (this.#endpoint) this.#endpoint.activeRequests -= 1;
    this.#cluster?.breakers.release('connections');
    this.#carried.closed();
    this.#ended();
    this.#countBytes();
    this.#counted?.close(this.#record());
  }

  #countBytes(): void {
    const { bytesUp = 0, bytesDown = 0 } = this.#pump ?? {};
    this.#counted?.addBytes(bytesUp - this.#toldUp, bytesDown - this.#toldDown);
    this.#toldUp = bytesUp;
    this.#toldDown = bytesDown;
  }

  #record(): ConnectionRecord {
    return {
      ...endsOf(this.#downstream, this.#endpoint, this.#localAddress),
      startedAtMs: this.#startedAtMs,
      durationMs: this.#context.clock.monotonicMs() - this.#startedMs,
      flags: formatFlags(this.#flags),
      details: this.#details,
      transportFailure: this.#transportFailure,
      routeName: this.#routeName,
      serverName: this.#connection.sni ?? '',
      receivedBytes: this.#pump?.bytesUp ?? 0,
      sentBytes: this.#pump?.bytesDown ?? 0,
    };
  }
}

function deniedBy(verdict: Verdict): string {
  return `rbac_access_denied: ${refusalOf(verdict) ?? ''}`;
}
