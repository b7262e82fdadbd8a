/**
 * Authorization by a service that speaks plain HTTP: it gets the request's method, path and host and some of its headers;
 * 200 lets the request pass, 5xx is a failure, and any other answer goes to the client as it is. As Envoy does it.
 */
import type { HeaderFields } from '@ambit/http/header-fields';
import type { ExtAuthzHttp } from '../resources/authorizer.ts';
import type { RequestView } from '../decide/request-view.ts';
import { fieldsOfAnswer, fieldsToAsk, PARTIAL_BODY, selectedFields } from '../decide/selected-fields.ts';
import { externalChanges, type ExternalVerdict, fieldOf, type KeptBody } from './external.ts';

export interface HttpQuestion {
  readonly method: string;
  readonly authority: string;
  readonly path: string;
  readonly fields: HeaderFields;
  readonly body: Uint8Array;
}

export interface HttpAnswer {
  readonly status: number;
  readonly fields: HeaderFields;
  readonly body: Uint8Array;
}

const NOTHING = new Uint8Array(0);
/** Said whatever the method is: the length of the client's own body is another. */
const NO_CONTENT: HeaderFields = ['content-length', '0'];

export function httpQuestion(
  provider: ExtAuthzHttp,
  request: RequestView,
  body: KeptBody | undefined,
): HttpQuestion {
  const own = new Map(provider.includeAdditionalHeadersInCheck.map(({ name, value }) => [name, value]));
  const sent = fieldsToAsk(provider, request.fields);
  const partial = body === undefined ? [] : [PARTIAL_BODY, String(!body.isWhole)];
  const kept = sent.filter((_, i) => !own.has(sent[i - (i % 2)] ?? ''));
  const isEmpty = body === undefined || body.bytes.length === 0;
  return {
    method: request.method,
    authority: request.authority,
    path: `${provider.pathPrefix}${request.path}`,
    fields: [...kept, ...[...own].flat(), ...partial, ...(isEmpty ? NO_CONTENT : [])],
    body: body?.bytes ?? NOTHING,
  };
}

/** @returns `undefined` when the answer is a failure of the service. */
export function httpVerdict(
  provider: ExtAuthzHttp,
  { status, fields, body }: HttpAnswer,
): ExternalVerdict | undefined {
  if (status >= 500) return undefined;
  if (status !== 200)
    return { kind: 'deny', status, fields: deniedFields(provider, fields), body, failed: false };
  const set = fieldsOfAnswer(fields, provider.headersToUpstreamOnAllow);
  return {
    kind: 'allow',
    changes: externalChanges([], joined(set)),
    query: undefined,
    responseFields: selectedFields(fields, provider.headersToDownstreamOnAllow),
  };
}

/** What every client needs to make sense of the answer. */
const ALWAYS_DENIED: readonly string[] = ['location', 'www-authenticate'];

/** Without a list, all of them. */
function deniedFields({ headersToDownstreamOnDeny: list }: ExtAuthzHttp, fields: HeaderFields): HeaderFields {
  return list.length === 0
    ? selectedFields(fields, ['*'])
    : selectedFields(fields, [...list, ...ALWAYS_DENIED, 'content-type']);
}

/** A name that the answer repeats is one field; what the client sent under it is replaced. */
function joined(fields: HeaderFields): HeaderFields {
  const values = new Map<string, string>();
  for (let i = 0; i < fields.length; i += 2) {
    const field = fieldOf(fields[i] ?? '', fields[i + 1] ?? '');
    if (field === undefined) continue;
    const [name, value] = field;
    const before = values.get(name);
    values.set(name, before === undefined ? value : `${before},${value}`);
  }
  return [...values].flat();
}
