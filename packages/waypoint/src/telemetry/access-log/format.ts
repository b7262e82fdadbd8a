/**
 * Log formats with Envoy's % operators: their syntax. Pure. What the operators stand for is in operators.ts.
 *
 * `%NAME%`, `%NAME(ARGUMENT)%`, `%NAME(ARGUMENT):LENGTH%`, `%%` for a percent sign.
 */
import { MAX_FORMAT_CHARS, MAX_FORMAT_OPERATORS } from '../limits.ts';

export type FormatPart =
  | { readonly kind: 'text'; readonly text: string }
  | {
      readonly kind: 'operator';
      readonly name: string;
      /** `undefined` without parentheses. */
      readonly argument: string | undefined;
      /** In characters. */
      readonly maxLength: number | undefined;
    };

export interface ParsedFormat {
  readonly parts: readonly FormatPart[];
  /** For the user: what could not be read; it stands in the line as it is written. */
  readonly problems: readonly string[];
}

/** An argument ends with the first bracket that an operator can end with: it may hold percent signs. */
const OPERATOR = /%(?:%|([A-Z][A-Z0-9_]*)(?:\((.*?)\))?(?::(\d{1,6}))?%)/gs;

/** Never throws. A format beyond the limits ends there. */
export function parseFormat(format: string): ParsedFormat {
  const problems: string[] = [];
  if (format.length > MAX_FORMAT_CHARS) problems.push(`format longer than ${MAX_FORMAT_CHARS} characters`);
  const source = format.slice(0, MAX_FORMAT_CHARS);
  const parts: FormatPart[] = [];
  let at = 0;
  let operators = 0;
  for (const match of source.matchAll(OPERATOR)) {
    if (match.index > at) parts.push(textPart(source.slice(at, match.index), problems));
    at = match.index + match[0].length;
    const [, name, argument, length] = match;
    if (name === undefined) parts.push({ kind: 'text', text: '%' });
    else if (operators === MAX_FORMAT_OPERATORS) {
      problems.push(`more than ${MAX_FORMAT_OPERATORS} operators`);
      return { parts, problems };
    } else {
      operators += 1;
      parts.push({
        kind: 'operator',
        name,
        argument,
        maxLength: length === undefined ? undefined : Number(length),
      });
    }
  }
  if (at < source.length) parts.push(textPart(source.slice(at), problems));
  return { parts, problems };
}

function textPart(text: string, problems: string[]): FormatPart {
  if (text.includes('%'))
    problems.push(`no operator can be read at: ${text.slice(text.indexOf('%')).slice(0, 40)}`);
  return { kind: 'text', text };
}

/** Istio's, for what a user leaves open. */
export const DEFAULT_TEXT_FORMAT =
  '[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% ' +
  '%RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% ' +
  '"%UPSTREAM_TRANSPORT_FAILURE_REASON%" %BYTES_RECEIVED% %BYTES_SENT% %DURATION% ' +
  '%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" "%REQ(X-REQUEST-ID)%" ' +
  '"%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%" %UPSTREAM_CLUSTER_RAW% %UPSTREAM_LOCAL_ADDRESS% ' +
  '%DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS% %REQUESTED_SERVER_NAME% %ROUTE_NAME%\n';

export const DEFAULT_JSON_FORMAT: ReadonlyMap<string, string> = new Map([
  ['start_time', '%START_TIME%'],
  ['route_name', '%ROUTE_NAME%'],
  ['method', '%REQ(:METHOD)%'],
  ['path', '%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%'],
  ['protocol', '%PROTOCOL%'],
  ['response_code', '%RESPONSE_CODE%'],
  ['response_flags', '%RESPONSE_FLAGS%'],
  ['response_code_details', '%RESPONSE_CODE_DETAILS%'],
  ['connection_termination_details', '%CONNECTION_TERMINATION_DETAILS%'],
  ['bytes_received', '%BYTES_RECEIVED%'],
  ['bytes_sent', '%BYTES_SENT%'],
  ['duration', '%DURATION%'],
  ['upstream_service_time', '%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%'],
  ['x_forwarded_for', '%REQ(X-FORWARDED-FOR)%'],
  ['user_agent', '%REQ(USER-AGENT)%'],
  ['request_id', '%REQ(X-REQUEST-ID)%'],
  ['authority', '%REQ(:AUTHORITY)%'],
  ['upstream_host', '%UPSTREAM_HOST%'],
  ['upstream_cluster', '%UPSTREAM_CLUSTER_RAW%'],
  ['upstream_local_address', '%UPSTREAM_LOCAL_ADDRESS%'],
  ['downstream_local_address', '%DOWNSTREAM_LOCAL_ADDRESS%'],
  ['downstream_remote_address', '%DOWNSTREAM_REMOTE_ADDRESS%'],
  ['requested_server_name', '%REQUESTED_SERVER_NAME%'],
  ['upstream_transport_failure_reason', '%UPSTREAM_TRANSPORT_FAILURE_REASON%'],
]);
