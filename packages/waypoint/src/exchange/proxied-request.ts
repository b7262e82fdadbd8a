/**
 * READ FIRST: one request, from its head to the last byte of its answer.
 *
 * It is asked in this order: is there room, is its path one, may it (gate.ts), where does it go (routes). Then it is sent, to
 * another endpoint if the first fails and the policy says so (tries.ts), and what comes back is handed on as it comes.
 * Nothing of a request reaches an endpoint before the last of the questions is answered, and whatever cannot be answered
 * is a refusal.
 *
 * Each event moves it on synchronously; only tokens, services that authorize, names without address, delays and connections
 * are waited for. `#end` ends everything, once, with one record.
 */
import type { Duplex } from 'node:stream';
import type { Timer } from '@ambit/core/clock';
import type { Watched } from '@ambit/http/deadlines';
import type { HttpError } from '@ambit/http/errors';
import type { BodyReceiver, RequestHead, ResponseHead, ServerExchange } from '@ambit/http/exchange';
import { fieldValue, type HeaderFields } from '@ambit/http/header-fields';
import { NOWHERE } from '@ambit/http/roster';
import type { Holder } from '@ambit/hbone/queue-budget';
import type { AuthorizationSubject } from '../decide/authorization-facts.ts';
import { answerPreflight, corsFields } from '../decide/cors.ts';
import {
  changedResponse,
  forwardedRequest,
  forwardedResponse,
  type RequestChanges,
} from '../decide/filters.ts';
import { normalizePath } from '../decide/normalize-path.ts';
import type { RequestView } from '../decide/request-view.ts';
import { decideRoute, directRoute, timeoutFromFirstByte } from '../decide/route.ts';
import type { Forward, Lead, Redirected, Responded, RouteDecision } from '../decide/route-decision.ts';
import { type Session, sessionField, sessionOf } from '../decide/session.ts';
import type { Cors } from '../resources/http-route.ts';
import type { PortConfig } from '../resources/snapshot.ts';
import type { AuthorizerMetadata, KeptBody } from '../security/external.ts';
import type { BegunRequest } from '../telemetry/begun.ts';
import type { SentRequest } from '../telemetry/record.ts';
import type { Cluster } from '../upstream/cluster.ts';
import type { UpstreamEndpoint } from '../upstream/endpoint.ts';
import { UpstreamError } from '../upstream/errors.ts';
import { CLIENT_READ_IDLE_MS, REQUEST_BODY_IDLE_MS } from '../limits.ts';
import type { ExchangeContext } from './context.ts';
import { configOf, type Downstream, keptFrom } from './downstream.ts';
import { without, withFields, withoutForged, withoutPrivate } from './fields.ts';
import type { ResponseFlag } from './flags.ts';
import { Gate, type GateHost } from './gate.ts';
import { RouteGate, type RouteGateHost } from './route-gate.ts';
import { isGrpc, parseGrpcTimeoutMs } from '../grpc.ts';
import { deniedReply, localReply } from './local-reply.ts';
import { type Mirror, startMirror } from './mirror.ts';
import {
  accessDenied,
  IDLE,
  INTERNAL_ERROR,
  NOT_CONFIGURED,
  notCarriedOf,
  OVERLOADED,
  pathRefusal,
  type Refusal,
  refusalOf,
  SLOW_REQUEST,
  TIMED_OUT,
} from './refusal.ts';
import { brokenBy } from './refused-request.ts';
import { RequestBody } from './request-body.ts';
import { RequestReport } from './request-report.ts';
import { Tries, type TriesHost, type TriesOptions } from './tries.ts';
import { Upgrade, type UpgradeHost } from './upgrade.ts';

export class ProxiedRequest
  implements BodyReceiver, GateHost, RouteGateHost, TriesHost, UpgradeHost, Holder, Watched
{
  readonly #context: ExchangeContext;
  readonly #downstream: Downstream;
  readonly #exchange: ServerExchange;
  readonly #report: RequestReport;
  readonly #body: RequestBody;
  #view: RequestView;
  #config: PortConfig | undefined;
  #begun: BegunRequest | undefined;
  #gate: Gate | RouteGate | undefined;
  /** The route whose services are asked now: it is followed once they have let the request pass. */
  #askingFor: Forward | Redirected | undefined;
  /** That was believed at the gate. */
  #token: AuthorizationSubject['token'];
  /** As the gate let it pass; services that its route names may change {@link #view} after that. */
  #admitted: RequestView;
  #decision: Forward | undefined;
  #sent: SentRequest | undefined;
  #tries: Tries | Upgrade | undefined;
  #carried: Duplex | undefined;
  #mirrors: readonly Mirror[] = [];
  #session: Session | undefined;
  #setCookie: string | undefined;
  /** For the client, whatever is answered. */
  #extraFields: HeaderFields = [];
  /** Of the route that was chosen: its answers are for scripts of other origins, whoever makes them. */
  #cors: Cors | undefined;
  #timer: Timer | undefined;
  /** All of the request has come. */
  #isWhole: boolean;
  #timeoutOnceWholeMs: number | undefined;
  /** When {@link #timer} ends it; milliseconds of the monotonic clock. */
  #stopAtMs = 0;
  #delay: Timer | undefined;
  #hasResponded = false;
  #hasContinued = false;
  /** Bytes of the answer that the client's connection has not taken. */
  #heldDown = 0;
  #countedBytes = 0;
  /** An answer of our own could not be written either. */
  #isFaulty = false;
  #over = false;
  /** When something last moved, in the time of deadlines. */
  #movedMs = 0;
  /** @internal When to look whether it is idle. */
  deadlineMs = Number.POSITIVE_INFINITY;
  /** @internal */
  watchPlace = NOWHERE;
  /** @internal */
  budgetPlace = NOWHERE;

  constructor(context: ExchangeContext, downstream: Downstream, exchange: ServerExchange) {
    const { head } = exchange;
    this.#context = context;
    this.#downstream = downstream;
    this.#exchange = exchange;
    this.#view = head;
    this.#admitted = head;
    this.#isWhole = head.endsHere;
    this.#report = new RequestReport(context.clock, downstream, head);
    const credit = (bytes: number) => {
      exchange.credit(bytes);
      this.#countHeld();
    };
    this.#body = new RequestBody({ credit }, context.retryBodyBytes);
  }

  /** What {@link Holder} counts. */
  get heldBytes(): number {
    return this.#countedBytes;
  }

  start(): this {
    this.#contain(() => this.#begin());
    return this;
  }

  #begin(): void {
    const { admission, snapshot, reporter, deadlines, clientFields } = this.#context;
    const { head } = this.#exchange;
    const now = snapshot();
    const config = configOf(now, this.#downstream.destination);
    this.#config = config;
    this.#begun = reporter.begin(config, head);
    if (!admission.tryRequest(this.#downstream.connection.identity)) {
      this.#refuse(OVERLOADED);
      return;
    }
    this.#report.isAdmitted = true;
    deadlines.watch(this);
    this.#moved();
    if (!now.complete) {
      this.#refuse(NOT_CONFIGURED);
      return;
    }
    const notCarried = notCarriedOf(head);
    if (notCarried) {
      this.#refuse(notCarried);
      return;
    }
    const normalized = normalizePath(now.settings.pathNormalization, head.path);
    if (normalized.kind === 'refuse') {
      this.#refuse(pathRefusal(normalized.reason));
      return;
    }
    const { method, scheme, authority, fields, version } = head;
    const told = clientFields(this.#downstream.connection.identity);
    this.#view = {
      method,
      scheme,
      authority,
      path: normalized.path,
      fields: withFields(withoutForged(fields), told),
      version,
    };
    const gate = new Gate(this.#context, this.#downstream.connection, config, this.#view, this);
    this.#gate = gate;
    gate.start();
  }

  // What the client does.

  onData(bytes: Buffer): void {
    if (this.#over) {
      this.#exchange.credit(bytes.length);
      return;
    }
    // Without a function for each piece of a body.
    try {
      this.#moved();
      this.#report.requestData(bytes);
      for (const mirror of this.#mirrors) mirror.onRequestData(bytes);
      this.#body.push(bytes);
      this.#countHeld();
    } catch (error) {
      this.#fault(error);
    }
  }

  onEnd(trailers: HeaderFields | undefined): void {
    this.#contain(() => {
      this.#report.requestEnded();
      this.#isWhole = true;
      if (this.#timeoutOnceWholeMs !== undefined && !this.#over) this.#stopAfter(this.#timeoutOnceWholeMs);
      for (const mirror of this.#mirrors) mirror.onRequestEnd(trailers);
      this.#body.end(trailers);
    });
  }

  onAbort(error: HttpError): void {
    this.resume(() => {
      const broke = error.kind === 'protocol' || error.kind === 'limit';
      const { flag, details } = broke ? brokenBy(error, this.#exchange.head.version) : GONE;
      this.#report.flag(flag);
      this.#report.details(details);
      this.#report.broke(error);
      this.#end();
    });
  }

  onWritable(): void {
    this.#contain(() => {
      this.#moved();
      const held = this.#heldDown;
      this.#heldDown = 0;
      this.#tries?.credit(held);
      this.#countHeld();
    });
  }

  /** @internal Memory is short and this request holds most of it. */
  evict(): void {
    this.#contain(() => {
      if (this.#body.letGo()) this.#countHeld();
      else this.#stop(OVERLOADED);
    });
  }

  /** @internal Nothing moved for a while. */
  onDeadline(): void {
    this.#contain(() => this.#lookIdle());
  }

  #lookIdle(): void {
    const { deadlines, streamIdleMs } = this.#context;
    const idleAtMs = streamIdleMs > 0 ? this.#movedMs + streamIdleMs : Number.POSITIVE_INFINITY;
    if (deadlines.nowMs >= idleAtMs) this.#stop(IDLE);
    else if (this.#heldDown > 0 && deadlines.nowMs >= this.#movedMs + CLIENT_READ_IDLE_MS) this.#stop(IDLE);
    else if (this.#awaitsRequest) this.#stop(SLOW_REQUEST);
    else this.deadlineMs = Math.min(idleAtMs, deadlines.nowMs + REQUEST_BODY_IDLE_MS);
  }

  /** It is the client's turn to send the rest of its request. */
  get #awaitsRequest(): boolean {
    return !this.#hasResponded && this.#body.awaitsMore && !isGrpc(this.#exchange.head.fields);
  }

  // Whether it may.

  /** @internal */
  keepBody(bytes: number, goOn: (body: KeptBody) => void): void {
    if (this.#exchange.head.endsHere) {
      goOn({ bytes: NOTHING, isWhole: true });
      return;
    }
    this.onSending();
    this.#body.await(bytes, () =>
      this.resume(() =>
        goOn({ bytes: this.#body.beginning(bytes), isWhole: this.#body.totalBytes <= bytes }),
      ),
    );
  }

  /** @internal */
  resume(goOn: () => void): void {
    if (!this.#over) this.#contain(goOn);
  }

  /** @internal */
  refused(refusal: Refusal): void {
    this.#refuse(refusal);
  }

  /**
   * The route is chosen once all is answered, as answers may change the request. Until then the timeout counts of the one
   * that the request as it came would take.
   *
   * @internal
   */
  waits(): void {
    const { destination, connection } = this.#downstream;
    const config = this.#config;
    const routes = destination.kind === 'service' ? config?.http : undefined;
    const routeMs = routes && timeoutFromFirstByte(routes, this.#view, connection);
    if (!this.#stopFromFirstByte(routeMs)) this.#stop(TIMED_OUT);
  }

  /** @internal */
  told(metadata: AuthorizerMetadata): void {
    // What policies have asked for is no route's to change.
    if (this.#askingFor) this.#report.moreMetadata(metadata);
    else this.#report.metadata(metadata);
  }

  /** @internal */
  denied(head: ResponseHead, body: Uint8Array, failed: boolean): void {
    this.#report.flag('UAEX');
    this.#report.details(failed ? 'ext_authz_error' : 'ext_authz_denied');
    const reply = deniedReply(head, body, isGrpc(this.#exchange.head.fields));
    this.#respondLocally(reply.head, reply.body);
  }

  /** @internal */
  admitted(view: RequestView, responseFields: HeaderFields, token: AuthorizationSubject['token']): void {
    const begun = this.#begun;
    const config = this.#config;
    if (!begun || !config) return;
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#extraFields = responseFields;
    this.#view = { ...view, fields: withFields(view.fields, begun.fields) };
    this.#admitted = this.#view;
    this.#token = token;
    this.#route(config);
  }

  // Where it goes.

  #route(config: PortConfig): void {
    const { destination, connection } = this.#downstream;
    if (destination.kind === 'workload') {
      this.#forward(WORKLOAD_ROUTE);
      return;
    }
    const decision = decideRoute(config.http, this.#view, connection, this.#context.random);
    this.#report.route(decision.name);
    const preflight = answerPreflight(decision, this.#view);
    if (preflight) {
      this.#report.details('cors_response');
      this.#respondLocally(preflight, NOTHING);
      return;
    }
    this.#cors = decision.cors;
    if (decision.kind === 'respond' || decision.authorizers.length === 0) this.#follow(decision);
    else this.#askForRoute(decision);
  }

  /** Only then does anything of the route count: a redirect may tell as much as a backend. */
  #askForRoute(decision: Forward | Redirected): void {
    this.#askingFor = decision;
    const gate = new RouteGate(this.#context, decision.authorizers, this.#subjectOf(this.#view), this);
    this.#gate = gate;
    gate.start();
  }

  /** @internal */
  routeAdmitted(view: RequestView, responseFields: HeaderFields): void {
    const decision = this.#askingFor;
    if (!decision) return;
    this.#askingFor = undefined;
    this.#view = view;
    this.#extraFields = [...this.#extraFields, ...responseFields];
    this.#follow(decision);
  }

  /** @internal */
  keptFromLead(lead: Lead & Partial<RequestChanges>, led: AuthorizationSubject): string | undefined {
    const { destination } = this.#downstream;
    if (destination.kind !== 'service') return undefined;
    return keptFrom(this.#context.snapshot(), destination, lead, this.#subjectOf(this.#admitted), led);
  }

  #follow(decision: RouteDecision): void {
    if (decision.kind === 'forward') {
      const by = this.#keptFrom(decision);
      if (by === undefined) this.#inject(decision);
      else this.#refuse(accessDenied(by));
    } else this.#answer(decision);
  }

  #subjectOf(request: RequestView): AuthorizationSubject & { readonly request: RequestView } {
    return { request, connection: this.#downstream.connection, token: this.#token };
  }

  /** The policy that keeps this request from where a route leads it; `undefined`: none does. */
  #keptFrom(decision: Forward): string | undefined {
    return this.keptFromLead(decision, this.#subjectOf(this.#view));
  }

  /** Answers by the route itself. */
  #answer(decision: Redirected | Responded): void {
    const { status } = decision;
    if (decision.kind === 'redirect') {
      this.#report.details('direct_response');
      const fields = changedResponse(decision.filters, ['location', decision.location]);
      this.#respondLocally({ status, fields }, NOTHING);
      return;
    }
    const { reason, body } = decision;
    if (reason === 'direct-response') {
      this.#report.details('direct_response');
      const fields = changedResponse(decision.filters, ['content-length', String(body.length)]);
      this.#respondLocally({ status, fields }, body);
      return;
    }
    const details = reason === 'no-route' ? 'route_not_found' : reason.replaceAll('-', '_');
    this.#refuse({ status, text: '', flag: 'NR', details });
  }

  #inject(decision: Forward): void {
    const { fault } = decision;
    if (!fault) {
      this.#forward(decision);
      return;
    }
    const goOn = () => {
      const { abort } = fault;
      if (abort) this.#refuse(abortedBy(abort));
      else this.#forward(decision);
    };
    if (fault.delayMs === 0) {
      goOn();
      return;
    }
    this.#report.flag('DI');
    this.#delay = this.#context.clock.after(fault.delayMs, () => this.resume(goOn));
  }

  #forward(decision: Forward): void {
    const { upstreams } = this.#context;
    const { destination, connection } = this.#downstream;
    const host = () => forwardedRequest(decision, this.#view).authority;
    const cluster =
      destination.kind === 'workload'
        ? upstreams.workload(destination, connection.identity)
        : upstreams.clusterFor(decision.backend, host, connection.identity);
    if (cluster instanceof UpstreamError) {
      this.onFailed(cluster);
      return;
    }
    const pending = cluster.pending;
    if (!pending) {
      this.#send(decision, cluster);
      return;
    }
    pending.then(
      () => this.resume(() => this.#forward(decision)),
      () => this.resume(() => this.#refuse(INTERNAL_ERROR)),
    );
  }

  #send(decision: Forward, cluster: Cluster): void {
    const { decisions, random, clock } = this.#context;
    const { connection, destination } = this.#downstream;
    this.#decision = decision;
    const { authority, path, fields } = forwardedRequest(decision, this.#view);
    if (!isTarget(path)) {
      this.#refuse({ ...INTERNAL_ERROR, details: 'rewritten_path_not_sendable' });
      return;
    }
    const hasProto = fieldValue(fields, FORWARDED_PROTO) !== undefined;
    const sent = {
      authority,
      path,
      fields: hasProto ? fields : [...fields, FORWARDED_PROTO, this.#view.scheme],
    };
    this.#sent = sent;
    const hashing = cluster.destination.loadBalancer?.consistentHash;
    const hashed = hashing && decisions.hashOf(hashing, this.#view, connection, random);
    this.#setCookie = hashed?.setCookie;
    this.#session = decision.session && sessionOf(decision.session, this.#view, clock.now());
    if (!this.#startTimer(decision)) {
      this.#refuse(TIMED_OUT);
      return;
    }
    this.#mirror(decision, sent);
    const options: TriesOptions = {
      decision,
      cluster,
      client: connection,
      address: destination.address,
      head: this.#headFor(sent, cluster.destination.tls ? 'https' : 'http'),
      body: this.#body,
      hash: hashed?.hash,
      preferred: this.#session && cluster.endpointAt(this.#session.endpointKey),
    };
    this.#tries = this.#isWebSocket
      ? new Upgrade(this.#context, options, this)
      : new Tries(this.#context, options, this);
    this.#tries.start();
  }

  /** Any other protocol that a client would rather speak is none of ours: its request is one like others. */
  get #isWebSocket(): boolean {
    return this.#exchange.head.upgrade === WEBSOCKET;
  }

  #headFor(sent: SentRequest, scheme: RequestHead['scheme']): RequestHead {
    const { method, version, endsHere } = this.#exchange.head;
    const { authority, path, fields } = sent;
    return {
      method,
      version,
      endsHere,
      scheme,
      authority,
      path,
      fields,
      upgrade: this.#isWebSocket ? WEBSOCKET : undefined,
      expectsContinue: false,
    };
  }

  #mirror(decision: Forward, sent: SentRequest): void {
    const { mirrors, timeouts } = decision;
    if (mirrors.length === 0) return;
    const request = { head: this.#headFor(sent, 'http'), sent, timeoutMs: timeouts.requestMs };
    this.#mirrors = mirrors
      .filter((backend) => this.#keptFrom({ ...decision, backend }) === undefined)
      .flatMap((backend) => startMirror(this.#context, this.#downstream, backend, request) ?? []);
    for (const mirror of this.#mirrors) this.#body.replay(mirror);
  }

  /** Whether there is time left; then it runs. */
  #startTimer({ timeouts: { requestMs, requestFrom } }: Forward): boolean {
    const isFromFirst = requestFrom === 'first-byte';
    if (!this.#stopFromFirstByte(isFromFirst ? requestMs : undefined)) return false;
    if (!isFromFirst && requestMs !== undefined) {
      if (this.#isWhole) this.#stopAfter(requestMs);
      else this.#timeoutOnceWholeMs = requestMs;
    }
    return true;
  }

  /** After so long, or what the client itself gives; whether there is time left. @param routeMs - `undefined`: no limit. */
  #stopFromFirstByte(routeMs: number | undefined): boolean {
    const { fields } = this.#view;
    const grpcMs = isGrpc(fields) ? parseGrpcTimeoutMs(fieldValue(fields, 'grpc-timeout')) : undefined;
    const fromFirstMs = Math.min(grpcMs ?? NEVER, routeMs ?? NEVER);
    if (fromFirstMs === NEVER) return true;
    const leftMs = fromFirstMs - this.#report.elapsedMs;
    if (leftMs <= 0) return false;
    this.#stopAfter(leftMs);
    return true;
  }

  /** Unless it is stopped sooner. */
  #stopAfter(ms: number): void {
    const atMs = this.#context.clock.monotonicMs() + ms;
    if (this.#timer && this.#stopAtMs <= atMs) return;
    this.#timer?.cancel();
    this.#stopAtMs = atMs;
    this.#timer = this.#context.clock.after(ms, () => this.#contain(() => this.#stop(TIMED_OUT)));
  }

  // What becomes of it.

  /** @internal */
  onTry(endpoint: UpstreamEndpoint): void {
    if (this.#sent) this.#report.attempt(endpoint, this.#sent);
  }

  /** @internal */
  onSending(): void {
    this.#contain(() => this.#askForBody());
  }

  #askForBody(): void {
    if (!this.#exchange.head.expectsContinue || this.#hasContinued || this.#hasResponded) return;
    this.#hasContinued = true;
    this.#exchange.informational({ status: 100, fields: [] });
  }

  /** @internal */
  onInformational(head: ResponseHead): void {
    this.#contain(() => {
      if (head.status !== 100 && !this.#hasResponded) this.#exchange.informational(head);
    });
  }

  /** @internal */
  onResponse(head: ResponseHead, endsHere: boolean, endpoint: UpstreamEndpoint, upstreamMs: number): void {
    const decision = this.#decision;
    if (!decision || this.#over) return;
    this.#moved();
    const { session } = decision;
    const sessionSet =
      session && sessionField(session, this.#session, endpoint.key, this.#context.clock.now());
    const fields = [
      ...without(withoutPrivate(head.fields), OWN_RESPONSE_FIELDS),
      UPSTREAM_SERVICE_TIME,
      String(Math.round(upstreamMs)),
      ...this.#extraFields,
      ...(this.#setCookie === undefined ? [] : ['set-cookie', this.#setCookie]),
      ...(sessionSet ?? []),
    ];
    const answer = { status: head.status, fields: forwardedResponse(decision, this.#view, fields) };
    if (!this.#respond(answer, endsHere)) return;
    this.#body.letGo();
    this.#countHeld();
    this.#report.details('via_upstream');
    this.#report.response(answer, upstreamMs);
  }

  /** Of the answer. @internal */
  onResponseData(bytes: Buffer): void {
    try {
      this.#moved();
      this.#report.responseData(bytes);
      if (this.#exchange.write(bytes)) {
        this.#tries?.credit(bytes.length);
        return;
      }
      this.#heldDown += bytes.length;
      this.#countHeld();
    } catch (error) {
      this.#fault(error);
    }
  }

  /** @internal */
  onResponseEnd(trailers: HeaderFields | undefined): void {
    this.#contain(() => {
      this.#report.responseEnded(trailers);
      this.#exchange.end(trailers);
      this.#end();
    });
  }

  /** @internal */
  onSwitched(head: ResponseHead, _endpoint: UpstreamEndpoint, upstreamMs: number): Duplex {
    const answer = { status: 101, fields: withoutPrivate(head.fields) };
    this.#carried = this.#exchange.switchProtocols(answer);
    this.#hasResponded = true;
    this.deadlineMs = Number.POSITIVE_INFINITY;
    this.#timer?.cancel();
    this.#report.details('via_upstream');
    this.#report.response(answer, upstreamMs);
    return this.#carried;
  }

  /** @internal */
  onCarriedEnd(): void {
    this.#contain(() => this.#end());
  }

  /** @internal */
  onNotTriedAgain(flag: ResponseFlag): void {
    this.#report.flag(flag);
  }

  /** @internal */
  onFailed(error: UpstreamError): void {
    this.#report.transportFailure(error);
    if (this.#hasResponded) {
      this.#breakOff(error.flag, `upstream_reset_after_response_started{${error.reason}}`);
    } else this.#refuse(refusalOf(error));
  }

  /** @internal */
  onFault(error: unknown): void {
    this.#fault(error);
  }

  // How it ends.

  /** Ends it now, by an answer if none has begun. */
  #stop(refusal: Refusal): void {
    if (this.#over) return;
    if (this.#hasResponded) this.#breakOff(refusal.flag, refusal.details);
    else this.#refuse(refusal);
  }

  #refuse(refusal: Refusal): void {
    const { status, text, flag, details, fields = [], grpcStatus } = refusal;
    if (flag) this.#report.flag(flag);
    this.#report.details(details);
    const reply = localReply(status, text, {
      isGrpc: isGrpc(this.#exchange.head.fields),
      isHead: this.#exchange.head.method === 'HEAD',
      grpcStatus,
      fields: [...this.#extraFields, ...fields],
    });
    this.#respondLocally(reply.head, reply.body);
  }

  #respondLocally({ status, fields }: ResponseHead, body: Uint8Array): void {
    if (this.#over) return;
    const head = { status, fields: this.#cors ? corsFields(this.#cors, this.#view, fields) : fields };
    const endsHere = body.length === 0 || this.#exchange.head.method === 'HEAD';
    if (!this.#respond(head, endsHere)) return;
    this.#report.response(head, undefined);
    if (!endsHere) {
      this.#report.responseData(body);
      this.#exchange.write(body);
      this.#exchange.end();
    }
    this.#end();
  }

  /** Begins the answer; one that cannot be written becomes another. */
  #respond(head: ResponseHead, endsHere: boolean): boolean {
    try {
      this.#exchange.respond(head, endsHere);
    } catch (error) {
      this.#fault(error);
      return false;
    }
    this.#hasResponded = true;
    return true;
  }

  /** Does what an event asks for: what goes wrong in it ends this request alone, where it would end the process uncaught. */
  #contain(act: () => void): void {
    try {
      act();
    } catch (error) {
      this.#fault(error);
    }
  }

  /**
   * Something here is wrong, or what was added to the answer: it ends this request, and no other. Nothing is thrown, whatever
   * goes wrong in ending it: the second time it is broken off, after which it is over.
   */
  #fault(error: unknown): void {
    this.#context.faults.tell('a request failed', error);
    if (this.#over) return;
    const isFirst = !this.#isFaulty;
    this.#isFaulty = true;
    this.#extraFields = [];
    this.#cors = undefined;
    try {
      if (isFirst && !this.#hasResponded) this.#refuse(INTERNAL_ERROR);
      else this.#breakOff(undefined, INTERNAL_ERROR.details);
    } catch (another) {
      this.#fault(another);
    }
  }

  /** The answer has begun and cannot be finished. */
  #breakOff(flag: ResponseFlag | undefined, details: string): void {
    if (flag) this.#report.flag(flag);
    this.#report.details(details);
    try {
      if (this.#carried) this.#carried.destroy();
      else this.#exchange.abort('failed');
    } finally {
      this.#end();
    }
  }

  #moved(): void {
    const { deadlines, streamIdleMs } = this.#context;
    this.#movedMs = deadlines.nowMs;
    const waitMs = streamIdleMs > 0 ? Math.min(streamIdleMs, REQUEST_BODY_IDLE_MS) : REQUEST_BODY_IDLE_MS;
    this.deadlineMs = this.#movedMs + waitMs;
  }

  #countHeld(): void {
    const held = this.#over ? 0 : this.#heldDown + this.#body.heldBytes;
    const change = held - this.#countedBytes;
    this.#countedBytes = held;
    if (change > 0) this.#context.budget.add(this, change);
    else if (change < 0) this.#context.budget.remove(this, -change);
  }

  #end(): void {
    if (this.#over) return;
    this.#over = true;
    this.#timer?.cancel();
    this.#delay?.cancel();
    this.#gate?.[Symbol.dispose]();
    this.#tries?.[Symbol.dispose]();
    if (!this.#body.hasEnded) for (const mirror of this.#mirrors) mirror.giveUp();
    this.#body.discard();
    this.#countHeld();
    if (this.#report.isAdmitted) {
      this.#context.admission.endRequest(this.#downstream.connection.identity);
      this.#context.deadlines.unwatch(this);
    }
    if (!this.#begun) return;
    const { count: attempts = 0, localAddress = '' } = this.#tries ?? {};
    this.#context.reporter.ended(this.#report.record(this.#begun, { attempts, localAddress }));
  }
}

/** What a codec takes for a path; a rewrite by regular expression may make anything. */
function isTarget(path: string): boolean {
  return /^[\x21-\x7e]+$/.test(path);
}

/** How a client goes that breaks nothing. */
const GONE = { flag: 'DC', details: 'downstream_remote_disconnect' } as const;
const NEVER = Number.POSITIVE_INFINITY;
const NOTHING = new Uint8Array(0);
const WEBSOCKET = 'websocket';
const FORWARDED_PROTO = 'x-forwarded-proto';
const UPSTREAM_SERVICE_TIME = 'x-envoy-upstream-service-time';
const OWN_RESPONSE_FIELDS: ReadonlySet<string> = new Set([UPSTREAM_SERVICE_TIME]);

/** Requests to a workload's own address have no routes. */
const WORKLOAD_ROUTE = directRoute({ service: '/', port: 0 });

function abortedBy({ kind, status }: { readonly kind: 'http' | 'grpc'; readonly status: number }): Refusal {
  const refusal = { text: 'fault filter abort', flag: 'FI' as const, details: 'fault_filter_abort' };
  return kind === 'http' ? { ...refusal, status } : { ...refusal, status: 200, grpcStatus: status };
}
