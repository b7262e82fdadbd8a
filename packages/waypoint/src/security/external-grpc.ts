/** Authorization by a service that speaks envoy.service.auth.v3: the question and the answer. */
import { isUtf8 } from 'node:buffer';
import {
  type CheckRequest,
  type CheckResponse,
  createCheckRequest,
  HeaderAppendAction,
  type HeaderValueOption,
  type OkHttpResponse,
} from '@ambit/api/external-authorization';
import { type HeaderFields, textOfOctets } from '@ambit/http/header-fields';
import { headerOf, pathOnly, protocolOf, type RequestView } from '../decide/request-view.ts';
import { fieldsToAsk, PARTIAL_BODY } from '../decide/selected-fields.ts';
import type { ExtAuthzGrpc } from '../resources/authorizer.ts';
import { isForOthers } from '../resources/protected-fields.ts';
import {
  externalChanges,
  type ExternalQuestion,
  type ExternalVerdict,
  fieldOf,
  type KeptBody,
  type QueryChanges,
} from './external.ts';

export function checkRequest(provider: ExtAuthzGrpc, question: ExternalQuestion): CheckRequest {
  const { subject, body, ownIdentity, nowMs } = question;
  const { connection, request } = subject;
  const { destination, identity, sourceIp, sni } = connection;
  return createCheckRequest({
    attributes: {
      source: {
        address: { socketAddress: { address: sourceIp, portValue: 0 } },
        principal: identity ?? '',
      },
      destination: {
        address: { socketAddress: { address: destination.ip, portValue: destination.port } },
        principal: ownIdentity,
      },
      request: {
        time: new Date(nowMs),
        http: request && httpRequest(provider, request, body),
      },
      tlsSession: sni === undefined ? undefined : { sni },
    },
  });
}

function httpRequest(provider: ExtAuthzGrpc, request: RequestView, body: KeptBody | undefined) {
  const { method, path, authority, scheme } = request;
  const only = pathOnly(path);
  const length = headerOf(request, 'content-length');
  return {
    id: headerOf(request, 'x-request-id') ?? '',
    method,
    headers: headerMap(provider, request, body),
    path,
    host: authority,
    scheme,
    query: path.slice(only.length + 1),
    size: length !== undefined && /^[0-9]{1,15}$/.test(length) ? BigInt(length) : -1n,
    protocol: protocolOf(request),
    ...bodyFields(provider, body),
  };
}

const NOTHING = new Uint8Array(0);

/**
 * As text or as bytes, as the provider says. What is no text cannot be one in a message of gRPC: Envoy has its service fail
 * to read the question. Here the bytes go beside the text that comes nearest, so that who must know them exactly does.
 */
function bodyFields({ packAsBytes }: ExtAuthzGrpc, body: KeptBody | undefined) {
  const bytes = body?.bytes ?? NOTHING;
  if (packAsBytes) return { body: '', rawBody: bytes };
  return {
    body: new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes),
    rawBody: isUtf8(bytes) ? NOTHING : bytes,
  };
}

/** Field values are Latin-1 here, and must be text there. */
function headerMap(
  provider: ExtAuthzGrpc,
  request: RequestView,
  body: KeptBody | undefined,
): Map<string, string> {
  const { method, path, authority, scheme } = request;
  const pseudo = [':method', method, ':path', path, ':authority', authority, ':scheme', scheme];
  const fields = fieldsToAsk(provider, [...pseudo, ...request.fields]);
  const headers = new Map<string, string>();
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i] ?? '';
    const value = textOfOctets(fields[i + 1] ?? '');
    const before = headers.get(name);
    headers.set(name, before === undefined ? value : `${before},${value}`);
  }
  if (body) headers.set(PARTIAL_BODY, String(!body.isWhole));
  return headers;
}

/** What the answer makes of the request. */
export function checkVerdict(response: CheckResponse, request: RequestView | undefined): ExternalVerdict {
  const { status, httpResponse, dynamicMetadata: metadata } = response;
  if ((status?.code ?? 0) !== 0) {
    const denied = httpResponse?.$case === 'deniedResponse' ? httpResponse.value : undefined;
    return {
      kind: 'deny',
      status: deniedStatus(denied?.status?.code ?? 0),
      fields: clientFields(denied?.headers ?? []),
      body: Buffer.from(denied?.body ?? '', 'utf8'),
      failed: false,
      metadata,
    };
  }
  const ok = httpResponse?.$case === 'okResponse' ? httpResponse.value : undefined;
  const remove = (ok?.headersToRemove ?? []).map((name) => name.toLowerCase()).filter(isForOthers);
  return {
    kind: 'allow',
    changes: externalChanges(remove, requestFields(ok?.headers ?? [], request, remove)),
    query: ok && queryChanges(ok),
    responseFields: clientFields(ok?.responseHeadersToAdd ?? []),
    metadata,
  };
}

function queryChanges({
  queryParametersToSet,
  queryParametersToRemove,
}: OkHttpResponse): QueryChanges | undefined {
  if (queryParametersToSet.length + queryParametersToRemove.length === 0) return undefined;
  return {
    set: queryParametersToSet.map(({ key, value }) => [key, value] as const),
    remove: queryParametersToRemove,
  };
}

/** A status that HTTP has for a final answer; anything else is 403. */
function deniedStatus(code: number): number {
  return code >= 200 && code <= 599 ? code : 403;
}

/** Fields for the request, each to be set in place of what is there: one that is appended to stands with what was there. */
function requestFields(
  options: readonly HeaderValueOption[],
  request: RequestView | undefined,
  removed: readonly string[],
): HeaderFields {
  const values = new Map<string, string>();
  for (const option of options) {
    const field = headerField(option);
    if (field === undefined) continue;
    const [name, value] = field;
    const sent = request && !removed.includes(name) ? headerOf(request, name) : undefined;
    const result = applied(actionOf(option), values.get(name) ?? sent, value);
    if (result !== undefined) values.set(name, result);
  }
  return [...values].flat();
}

/** Without a word, a field of the request is replaced. */
function actionOf({ append, appendAction }: HeaderValueOption): Action {
  if (append !== undefined) return append ? 'append' : 'set';
  return ACTIONS[appendAction] ?? 'set';
}

type Action = 'append' | 'set' | 'add-if-absent' | 'set-if-there';

const ACTIONS: Readonly<Record<number, Action>> = {
  [HeaderAppendAction.ADD_IF_ABSENT]: 'add-if-absent',
  [HeaderAppendAction.OVERWRITE_IF_EXISTS_OR_ADD]: 'set',
  [HeaderAppendAction.OVERWRITE_IF_EXISTS]: 'set-if-there',
};

function applied(action: Action, before: string | undefined, value: string): string | undefined {
  switch (action) {
    case 'append':
      return before === undefined ? value : `${before},${value}`;
    case 'set':
      return value;
    case 'add-if-absent':
      return before === undefined ? value : undefined;
    case 'set-if-there':
      return before === undefined ? undefined : value;
    default:
      return action satisfies never;
  }
}

/** Fields for the client: repeated ones stay apart, as Set-Cookie must. */
function clientFields(options: readonly HeaderValueOption[]): HeaderFields {
  return options.flatMap((option) => headerField(option) ?? []);
}

function headerField({ header }: HeaderValueOption): readonly [name: string, value: string] | undefined {
  if (header === undefined) return undefined;
  const raw = header.rawValue.length > 0 ? Buffer.from(header.rawValue) : Buffer.from(header.value, 'utf8');
  return fieldOf(header.key, raw.toString('latin1'));
}
