/**
 * What a service that a route has asked sees of a request, and what its answer changes. Pure.
 *
 * Whoever wrote the route chose the service: it says no more of who a request is from than filters of the route may, and
 * hears no more than the client could tell it directly.
 */
import { AUTHORIZATION_CHECK_PATH } from '@ambit/api/external-authorization';
import type { HeaderFields } from '@ambit/http/header-fields';
import { splitServiceKey } from '@ambit/model/address';
import type { ExternalVerdict } from '../security/external.ts';
import { withQuery } from '../security/change-query.ts';
import { changeFields, fixedFields } from './filters.ts';
import type { RequestView } from './request-view.ts';
import type { RouteAuthorizer } from './route-decision.ts';
import { fieldsToAsk } from './selected-fields.ts';

type Asked = RouteAuthorizer & { readonly kind: 'service' };
type Allowed = ExternalVerdict & { readonly kind: 'allow' };

/** The question as a request of its own: what policies of the service are asked about. */
export function questionView({ authorizer, backend }: Asked, request: RequestView): RequestView {
  const { scheme, path } = request;
  if (authorizer.kind === 'ext-authz-http')
    return {
      ...request,
      path: `${authorizer.pathPrefix}${path}`,
      fields: fieldsToAsk(authorizer, request.fields),
    };
  const authority = splitServiceKey(backend.to.service)?.hostname ?? '';
  return { method: 'POST', scheme, authority, path: AUTHORIZATION_CHECK_PATH, fields: [], version: '2' };
}

/** The request with what the service changed of it; of that, nobody else of the route has the say from then on. */
export function withAnswer(
  lead: Asked,
  request: RequestView,
  { changes: { remove, set, vouched }, query }: Pick<Allowed, 'changes' | 'query'>,
): RequestView {
  const { vouched: before = [], path } = request;
  const fixed = fixedFields(lead, request);
  return {
    ...request,
    path: query && !fixed.isQuery ? withQuery(path, query) : path,
    fields: changeFields({ set: pairs(set), add: [], remove }, request.fields, fixed),
    vouched: [...before, ...vouched],
  };
}

function pairs(fields: HeaderFields) {
  return fields.flatMap((name, i) => (i % 2 === 0 ? [{ name, value: fields[i + 1] ?? '' }] : []));
}
