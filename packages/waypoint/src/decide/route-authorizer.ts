/**
 * What a service that a route has asked sees of a request, and what its answer changes. Pure.
 *
 * Whoever wrote the route chose the service: it says no more of who a request is from than filters of the route may, and
 * hears no more than the client could tell it directly.
 */
import { AUTHORIZATION_CHECK_PATH } from '@ambit/api/external-authorization';
import type { HeaderFields } from '@ambit/http/header-fields';
import { splitServiceKey } from '@ambit/model/address';
import { changeFields } from './filters.ts';
import type { RequestView } from './request-view.ts';
import type { RouteAuthorizer } from './route-decision.ts';
import { fieldsToAsk } from './selected-fields.ts';

/** What the service has set and removed, and has the say of. */
interface AnsweredChanges {
  readonly remove: readonly string[];
  readonly set: HeaderFields;
  readonly vouched: readonly string[];
}

type Asked = RouteAuthorizer & { readonly kind: 'service' };

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
  return { method: 'POST', scheme, authority, path: AUTHORIZATION_CHECK_PATH, fields: [] };
}

/** The request with what the service changed of it; of that, nobody else of the route has the say from then on. */
export function withAnswer(
  { consumerNamespace }: Asked,
  request: RequestView,
  { remove, set, vouched }: AnsweredChanges,
): RequestView {
  const { vouched: before = [] } = request;
  const fields = changeFields({ set: pairs(set), add: [], remove }, request.fields, {
    unwritten: before,
    kept: consumerNamespace === undefined ? [] : before,
  });
  return { ...request, fields, vouched: [...before, ...vouched] };
}

function pairs(fields: HeaderFields) {
  return fields.flatMap((name, i) => (i % 2 === 0 ? [{ name, value: fields[i + 1] ?? '' }] : []));
}
