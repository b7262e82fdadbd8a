/**
 * Whether a request meets a match; and if not, what in it does not hold. Verdict and explanation are the same function,
 * so that they cannot disagree.
 */
import { asciiLowerCase } from '@ambit/core/http-text';
import type { HttpMatch, PathMatch } from '../resources/http-route.ts';
import { type TextMatch, textMatches } from '../resources/text-match.ts';
import type { RouteEntry } from './route-table.ts';
import { headerOf, queryParameterOf, type RequestView } from './request-view.ts';

/** What is asked of a request more than once, found once. */
export interface RequestFacts {
  readonly request: RequestView;
  /** Without query. */
  readonly path: string;
  readonly isGrpc: boolean;
  /** Of the client; `undefined` when its identity names none. */
  readonly sourceNamespace: string | undefined;
}

/** The first part of a match that does not hold. */
export type MatchFailure =
  /** A regular expression may not be tried on so long a text. Neither answer would be true, and so the request is refused. */
  | { readonly part: 'undecidable' }
  | { readonly part: 'path' | 'method' | 'scheme' | 'authority' | 'source-namespace' | 'grpc' }
  | { readonly part: 'header' | 'without-header' | 'query-parameter'; readonly name: string };

/** @returns `undefined` when the request meets all of it. */
export function failingPart({ route, match }: RouteEntry, facts: RequestFacts): MatchFailure | undefined {
  if (route.grpc && !facts.isGrpc) return NOT_GRPC;
  if (match.path?.kind === 'regex' && !match.path.regex.mayTry(facts.path)) return UNDECIDABLE;
  if (match.path !== undefined && !pathMatches(match.path, facts.path)) return WRONG_PATH;
  return failingCondition(match, facts);
}

const UNDECIDABLE: MatchFailure = { part: 'undecidable' };
const NOT_GRPC: MatchFailure = { part: 'grpc' };
const WRONG_PATH: MatchFailure = { part: 'path' };
const WRONG_METHOD: MatchFailure = { part: 'method' };
const WRONG_SCHEME: MatchFailure = { part: 'scheme' };
const WRONG_AUTHORITY: MatchFailure = { part: 'authority' };
const WRONG_SOURCE: MatchFailure = { part: 'source-namespace' };

export function pathMatches(match: PathMatch, path: string): boolean {
  switch (match.kind) {
    case 'exact':
      return caseOf(match, path) === match.path;
    case 'segment-prefix': {
      const text = caseOf(match, path);
      if (!text.startsWith(match.path)) return false;
      return text.length === match.path.length || text[match.path.length] === '/';
    }
    case 'text-prefix':
      return caseOf(match, path).startsWith(match.path);
    case 'regex':
      return match.regex.matches(path);
    default:
      return match satisfies never;
  }
}

function caseOf({ ignoreCase }: { readonly ignoreCase: boolean }, path: string): string {
  return ignoreCase ? asciiLowerCase(path) : path;
}

function isUndecidable(match: TextMatch, text: string): boolean {
  return match.kind === 'regex' && !match.regex.mayTry(text);
}

/** All but the path. */
function failingCondition(match: HttpMatch, facts: RequestFacts): MatchFailure | undefined {
  const { request } = facts;
  if (match.method !== undefined) {
    if (isUndecidable(match.method, request.method)) return UNDECIDABLE;
    if (!textMatches(match.method, request.method)) return WRONG_METHOD;
  }
  for (const { name, value } of match.headers) {
    const text = headerOf(request, name);
    if (text !== undefined && isUndecidable(value, text)) return UNDECIDABLE;
    if (text === undefined || !textMatches(value, text)) return { part: 'header', name };
  }
  for (const { name, value } of match.withoutHeaders) {
    const text = headerOf(request, name);
    if (text !== undefined && isUndecidable(value, text)) return UNDECIDABLE;
    if (text !== undefined && textMatches(value, text)) return { part: 'without-header', name };
  }
  for (const { name, value } of match.queryParameters) {
    const text = queryParameterOf(request.path, name);
    if (text !== undefined && isUndecidable(value, text)) return UNDECIDABLE;
    if (text === undefined || !textMatches(value, text)) return { part: 'query-parameter', name };
  }
  if (match.scheme !== undefined && !textMatches(match.scheme, request.scheme)) return WRONG_SCHEME;
  if (match.authority !== undefined) {
    if (isUndecidable(match.authority, request.authority)) return UNDECIDABLE;
    if (!textMatches(match.authority, request.authority)) return WRONG_AUTHORITY;
  }
  const namespace = match.sourceNamespace;
  return namespace === undefined || namespace === facts.sourceNamespace ? undefined : WRONG_SOURCE;
}
