/**
 * Cross-origin requests: what a preflight is answered with, and which fields an actual response gets.
 *
 * A wildcard is never sent where credentials are allowed (the browser would refuse it); the request's own origin, method
 * and headers are, as the Gateway API has it. An origin that may not is told nothing, and its browser gives up.
 */
import type { HeaderFields } from '@ambit/http/header-fields';
import type { Cors } from '../resources/http-route.ts';
import { textMatches } from '../resources/text-match.ts';
import { headerOf, type RequestView } from './request-view.ts';
import type { RouteDecision } from './route-decision.ts';

export interface PreflightAnswer {
  readonly status: number;
  readonly fields: HeaderFields;
}

/** The answer to a preflight; `undefined` when the request is none, or is to go on. */
export function answerPreflight(decision: RouteDecision, request: RequestView): PreflightAnswer | undefined {
  const { cors } = decision;
  if (cors === undefined || request.method !== 'OPTIONS') return undefined;
  const origin = headerOf(request, 'origin');
  const method = headerOf(request, 'access-control-request-method');
  if (origin === undefined || method === undefined) return undefined;
  if (!allows(cors, origin)) {
    return cors.forwardUnmatchedPreflights ? undefined : { status: 200, fields: VARY };
  }
  return { status: 200, fields: preflightFields(cors, request, origin, method) };
}

const VARY: HeaderFields = ['vary', 'origin'];

/** The fields of a response to a request that is no preflight, with those of the endpoint that ours replace taken out. */
export function corsFields(cors: Cors, request: RequestView, fields: HeaderFields): HeaderFields {
  const origin = headerOf(request, 'origin');
  if (origin === undefined || !allows(cors, origin)) return fields;
  const ours = [
    ...originFields(cors, origin),
    ...listField('access-control-expose-headers', exposed(cors)),
    ...VARY,
  ];
  const replaced = new Set(ours.filter((_, i) => i % 2 === 0 && ours[i] !== 'vary'));
  const kept: string[] = [];
  for (let i = 0; i < fields.length; i += 2) {
    if (!replaced.has(fields[i] ?? '')) kept.push(fields[i] ?? '', fields[i + 1] ?? '');
  }
  return [...kept, ...ours];
}

function preflightFields(cors: Cors, request: RequestView, origin: string, method: string): HeaderFields {
  const headers = headerOf(request, 'access-control-request-headers');
  return [
    ...originFields(cors, origin),
    ...listField('access-control-allow-methods', asked(cors.allowMethods, method)),
    ...listField('access-control-allow-headers', asked(cors.allowHeaders, headers)),
    ...listField('access-control-expose-headers', exposed(cors)),
    ...(cors.maxAgeS > 0 ? ['access-control-max-age', String(cors.maxAgeS)] : []),
    ...VARY,
  ];
}

export function allows(cors: Cors, origin: string): boolean {
  return cors.allowsAnyOrigin || cors.allowOrigins.some((match) => textMatches(match, origin));
}

function originFields(cors: Cors, origin: string): HeaderFields {
  const credentials = cors.allowCredentials ? ['access-control-allow-credentials', 'true'] : [];
  return ['access-control-allow-origin', origin, ...credentials];
}

/** A wildcard is answered with what was asked for, which serves with credentials and without. */
function asked(allowed: readonly string[], requested: string | undefined): readonly string[] {
  if (!allowed.includes('*')) return allowed;
  return requested === undefined ? [] : [requested];
}

function exposed({ exposeHeaders, allowCredentials }: Cors): readonly string[] {
  return allowCredentials ? exposeHeaders.filter((name) => name !== '*') : exposeHeaders;
}

function listField(name: string, values: readonly string[]): HeaderFields {
  return values.length === 0 ? [] : [name, values.join(', ')];
}
