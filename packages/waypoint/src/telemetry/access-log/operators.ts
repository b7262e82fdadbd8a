/**
 * What Envoy's % operators stand for, of a request or connection that has ended. Pure.
 *
 * A value that is missing is `undefined`: `-` in text, `null` in JSON. Numbers stay numbers for JSON. An operator that is
 * not known here, or not to a waypoint, is always missing, and said once to whoever compiles the format.
 */
import { parseHostPort } from '@ambit/core/ip';
import { fieldValue, textOfOctets } from '@ambit/http/header-fields';
import { type AnyRecord, isRequest, recordAttributes, type LocalNames } from '../expression/attributes.ts';
import { compileExpression, textOf } from '@ambit/model/expression/compile';
import { protocolOf } from '../../decide/request-view.ts';
import { grpcStatusName, grpcStatusOf } from '../grpc-status.ts';
import type { RequestRecord } from '../record.ts';
import { flagWords } from '../response-flags.ts';
import { clusterNameOf } from '../upstream-cluster.ts';
import type { FormatPart } from './format.ts';
import { formatTime, millisecondsIso } from './time.ts';

export type LogValue = string | number | undefined;
export type ReadValue = (record: AnyRecord) => LogValue;

type Operator = Extract<FormatPart, { readonly kind: 'operator' }>;

/** Without argument, of anything. */
const PLAIN: Readonly<Record<string, ReadValue>> = {
  RESPONSE_FLAGS: ({ flags }) => flags,
  RESPONSE_FLAGS_LONG: ({ flags }) => flagWords(flags),
  RESPONSE_CODE_DETAILS: ({ details }) => filled(details)?.replaceAll(/\s/g, '_'),
  CONNECTION_TERMINATION_DETAILS: ofRequest((record) => filled(record.terminationDetails)),
  UPSTREAM_TRANSPORT_FAILURE_REASON: ({ transportFailure }) =>
    filled(transportFailure)?.replaceAll(/\s/g, '_'),
  DURATION: ({ durationMs }) => Math.round(durationMs),
  ROUNDTRIP_DURATION: ({ durationMs }) => Math.round(durationMs),
  UPSTREAM_HOST: ({ addresses }) => filled(addresses.upstream),
  UPSTREAM_CLUSTER: (record) => filled(clusterNameOf(record)),
  UPSTREAM_CLUSTER_RAW: (record) => filled(clusterNameOf(record)),
  ...addressOperators('UPSTREAM_REMOTE', ({ addresses }) => addresses.upstream),
  ...addressOperators('UPSTREAM_LOCAL', ({ addresses }) => addresses.upstreamLocal),
  ...addressOperators('DOWNSTREAM_LOCAL', ({ addresses }) => addresses.downstreamLocal),
  ...addressOperators('DOWNSTREAM_REMOTE', ({ addresses }) => addresses.downstreamRemote),
  ...addressOperators('DOWNSTREAM_DIRECT_REMOTE', ({ addresses }) => addresses.downstreamRemote),
  DOWNSTREAM_PEER_URI_SAN: ({ source }) => filled(source.principal),
  UPSTREAM_PEER_URI_SAN: ({ destination }) => filled(destination?.principal),
  REQUESTED_SERVER_NAME: ({ serverName }) => filled(serverName),
  ROUTE_NAME: ({ routeName }) => filled(routeName),
  CONNECTION_ID: ({ connectionId }) => connectionId,
  PROTOCOL: ofRequest(({ request }) => protocolOf(request)),
  RESPONSE_CODE: (record) => (isRequest(record) ? record.status : 0),
  BYTES_RECEIVED: (record) => (isRequest(record) ? record.requestBodyBytes : record.receivedBytes),
  BYTES_SENT: (record) => (isRequest(record) ? record.responseBodyBytes : record.sentBytes),
  REQUEST_HEADERS_BYTES: ofRequest((record) => record.requestHeaderBytes),
  RESPONSE_HEADERS_BYTES: ofRequest((record) => record.responseHeaderBytes),
  REQUEST_DURATION: ofRequest(({ requestDurationMs }) => rounded(requestDurationMs)),
  REQUEST_TX_DURATION: ofRequest(({ requestDurationMs }) => rounded(requestDurationMs)),
  RESPONSE_DURATION: ofRequest(({ responseStartMs }) => rounded(responseStartMs)),
  RESPONSE_TX_DURATION: ofRequest(({ durationMs, responseStartMs }) =>
    responseStartMs === undefined ? undefined : rounded(durationMs - responseStartMs),
  ),
  UPSTREAM_REQUEST_ATTEMPT_COUNT: ofRequest(({ attempts }) => attempts),
  TRACE_ID: ofRequest(({ begun }) => filled(begun.traceId)),
  SPAN_ID: ofRequest(({ begun }) => begun.span?.spanId),
  GRPC_STATUS_NUMBER: ofRequest(grpcStatusOf),
};

const GRPC_FORMS = ['CAMEL_STRING', 'SNAKE_STRING', 'NUMBER'] as const;

export type CompiledOperator =
  | { readonly kind: 'value'; readonly read: ReadValue }
  | { readonly kind: 'problem'; readonly problem: string };

export interface OperatorContext {
  readonly local: LocalNames;
  readonly hostname: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

export function compileOperator(operator: Operator, context: OperatorContext): CompiledOperator {
  const compiled =
    operator.argument === undefined
      ? plain(operator, context)
      : withArgument(operator, operator.argument, context);
  if (typeof compiled === 'string') return { kind: 'problem', problem: compiled };
  const { maxLength } = operator;
  if (maxLength === undefined) return { kind: 'value', read: compiled };
  const read: ReadValue = (record) => {
    const value = compiled(record);
    return typeof value === 'string' ? value.slice(0, maxLength) : value;
  };
  return { kind: 'value', read };
}

/** @returns what it reads, or why it is none. */
function plain({ name }: Operator, { hostname }: OperatorContext): ReadValue | string {
  if (Object.hasOwn(PLAIN, name)) return PLAIN[name] as ReadValue;
  switch (name) {
    case 'HOSTNAME':
      return () => filled(hostname);
    case 'START_TIME':
      return ({ startedAtMs }) => millisecondsIso(startedAtMs);
    case 'EMIT_TIME':
      return ({ startedAtMs, durationMs }) => millisecondsIso(startedAtMs + durationMs);
    case 'GRPC_STATUS':
      return grpcStatus('CAMEL_STRING');
    default:
      return `%${name}% is not known to a waypoint`;
  }
}

function withArgument({ name }: Operator, argument: string, context: OperatorContext): ReadValue | string {
  switch (name) {
    case 'REQ':
      return header(argument, requestField);
    case 'REQ_WITHOUT_QUERY': {
      const read = header(argument, requestField);
      return (record) => withoutQuery(read(record));
    }
    case 'RESP':
      return header(argument, (record, field) =>
        field === ':status'
          ? statusText(record)
          : (fieldValue(record.responseFields, field) ?? added(record, field)),
      );
    case 'TRAILER':
      return header(argument, ({ trailers }, field) => trailers && fieldValue(trailers, field));
    case 'START_TIME':
      return ({ startedAtMs }) => formatTime(startedAtMs, argument);
    case 'EMIT_TIME':
      return ({ startedAtMs, durationMs }) => formatTime(startedAtMs + durationMs, argument);
    case 'GRPC_STATUS': {
      const form = GRPC_FORMS.find((one) => one === argument) ?? 'CAMEL_STRING';
      return grpcStatus(form);
    }
    case 'ENVIRONMENT': {
      const value = context.environment[argument];
      return () => value;
    }
    case 'DYNAMIC_METADATA':
      return dynamicMetadata(argument);
    case 'CEL':
      return expression(argument, context.local);
    case 'FILTER_STATE': {
      const [state, , field] = argument.split(':');
      return expression(`filter_state.${state}.${field}`, context.local);
    }
    default:
      return `%${name}(${argument})% is not known to a waypoint`;
  }
}

function expression(source: string, local: LocalNames): ReadValue | string {
  const compiled = compileExpression(source, recordAttributes(local));
  switch (compiled.kind) {
    case 'problem':
      return `${source}: ${compiled.problem}`;
    case 'constant':
      return () => textOf(compiled.value);
    case 'expression':
      return (record) => {
        const value = compiled.evaluate(record);
        return typeof value === 'number' ? value : textOf(value);
      };
  }
}

/** Where Envoy keeps what services that authorize tell. */
const AUTHORIZER_METADATA = 'envoy.filters.http.ext_authz';

/** `NAMESPACE`, or `NAMESPACE:KEY:KEY…` for what is within. */
function dynamicMetadata(argument: string): ReadValue | string {
  const [namespace, ...keys] = argument.split(':').map((part) => part.trim());
  if (namespace !== AUTHORIZER_METADATA) return `%DYNAMIC_METADATA(${argument})% is not known to a waypoint`;
  return ofRequest(({ authorizerMetadata }) => {
    let found: unknown = authorizerMetadata;
    for (const key of keys) found = ownValue(found, key);
    if (found === undefined || typeof found === 'string' || typeof found === 'number') return found;
    return JSON.stringify(found);
  });
}

function ownValue(value: unknown, key: string): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
  return Object.hasOwn(value, key) ? (value as Readonly<Record<string, unknown>>)[key] : undefined;
}

/** `NAME`, or `NAME?OTHER` for the second where the first is not there. */
function header(
  argument: string,
  field: (record: RequestRecord, name: string) => string | undefined,
): ReadValue {
  const [first = '', second] = argument.split('?').map((name) => name.trim().toLowerCase());
  return ofRequest((record) => {
    const value = field(record, first) ?? (second === undefined ? undefined : field(record, second));
    return value === undefined ? undefined : textOfOctets(value);
  });
}

/** Of the request as it was sent on; what the client sent where it was not. */
function requestField(record: RequestRecord, name: string): string | undefined {
  const { request, sent } = record;
  const { authority, path, fields } = sent ?? request;
  switch (name) {
    case ':method':
      return filled(request.method);
    case ':authority':
    case 'host':
      return filled(authority);
    case ':path':
      return filled(path);
    case ':scheme':
      return request.scheme;
    // Envoy adds this one when it changes the path.
    case 'x-envoy-original-path':
      return sent && sent.path !== request.path ? request.path : fieldValue(fields, name);
    case 'x-request-id':
      return fieldValue(fields, name) ?? filled(record.begun.requestId);
    default:
      return fieldValue(fields, name);
  }
}

/** What Envoy would have added to a response. */
function added({ upstreamMs }: RequestRecord, name: string): string | undefined {
  return name === 'x-envoy-upstream-service-time' && upstreamMs !== undefined
    ? String(Math.round(upstreamMs))
    : undefined;
}

function statusText({ status }: RequestRecord): string | undefined {
  return status === 0 ? undefined : String(status);
}

function grpcStatus(form: (typeof GRPC_FORMS)[number]): ReadValue {
  return ofRequest((record) => {
    const status = grpcStatusOf(record);
    if (status === undefined) return undefined;
    return form === 'NUMBER' ? status : grpcStatusName(status, form);
  });
}

function addressOperators(prefix: string, read: (record: AnyRecord) => string): Record<string, ReadValue> {
  return {
    [`${prefix}_ADDRESS`]: (record) => filled(read(record)),
    [`${prefix}_ADDRESS_WITHOUT_PORT`]: (record) => parseHostPort(read(record))?.ip,
    [`${prefix}_PORT`]: (record) => parseHostPort(read(record))?.port,
  };
}

function ofRequest(read: (record: RequestRecord) => LogValue): ReadValue {
  return (record) => (isRequest(record) ? read(record) : undefined);
}

function withoutQuery(value: LogValue): LogValue {
  return typeof value === 'string' ? value.replace(/\?.*$/s, '') : value;
}

function filled(text: string | undefined): string | undefined {
  return text === '' ? undefined : text;
}

function rounded(ms: number | undefined): number | undefined {
  return ms === undefined ? undefined : Math.round(ms);
}
