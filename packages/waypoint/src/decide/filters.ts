/**
 * What filters make of a request and of its response: fields set, added and removed, host and path rewritten.
 *
 * Of a request the rule's filters come first and the backend's then; of a response the other way round. A backend's new path
 * stands in place of its rule's: both are said of the path that was asked for. In one filter `remove` comes first, then
 * `set`, then `add`, as in Envoy. Where a filter changes nothing, the
 * fields stay the same list.
 *
 * Envoy has tokens and authorizing services write their headers before, and filters change these like others. Here no filter
 * writes one of them: applications believe them, and clients may have routes of their own. The service's own routes may
 * still remove them, which makes nobody another. Where tokens are looked for, routes of clients change nothing at all: an
 * application may read the claims of a token that was verified here, and look at no signature.
 */
import type { HeaderFields } from '@ambit/http/header-fields';
import type { HeaderField } from '../resources/header-field.ts';
import type { HeaderChange, HttpFilters } from '../resources/http-route.ts';
import { changePath } from './change-path.ts';
import { corsFields } from './cors.ts';
import type { Forward, RouteDecision } from './route-decision.ts';
import { pathOnly, type RequestView } from './request-view.ts';

export interface ForwardedRequest {
  readonly authority: string;
  readonly path: string;
  readonly fields: HeaderFields;
}

/** What of a decision changes the request. */
export type RequestChanges = Pick<Forward, 'filters' | 'matchedPrefixLength' | 'consumerNamespace'>;

/** What goes to the endpoint. */
export function forwardedRequest(decision: RequestChanges, request: RequestView): ForwardedRequest {
  if (decision.filters.length === 0) return request;
  let { authority, path, fields } = request;
  const fixed = fixedFields(decision, request);
  for (const { rewrite, requestHeaders } of decision.filters) {
    if (rewrite?.hostname !== undefined) authority = rewrite.hostname;
    if (rewrite?.path !== undefined)
      path = changePath(rewrite.path, request.path, decision.matchedPrefixLength);
    for (const change of requestHeaders) {
      authority = hostOf(change) ?? authority;
      fields = changeFields(change, fields, fixed);
    }
  }
  if (fixed.isQuery) path = withQueryOf(path, request.path);
  return { authority, path, fields };
}

/** What nothing of a route changes of a request. */
export function fixedFields(
  { consumerNamespace }: Pick<Forward, 'consumerNamespace'>,
  { vouched = [], tokenPlaces }: RequestView,
): FixedFields & { readonly isQuery: boolean } {
  if (consumerNamespace === undefined) return { unwritten: vouched, kept: [], isQuery: false };
  const names = [...vouched, ...(tokenPlaces?.fields ?? [])];
  return { unwritten: names, kept: names, isQuery: tokenPlaces?.isQuery ?? false };
}

/** A rewrite may bring a query of its own. */
function withQueryOf(path: string, other: string): string {
  return pathOnly(path) + other.slice(pathOnly(other).length);
}

/** @param request - What the client sent. @param fields - Of the endpoint's response. */
export function forwardedResponse(
  decision: RouteDecision,
  request: RequestView,
  fields: HeaderFields,
): HeaderFields {
  const changed = changedResponse(decision.filters, fields);
  return decision.cors === undefined ? changed : corsFields(decision.cors, request, changed);
}

/** What filters that name headers make of a response's. */
export function changedResponse(filters: readonly HttpFilters[], fields: HeaderFields): HeaderFields {
  let changed = fields;
  for (const { responseHeaders } of filters.toReversed()) {
    for (const change of responseHeaders) changed = changeFields(change, changed);
  }
  return changed;
}

/** A filter that sets Host means the authority: the field itself is not among the fields. */
function hostOf({ set, add }: HeaderChange): string | undefined {
  const isHost = ({ name }: { readonly name: string }) => name === 'host' || name === ':authority';
  return (set.find(isHost) ?? add.find(isHost))?.value;
}

/**
 * Fields that no filter touches: where a message ends, who it is for, and whom the mesh says that it is from, since clients
 * may write routes for themselves.
 */
const UNTOUCHABLE: ReadonlySet<string> = new Set([
  'host',
  'content-length',
  'transfer-encoding',
  'connection',
  'upgrade',
  'te',
  'trailer',
  'x-forwarded-client-cert',
]);

/** Besides those that nobody touches. */
export interface FixedFields {
  /** Neither set nor added to. */
  readonly unwritten: readonly string[];
  /** Not removed. */
  readonly kept: readonly string[];
}

const NOTHING_FIXED: FixedFields = { unwritten: [], kept: [] };

export function changeFields(
  { set, add, remove }: HeaderChange,
  fields: HeaderFields,
  { unwritten, kept }: FixedFields = NOTHING_FIXED,
): HeaderFields {
  if (set.length === 0 && add.length === 0 && remove.length === 0) return fields;
  const mayWrite = ({ name }: HeaderField) => !isUntouchable(name) && !unwritten.includes(name);
  const written = set.filter(mayWrite);
  const gone = new Set([
    ...remove.filter((name) => !isUntouchable(name) && !kept.includes(name)),
    ...written.map(({ name }) => name),
  ]);
  const changed: string[] = [];
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i] ?? '';
    if (!gone.has(name)) changed.push(name, fields[i + 1] ?? '');
  }
  for (const { name, value } of written) changed.push(name, value);
  for (const field of add) if (mayWrite(field)) appendField(changed, field.name, field.value);
  return changed;
}

function isUntouchable(name: string): boolean {
  return UNTOUCHABLE.has(name) || name.startsWith(':');
}

/** To the last field of the name, with a comma; Set-Cookie takes no commas and gets a field of its own. */
function appendField(fields: string[], name: string, value: string): void {
  const at = name === 'set-cookie' ? -1 : lastFieldNamed(fields, name);
  if (at < 0) fields.push(name, value);
  else fields[at + 1] = `${fields[at + 1]},${value}`;
}

function lastFieldNamed(fields: readonly string[], name: string): number {
  for (let i = fields.length - 2; i >= 0; i -= 2) if (fields[i] === name) return i;
  return -1;
}
