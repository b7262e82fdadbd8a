/**
 * READ FIRST: one request, from its head to the last byte of its answer.
 *
 * It is asked in this order: is there room, is its path one, who is it (tokens), may it (services that authorize, then
 * policies), where does it go (routes). Then it is sent, to another endpoint if the first fails and the policy says so, and
 * what comes back is handed on as it comes. Nothing of a request reaches an endpoint before the last of the questions is
 * answered, and whatever cannot be answered is a refusal.
 *
 * Each event moves it on synchronously; only tokens, services that authorize, names without address, delays and connections
 * are waited for. `#over` ends everything exactly once, with one record.
 */
import type { Timer } from '@ambit/core/clock';
import { messageOf } from '@ambit/core/errors';
import type { HttpError } from '@ambit/http/errors';
import type { BodyReceiver, RequestHead, ResponseHead, ServerExchange } from '@ambit/http/exchange';
import { fieldValue, type HeaderFields } from '@ambit/http/header-fields';
import type { Holder } from '@ambit/hbone/queue-budget';
import type { AuthorizationSubject } from '../decide/authorization-facts.ts';
import { authorize, externalChecks } from '../decide/authorize.ts';
import { normalizePath } from '../decide/normalize-path.ts';
import type { RequestView } from '../decide/request-view.ts';
import type { ExternalCheck } from '../decide/verdict.ts';
import { answerPreflight } from '../decide/cors.ts';
import { forwardedRequest, forwardedResponse } from '../decide/filters.ts';
import { decideRoute } from '../decide/route.ts';
import { type Forward, NO_ROUTE, type Redirected, type Responded } from '../decide/route-decision.ts';
import type { AttemptOutcome } from '../decide/retry.ts';
import type { Authentication, FieldChanges } from '../security/authenticate.ts';
import type { ExternalVerdict, KeptBody } from '../security/external.ts';
import { DEFAULT_RETRY } from '../resources/http-route.ts';
import type { PortConfig } from '../resources/snapshot.ts';
import type { BegunRequest } from '../telemetry/begun.ts';
import { isGrpc, type SentRequest } from '../telemetry/record.ts';
import type { Cluster } from '../upstream/cluster.ts';
import type { UpstreamEndpoint } from '../upstream/endpoint.ts';
import { UpstreamError } from '../upstream/errors.ts';
import { upstreamVersion } from '../upstream/settings.ts';
import { Attempt, type AttemptHost } from './attempt.ts';
import type { ExchangeContext } from './context.ts';
import { configOf, type Downstream } from './downstream.ts';
import { without, withFields, withoutPrivate } from './fields.ts';
import type { ResponseFlag } from './flags.ts';
import { GRPC_STATUS, parseGrpcTimeoutMs } from './grpc.ts';
import { localReply } from './local-reply.ts';
import { RequestBody } from './request-body.ts';
import { RequestReport } from './request-report.ts';

interface Refusal {
  readonly status: number;
  /** For the client. */
  readonly text: string;
  readonly flag?: ResponseFlag;
  /** Envoy's word, or a stable one of ours. */
  readonly details: string;
  readonly fields?: HeaderFields;
  readonly grpcStatus?: number;
}

const TIMED_OUT: Refusal = {
  status: 504,
  text: 'upstream request timeout',
  flag: 'UT',
  details: 'response_timeout',
  grpcStatus: GRPC_STATUS.deadlineExceeded,
};
const OVERLOADED: Refusal = { status: 503, text: 'overloaded', flag: 'OM', details: 'overloaded' };

export class ProxiedRequest implements BodyReceiver, AttemptHost, Holder {
  readonly #context: ExchangeContext;
  readonly #downstream: Downstream;
  readonly #exchange: ServerExchange;
  readonly #report: RequestReport;
  readonly #body: RequestBody;
  /** Made when somebody outside is asked: one for each request would cost more than deciding it. */
  #gone: AbortController | undefined;
  #view: RequestView;
  #config: PortConfig | undefined;
  #begun: BegunRequest | undefined;
  #decision: Forward | undefined;
  #cluster: Cluster | undefined;
  #sent: SentRequest | undefined;
  #attempt: Attempt | undefined;
  #attempts = 0;
  readonly #failedAt = new Set<UpstreamEndpoint>();
  /** This request is counted among those of its destination; a retry of it as well. */
  #isCounted = false;
  #isRetry = false;
  #hash: number | undefined;
  #setCookie: string | undefined;
  /** For the client, whatever is answered. */
  #extraFields: HeaderFields = [];
  #timer: Timer | undefined;
  #backoff: Timer | undefined;
  #hasResponded = false;
  #hasContinued = false;
  /** Bytes of the answer that the client's connection has not taken. */
  #heldDown = 0;
  #reportedBytes = 0;
  #over = false;

  constructor(context: ExchangeContext, downstream: Downstream, exchange: ServerExchange) {
    const { head } = exchange;
    this.#context = context;
    this.#downstream = downstream;
    this.#exchange = exchange;
    this.#view = head;
    this.#report = new RequestReport(context.clock, downstream, head);
    this.#body = new RequestBody(exchange, context.retryBodyBytes);
  }

  /** What {@link Holder} counts. */
  get heldBytes(): number {
    return this.#reportedBytes;
  }

  start(): this {
    const { admission, snapshot, reporter } = this.#context;
    const { head } = this.#exchange;
    const now = snapshot();
    this.#config = configOf(now, this.#downstream.destination);
    this.#begun = reporter.begin(this.#config, head);
    if (!admission.tryRequest()) {
      this.#refuse(OVERLOADED, false);
      return this;
    }
    this.#report.isAdmitted = true;
    if (!now.complete) {
      this.#refuse({ status: 503, text: '', flag: 'NR', details: 'not_configured_yet' });
      return this;
    }
    const normalized = normalizePath(now.settings.pathNormalization, head.path);
    if (normalized.kind === 'refuse') {
      this.#refuse({ status: 400, text: '', details: `path_normalization_failed{${normalized.reason}}` });
      return this;
    }
    this.#view = {
      method: head.method,
      scheme: head.scheme,
      authority: head.authority,
      path: normalized.path,
      fields: withoutPrivate(head.fields),
    };
    this.#authenticate(this.#config);
    return this;
  }

  // What the client does.

  onData(bytes: Buffer): void {
    this.#report.requestData(bytes);
    if (this.#over) {
      this.#exchange.credit(bytes.length);
      return;
    }
    this.#body.push(bytes);
    this.#countHeld();
  }

  onEnd(trailers: HeaderFields | undefined): void {
    this.#report.requestEnded();
    this.#body.end(trailers);
  }

  onAbort(error: HttpError): void {
    if (this.#over) return;
    const broke = error.kind === 'protocol' || error.kind === 'limit';
    this.#report.flag(broke ? 'DPE' : 'DC');
    this.#report.details(broke ? 'downstream_protocol_error' : 'downstream_remote_disconnect');
    this.#report.termination(messageOf(error));
    this.#end();
  }

  onWritable(): void {
    const held = this.#heldDown;
    this.#heldDown = 0;
    this.#attempt?.credit(held);
    this.#countHeld();
  }

  /** @internal Memory is short and this request holds most of it. */
  evict(): void {
    if (this.#over) return;
    if (this.#hasResponded) this.#breakOff('OM', 'overloaded');
    else this.#refuse(OVERLOADED);
  }

  // Who it is, and whether it may.

  #authenticate(config: PortConfig): void {
    const { security } = this.#context;
    if (config.authentication.length === 0) {
      this.#checkExternally(config, undefined);
      return;
    }
    const outcome = security.authenticate(config.authentication, this.#view);
    if (!(outcome instanceof Promise)) {
      this.#authenticated(config, outcome);
      return;
    }
    outcome.then(
      (settled) => this.#resume(() => this.#authenticated(config, settled)),
      (error: unknown) => this.#resume(() => this.#fault('authentication', error)),
    );
  }

  #authenticated(config: PortConfig, outcome: Authentication): void {
    if (outcome.kind === 'refuse') {
      const { status, reason, fields } = outcome;
      this.#refuse({ status, text: reason, details: 'jwt_authn_access_denied', fields });
      return;
    }
    this.#change(outcome.changes);
    this.#checkExternally(config, outcome.token);
  }

  #subject(token: AuthorizationSubject['token']): AuthorizationSubject {
    return { request: this.#view, connection: this.#downstream.connection, token };
  }

  #checkExternally(config: PortConfig, token: AuthorizationSubject['token']): void {
    const { custom } = config.authorization;
    if (custom.length === 0) {
      this.#authorize(config, token);
      return;
    }
    const checks = externalChecks(config.authorization, this.#subject(token));
    this.#checkNext(config, token, checks, 0);
  }

  #checkNext(
    config: PortConfig,
    token: AuthorizationSubject['token'],
    checks: readonly ExternalCheck[],
    index: number,
  ): void {
    const check = checks[index];
    if (!check) {
      this.#authorize(config, token);
      return;
    }
    const { security } = this.#context;
    this.#gone ??= new AbortController();
    const gone = this.#gone;
    this.#keepBody(security.bodyBytes(check), (body) => {
      security.check(check, this.#subject(token), body, gone.signal).then(
        (verdict) =>
          this.#resume(() => {
            if (this.#externallyAllowed(verdict)) this.#checkNext(config, token, checks, index + 1);
          }),
        (error: unknown) => this.#resume(() => this.#fault('external authorization', error)),
      );
    });
  }

  /** Goes on with as much of the body as is wanted, when it is here. */
  #keepBody(bytes: number, goOn: (body: KeptBody | undefined) => void): void {
    if (bytes === 0) {
      goOn(undefined);
      return;
    }
    if (this.#exchange.head.endsHere) {
      goOn({ bytes: NOTHING, isWhole: true });
      return;
    }
    this.onAttemptSending();
    this.#body.await(bytes, () => {
      if (this.#over) return;
      goOn({ bytes: this.#body.beginning(bytes), isWhole: this.#body.totalBytes <= bytes });
    });
  }

  #externallyAllowed(verdict: ExternalVerdict): boolean {
    if (verdict.kind === 'allow') {
      this.#change(verdict.changes);
      this.#extraFields = [...this.#extraFields, ...verdict.responseFields];
      return true;
    }
    const { status, fields, body, failed } = verdict;
    this.#report.flag('UAEX');
    this.#report.details(failed ? 'ext_authz_error' : 'ext_authz_denied');
    this.#respondLocally({ status, fields }, body);
    return false;
  }

  #authorize(config: PortConfig, token: AuthorizationSubject['token']): void {
    const verdict = authorize(config.authorization, this.#subject(token));
    if (verdict.kind === 'allow') {
      this.#route(config);
      return;
    }
    const policy = verdict.kind === 'no-allow-matched' ? 'none' : verdict.by;
    this.#refuse({
      status: 403,
      text: 'RBAC: access denied',
      details: `rbac_access_denied_matched_policy[${policy}]`,
    });
  }

  // Where it goes.

  #route(config: PortConfig): void {
    const { random } = this.#context;
    const { connection, destination } = this.#downstream;
    const begun = this.#begun;
    if (begun) this.#view = { ...this.#view, fields: withFields(this.#view.fields, begun.fields) };
    if (destination.kind === 'workload') {
      this.#forward(WORKLOAD_ROUTE);
      return;
    }
    const decision = decideRoute(config.http, this.#view, connection, random);
    this.#report.route(decision.name);
    const preflight = answerPreflight(decision, this.#view);
    if (preflight) {
      this.#report.details('cors_response');
      this.#respondLocally(preflight, NOTHING);
      return;
    }
    if (decision.kind === 'forward') this.#inject(decision);
    else this.#answer(decision);
  }

  /** Answers by the route itself. */
  #answer(decision: Redirected | Responded): void {
    if (decision.kind === 'redirect') {
      this.#report.details('direct_response');
      const location = ['location', decision.location];
      const fields = forwardedResponse(decision, this.#view, location);
      this.#respondLocally({ status: decision.status, fields }, NOTHING);
      return;
    }
    const { status, reason, body } = decision;
    if (reason === 'direct-response') {
      this.#report.details('direct_response');
      const fields = forwardedResponse(decision, this.#view, ['content-length', String(body.length)]);
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
      if (!abort) this.#forward(decision);
      else {
        const status = abort.kind === 'http' ? abort.status : 200;
        const grpcStatus = abort.kind === 'grpc' ? { grpcStatus: abort.status } : {};
        this.#refuse({
          status,
          text: 'fault filter abort',
          flag: 'FI',
          details: 'fault_filter_abort',
          ...grpcStatus,
        });
      }
    };
    if (fault.delayMs === 0) {
      goOn();
      return;
    }
    this.#report.flag('DI');
    this.#backoff = this.#context.clock.after(fault.delayMs, () => this.#resume(goOn));
  }

  #forward(decision: Forward): void {
    const { decisions, upstreams, random } = this.#context;
    const { destination, connection } = this.#downstream;
    this.#decision = decision;
    const cluster =
      destination.kind === 'workload' ? upstreams.workload(destination) : upstreams.cluster(decision.backend);
    this.#cluster = cluster;
    const pending = cluster.pending;
    if (pending) {
      void pending.then(() => this.#resume(() => this.#forward(decision)));
      return;
    }
    if (!cluster.breakers.tryTake('requests')) {
      this.#failed(new UpstreamError('UO', 'overflow', 'too many requests of this destination'));
      return;
    }
    this.#isCounted = true;
    const sent = forwardedRequest(decision, this.#view);
    const proto =
      fieldValue(sent.fields, 'x-forwarded-proto') === undefined ? [FORWARDED_PROTO, this.#view.scheme] : [];
    this.#sent = { authority: sent.authority, path: sent.path, fields: [...sent.fields, ...proto] };
    const hashing = cluster.destination.loadBalancer?.consistentHash;
    if (hashing) {
      const { hash, setCookie } = decisions.hashOf(hashing, this.#view, connection, random);
      this.#hash = hash;
      this.#setCookie = setCookie;
    }
    this.#startTimer(decision);
    this.#try();
  }

  #startTimer({ timeouts }: Forward): void {
    const grpcMs = isGrpc(this.#view.fields)
      ? parseGrpcTimeoutMs(fieldValue(this.#view.fields, 'grpc-timeout'))
      : undefined;
    const { requestMs } = timeouts;
    const timeoutMs = grpcMs === undefined ? requestMs : Math.min(grpcMs, requestMs ?? grpcMs);
    if (timeoutMs === undefined) return;
    this.#timer = this.#context.clock.after(timeoutMs, () => {
      if (this.#over) return;
      if (this.#hasResponded) this.#breakOff('UT', 'response_timeout');
      else this.#refuse(TIMED_OUT);
    });
  }

  // Tries.

  #try(): void {
    const { clock, random } = this.#context;
    const { head } = this.#exchange;
    const cluster = this.#cluster;
    const decision = this.#decision;
    const sent = this.#sent;
    if (!cluster || !decision || !sent) return;
    const picked = cluster.pick({
      hash: this.#hash,
      avoid: this.#failedAt,
      random,
      address: this.#downstream.destination.address,
    });
    if (picked instanceof UpstreamError) {
      this.#failed(picked);
      return;
    }
    this.#attempts += 1;
    this.#report.attempt(picked, sent);
    const attempt = new Attempt({
      host: this,
      endpoint: picked,
      version: upstreamVersion(cluster.appProtocol, cluster.destination, {
        version: head.version,
        isGrpc: isGrpc(head.fields),
      }),
      head: this.#headFor(sent, head),
      body: this.#body,
      clock,
      perTryMs: decision.timeouts.perTryMs,
    });
    this.#attempt = attempt;
    attempt.start();
  }

  #headFor(sent: SentRequest, { method, version, endsHere }: RequestHead): RequestHead {
    return {
      method,
      version,
      endsHere,
      scheme: 'http',
      authority: sent.authority,
      path: sent.path,
      fields: sent.fields,
      upgrade: undefined,
      expectsContinue: false,
    };
  }

  /** @internal */
  onAttemptSending(): void {
    if (!this.#exchange.head.expectsContinue || this.#hasContinued || this.#hasResponded) return;
    this.#hasContinued = true;
    this.#exchange.informational({ status: 100, fields: [] });
  }

  /** @internal */
  onAttemptInformational(head: ResponseHead): void {
    if (head.status !== 100 && !this.#hasResponded) this.#exchange.informational(head);
  }

  /** @internal */
  onAttemptResponse(attempt: Attempt, head: ResponseHead, endsHere: boolean): void {
    const outcome: AttemptOutcome = { kind: 'response', status: head.status, fields: head.fields };
    if (this.#mayRetry(outcome)) {
      attempt.drop();
      this.#failedAt.add(attempt.endpoint);
      return;
    }
    this.#forwardResponse(attempt, head, endsHere);
  }

  #forwardResponse(attempt: Attempt, head: ResponseHead, endsHere: boolean): void {
    const decision = this.#decision;
    if (!decision) return;
    const own = [
      UPSTREAM_SERVICE_TIME,
      String(Math.round(attempt.upstreamMs ?? 0)),
      ...this.#extraFields,
      ...(this.#setCookie === undefined ? [] : ['set-cookie', this.#setCookie]),
    ];
    const fields = [...without(withoutPrivate(head.fields), OWN_RESPONSE_FIELDS), ...own];
    const answer = { status: head.status, fields: forwardedResponse(decision, this.#view, fields) };
    this.#hasResponded = true;
    this.#report.details('via_upstream');
    this.#report.response(answer, attempt.upstreamMs);
    this.#exchange.respond(answer, endsHere);
  }

  /** @internal */
  onAttemptData(attempt: Attempt, bytes: Buffer): void {
    this.#report.responseData(bytes);
    if (this.#exchange.write(bytes)) {
      attempt.credit(bytes.length);
      return;
    }
    this.#heldDown += bytes.length;
    this.#countHeld();
  }

  /** @internal */
  onAttemptEnd(_attempt: Attempt, trailers: HeaderFields | undefined): void {
    this.#report.responseEnded(trailers);
    this.#exchange.end(trailers);
    this.#end();
  }

  /** @internal */
  onAttemptFailed(attempt: Attempt, outcome: AttemptOutcome, error: UpstreamError): void {
    this.#failedAt.add(attempt.endpoint);
    this.#report.transportFailure(error);
    if (this.#hasResponded) {
      this.#breakOff(error.flag, `upstream_reset_after_response_started{${error.reason}}`);
      return;
    }
    if (error.flag !== 'UO' && this.#mayRetry(outcome)) return;
    this.#failed(error);
  }

  /** Whether another try was decided on; it begins after its wait. */
  #mayRetry(outcome: AttemptOutcome): boolean {
    const { decisions, random, clock } = this.#context;
    const { breakers } = this.#cluster ?? {};
    const policy = this.#decision?.retry;
    if (!policy || !breakers || policy.attempts === 0) return false;
    if (outcome.kind === 'response' && outcome.status < 400 && !isGrpc(outcome.fields)) return false;
    const retries = breakers.used('retries') - (this.#isRetry ? 1 : 0);
    const decided = decisions.decideRetry(
      policy,
      { method: this.#view.method, tries: this.#attempts, outcome, bodyLost: this.#body.isLost },
      {
        activeRequests: breakers.used('requests'),
        activeRetries: retries,
        retriesLastSecond: breakers.retriesLastSecond(clock.monotonicMs()),
      },
      this.#cluster?.destination.retryBudget,
      random,
    );
    if (decided.kind === 'give-up') {
      if (decided.reason === 'no-attempts-left') this.#report.flag('URX');
      return false;
    }
    if (!this.#isRetry && !breakers.tryTake('retries')) {
      this.#report.flag('UO');
      return false;
    }
    this.#isRetry = true;
    breakers.countRetry(clock.monotonicMs());
    this.#backoff = clock.after(decided.backoffMs, () => this.#resume(() => this.#try()));
    return true;
  }

  #failed(error: UpstreamError): void {
    this.#report.transportFailure(error);
    this.#refuse(refusalOf(error));
  }

  // How it ends.

  #refuse(refusal: Refusal, isAdmitted = true): void {
    const { status, text, flag, details, fields = [], grpcStatus } = refusal;
    if (flag) this.#report.flag(flag);
    this.#report.details(details);
    const reply = localReply(status, text, {
      isGrpc: isGrpc(this.#exchange.head.fields),
      isHead: this.#exchange.head.method === 'HEAD',
      grpcStatus,
      fields: [...this.#extraFields, ...fields],
    });
    this.#report.isAdmitted = isAdmitted;
    this.#respondLocally(reply.head, reply.body);
  }

  #respondLocally(head: ResponseHead, body: Uint8Array): void {
    if (this.#over) return;
    this.#attempt?.giveUp();
    this.#hasResponded = true;
    this.#report.response(head, undefined);
    const endsHere = body.length === 0 || this.#exchange.head.method === 'HEAD';
    this.#exchange.respond(head, endsHere);
    if (!endsHere) {
      this.#report.responseData(body);
      this.#exchange.write(body);
      this.#exchange.end();
    }
    this.#report.responseEnded(undefined);
    this.#end();
  }

  /** The answer has begun and cannot be finished. */
  #breakOff(flag: ResponseFlag, details: string): void {
    this.#report.flag(flag);
    this.#report.details(details);
    this.#exchange.abort('failed');
    this.#end();
  }

  #fault(what: string, error: unknown): void {
    this.#context.log.error('a request failed within the waypoint', { what, error: messageOf(error) });
    this.#refuse({ status: 500, text: '', details: 'internal_error' });
  }

  #resume(goOn: () => void): void {
    if (!this.#over) goOn();
  }

  #change({ remove, set }: FieldChanges): void {
    if (remove.length === 0 && set.length === 0) return;
    this.#view = { ...this.#view, fields: withFields(without(this.#view.fields, new Set(remove)), set) };
  }

  #countHeld(): void {
    const held = this.#over ? 0 : this.#heldDown + this.#body.heldBytes;
    const change = held - this.#reportedBytes;
    this.#reportedBytes = held;
    if (change > 0) this.#context.budget.add(this, change);
    else if (change < 0) this.#context.budget.remove(this, -change);
  }

  #end(): void {
    if (this.#over) return;
    this.#over = true;
    this.#timer?.cancel();
    this.#backoff?.cancel();
    this.#attempt?.giveUp();
    this.#body.discard();
    this.#countHeld();
    this.#gone?.abort();
    const breakers = this.#cluster?.breakers;
    if (this.#isCounted) breakers?.release('requests');
    if (this.#isRetry) breakers?.release('retries');
    if (this.#report.isAdmitted) this.#context.admission.endRequest();
    if (this.#begun) this.#context.reporter.ended(this.#report.record(this.#begun, this.#attempts));
  }
}

const NOTHING = new Uint8Array(0);
const FORWARDED_PROTO = 'x-forwarded-proto';
const UPSTREAM_SERVICE_TIME = 'x-envoy-upstream-service-time';
const OWN_RESPONSE_FIELDS: ReadonlySet<string> = new Set([UPSTREAM_SERVICE_TIME]);
/** Requests to a workload's own address have no routes: they go to it, as the mesh's defaults say. */
const WORKLOAD_ROUTE: Forward = {
  kind: 'forward',
  name: NO_ROUTE,
  backend: { to: { service: '/', port: 0 }, subset: '' },
  filters: [],
  matchedPrefixLength: 0,
  timeouts: { requestMs: undefined, perTryMs: undefined },
  retry: DEFAULT_RETRY,
  session: undefined,
  cors: undefined,
  mirrors: [],
  fault: undefined,
};

/** In Envoy's words. */
function refusalOf(error: UpstreamError): Refusal {
  const { flag, reason } = error;
  switch (reason) {
    case 'no_healthy_upstream':
      return { status: 503, text: 'no healthy upstream', flag, details: reason };
    case 'cluster_not_found':
      return { status: 503, text: '', flag, details: reason };
    case 'per_try_timeout':
      return {
        status: 504,
        text: 'upstream request timeout',
        flag,
        details: 'upstream_per_try_timeout',
        grpcStatus: GRPC_STATUS.deadlineExceeded,
      };
    case 'dns_failure':
      return { status: 503, text: 'no healthy upstream', flag, details: reason };
    default: {
      const words = reason.replaceAll('_', ' ');
      return {
        status: 503,
        text: `upstream connect error or disconnect/reset before headers. reset reason: ${words}`,
        flag,
        details: `upstream_reset_before_response_started{${reason}}`,
      };
    }
  }
}
