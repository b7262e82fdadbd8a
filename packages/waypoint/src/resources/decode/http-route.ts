/**
 * An HttpRoute from its message.
 *
 * A match that cannot be read takes its route with it, since nobody can say what it would have matched. Anything else in
 * a rule takes the rule alone: requests that it matches are answered 500.
 */
import type {
  Fault as FaultMessage,
  HttpBackend as HttpBackendMessage,
  HttpMatch as HttpMatchMessage,
  HttpRoute as HttpRouteMessage,
  HttpRule as HttpRuleMessage,
  PathMatch as PathMatchMessage,
  RetryPolicy as RetryPolicyMessage,
  SessionPersistence as SessionPersistenceMessage,
} from '@ambit/api/waypoint';
import { grpcStatusNumber, type RetryWord, retryWordOf, SessionKind } from '@ambit/api/waypoint';
import { messageOf } from '@ambit/core/errors';
import { asciiLowerCase, isCookiePath, isToken } from '@ambit/core/http-text';
import { atMost, nameOf, pick, portOf, Problem } from '@ambit/model/decode/problem';
import {
  DEFAULT_RETRY,
  type Fault,
  type HttpBackend,
  type HttpMatch,
  type HttpRoute,
  type HttpRule,
  NO_FILTERS,
  type PathMatch,
  type RetryPolicy,
  type SessionPersistence,
} from '../http-route.ts';
import { MAX_BACKENDS, MAX_CONDITIONS, MAX_PARTS, MAX_RETRIES, MAX_WEIGHT_SUM } from '../limits.ts';
import { filtersOf } from './http-filters.ts';
import {
  durationOf,
  headerNameOf,
  namedMatchesOf,
  originOf,
  parentsOf,
  regexOf,
  said,
  servicePortOf,
  statusOf,
  textMatchOf,
  textOf,
} from './read.ts';

/** @throws {@link Problem} */
export function httpRouteOf(name: string, message: HttpRouteMessage): HttpRoute {
  const rules = atMost(message.rules, MAX_PARTS, 'rules');
  const matches = rules.reduce((sum, rule) => sum + conditionsIn(rule), 0);
  if (matches > MAX_CONDITIONS) throw new Problem(`rules: more than ${MAX_CONDITIONS} conditions`);
  return {
    name,
    origin: originOf(message.origin),
    parents: parentsOf(message.parents),
    inOrder: message.inOrder,
    grpc: message.grpc,
    rules: rules.map(ruleOf),
    unreadable: said(message.unreadable),
    consumerNamespace: said(nameOf(message.consumerNamespace, 'consumerNamespace')),
    hedgeAfterMs: durationOf(message.hedgeAfterMs, 'hedgeAfter'),
  };
}

function conditionsIn({ matches }: HttpRuleMessage): number {
  return matches.reduce(
    (sum, match) =>
      sum + 1 + match.headers.length + match.withoutHeaders.length + match.queryParameters.length,
    0,
  );
}

function ruleOf(message: HttpRuleMessage): HttpRule {
  const name = nameOf(message.name, 'name');
  const matches = atMost(message.matches, MAX_PARTS, 'matches').map(matchOf);
  try {
    return { ...actionOf(message), name, matches, unreadable: said(message.unreadable) };
  } catch (error) {
    return { ...NO_ACTION, name, matches, unreadable: messageOf(error) };
  }
}

type Action = Omit<HttpRule, 'name' | 'matches' | 'unreadable'>;

const NO_ACTION: Action = {
  filters: NO_FILTERS,
  backends: [],
  requestTimeoutMs: undefined,
  backendRequestTimeoutMs: undefined,
  retry: undefined,
  session: undefined,
  fault: undefined,
};

function actionOf(message: HttpRuleMessage): Action {
  const backends = atMost(message.backends, MAX_BACKENDS, 'backends').map(backendOf);
  const sum = backends.reduce((total, { weight }) => total + weight, 0);
  if (sum > MAX_WEIGHT_SUM) throw new Problem(`backends: weights add up to more than ${MAX_WEIGHT_SUM}`);
  return {
    filters: filtersOf(message.filters),
    backends,
    requestTimeoutMs: durationOf(message.requestTimeoutMs, 'requestTimeoutMs'),
    backendRequestTimeoutMs: durationOf(message.backendRequestTimeoutMs, 'backendRequestTimeoutMs'),
    retry: message.retry && retryOf(message.retry),
    session: message.session && sessionOf(message.session),
    fault: message.fault && faultOf(message.fault),
  };
}

function matchOf(message: HttpMatchMessage): HttpMatch {
  const lower = (name: string) => headerNameOf(name, 'headers');
  return {
    path: message.path && pathOf(message.path),
    method: message.method && textMatchOf(message.method, 'method'),
    headers: namedMatchesOf(message.headers, 'headers', lower),
    withoutHeaders: namedMatchesOf(message.withoutHeaders, 'withoutHeaders', lower),
    queryParameters: namedMatchesOf(message.queryParameters, 'queryParameters', (name) => name),
    scheme: message.scheme && textMatchOf(message.scheme, 'scheme'),
    authority: message.authority && textMatchOf(message.authority, 'authority'),
    sourceNamespace: said(nameOf(message.sourceNamespace, 'sourceNamespace')),
    port: portOf(message.port, 'port'),
    name: nameOf(message.name, 'name'),
  };
}

function pathOf({ kind, ignoreCase }: PathMatchMessage): PathMatch {
  switch (kind?.$case) {
    case 'exact':
      return { kind: 'exact', path: caseOf(textOf(kind.value, 'path'), ignoreCase), ignoreCase };
    case 'segmentPrefix': {
      const path = textOf(kind.value, 'path').replace(/\/+$/, '');
      return { kind: 'segment-prefix', path: caseOf(path, ignoreCase), ignoreCase };
    }
    case 'textPrefix':
      return { kind: 'text-prefix', path: caseOf(textOf(kind.value, 'path'), ignoreCase), ignoreCase };
    case 'regex':
      return { kind: 'regex', regex: regexOf(kind.value, ignoreCase, 'path') };
    case undefined:
      throw new Problem('path: a match of a kind that is not known');
    default:
      return kind satisfies never;
  }
}

function caseOf(text: string, ignoreCase: boolean): string {
  return ignoreCase ? asciiLowerCase(text) : text;
}

function backendOf({ target, weight, filters, subset }: HttpBackendMessage): HttpBackend {
  switch (target?.$case) {
    case 'service':
      return {
        target: {
          kind: 'service',
          to: servicePortOf(target.value, 'backends'),
          subset: nameOf(subset, 'subset'),
        },
        weight,
        filters: filtersOf(filters),
      };
    case 'status':
      return {
        target: { kind: 'status', status: statusOf(target.value, 'backends') },
        weight,
        filters: NO_FILTERS,
      };
    case undefined:
      throw new Problem('backends: one without a target');
    default:
      return target satisfies never;
  }
}

function retryOf(message: RetryPolicyMessage): RetryPolicy {
  if (message.attempts > MAX_RETRIES) throw new Problem(`retry: more than ${MAX_RETRIES} attempts`);
  const words = atMost(message.retryOn, MAX_PARTS, 'retryOn').map(knownRetryWord);
  return {
    attempts: message.attempts,
    retryOn: words.length > 0 ? new Set(words) : DEFAULT_RETRY.retryOn,
    statusCodes: new Set(
      atMost(message.statusCodes, MAX_PARTS, 'statusCodes').map((code) => statusOf(code, 'statusCodes')),
    ),
    perTryTimeoutMs: durationOf(message.perTryTimeoutMs, 'perTryTimeoutMs'),
    backoffMs: durationOf(message.backoffMs, 'backoffMs') ?? DEFAULT_RETRY.backoffMs,
    backoffIsLeast: message.backoffMs > 0,
    otherLocalities: message.otherLocalities,
    ignorePreviousHosts: message.ignorePreviousHosts,
    budgetPercent: Math.min(message.budgetPercent || DEFAULT_RETRY.budgetPercent, 100),
    budgetMinPerSecond: message.budgetMinPerSecond || DEFAULT_RETRY.budgetMinPerSecond,
  };
}

function knownRetryWord(text: string): RetryWord {
  const word = retryWordOf(text);
  if (word === undefined) throw new Problem(`retryOn: ${text} is not known`);
  return word;
}

const SESSION_KINDS = { [SessionKind.COOKIE]: 'cookie', [SessionKind.HEADER]: 'header' } as const;

function sessionOf(message: SessionPersistenceMessage): SessionPersistence {
  const kind = pick(SESSION_KINDS, message.kind, 'session');
  const name = nameOf(message.sessionName, 'session');
  if (kind === 'cookie' && !isToken(name)) {
    throw new Problem(`session: ${name} is no name of a cookie`);
  }
  const cookiePath = message.cookiePath || '/';
  if (!isCookiePath(cookiePath)) throw new Problem('session: a path of a cookie that is none');
  return {
    name: kind === 'header' ? headerNameOf(name, 'session') : name,
    kind,
    absoluteTimeoutMs: durationOf(message.absoluteTimeoutMs, 'session'),
    idleTimeoutMs: durationOf(message.idleTimeoutMs, 'session'),
    permanentCookie: message.permanentCookie,
    cookiePath,
  };
}

function faultOf(message: FaultMessage): Fault {
  return {
    delayShare: shareOf(message.delayPpm, 'delay'),
    delayMs: durationOf(message.delayMs, 'delay') ?? 0,
    abortShare: shareOf(message.abortPpm, 'abort'),
    abort: abortOf(message),
  };
}

function abortOf({ abortStatus, abortGrpcStatus }: FaultMessage): Fault['abort'] {
  if (abortGrpcStatus !== '') {
    const status = grpcStatusNumber(abortGrpcStatus);
    if (status === undefined) throw new Problem(`abort: ${abortGrpcStatus} is no status of gRPC`);
    return { kind: 'grpc', status };
  }
  return abortStatus === 0 ? undefined : { kind: 'http', status: statusOf(abortStatus, 'abort') };
}

function shareOf(ppm: number, field: string): number {
  if (ppm > 1_000_000) throw new Problem(`${field}: more than all requests`);
  return ppm / 1_000_000;
}
