/** A service that authorizes, from its message. */
import type {
  ExtAuthzGrpc as ExtAuthzGrpcMessage,
  ExtAuthzHttp as ExtAuthzHttpMessage,
} from '@ambit/api/waypoint';
import { atMost, nameOf, portOf, Problem } from '@ambit/model/decode/problem';
import type { ExtAuthzGrpc, ExtAuthzHttp } from '../authorizer.ts';
import { MAX_AUTHORIZATION_BODY_BYTES, MAX_PARTS } from '../limits.ts';
import { durationOf, headerFieldsOf, statusOf, textOf } from './read.ts';

/** Not Istio's: who hangs would hold each request for ten minutes there. */
const DEFAULT_AUTHORIZATION_TIMEOUT_MS = 10_000;

/** What both kinds of external authorization have. */
function extAuthzOf(
  message: ExtAuthzHttpMessage | ExtAuthzGrpcMessage,
): Omit<ExtAuthzGrpc, 'kind' | 'packAsBytes'> {
  return {
    service: serviceOf(message.service),
    port: portOf(message.port, 'port'),
    timeoutMs: durationOf(message.timeoutMs, 'timeout') ?? DEFAULT_AUTHORIZATION_TIMEOUT_MS,
    failOpen: message.failOpen,
    statusOnError: message.statusOnError === 0 ? 403 : statusOf(message.statusOnError, 'statusOnError'),
    maxRequestBytes: Math.min(message.maxRequestBytes, MAX_AUTHORIZATION_BODY_BYTES),
    allowPartialMessage: message.allowPartialMessage,
    includeRequestHeadersInCheck: headerPatternsOf(message.includeRequestHeadersInCheck),
  };
}

/** @throws {@link Problem} */
export function extAuthzGrpcOf(message: ExtAuthzGrpcMessage): ExtAuthzGrpc {
  return { kind: 'ext-authz-grpc', packAsBytes: message.packAsBytes, ...extAuthzOf(message) };
}

/** @throws {@link Problem} */
export function extAuthzHttpOf(message: ExtAuthzHttpMessage): ExtAuthzHttp {
  const prefix = textOf(message.pathPrefix, 'pathPrefix');
  if (!/^[\x21-\x7e]*$/.test(prefix)) throw new Problem(`pathPrefix: ${prefix} is no path`);
  return {
    kind: 'ext-authz-http',
    ...extAuthzOf(message),
    pathPrefix: prefix,
    includeAdditionalHeadersInCheck: headerFieldsOf(
      message.includeAdditionalHeadersInCheck,
      'includeAdditionalHeadersInCheck',
    ),
    headersToUpstreamOnAllow: headerPatternsOf(message.headersToUpstreamOnAllow),
    headersToDownstreamOnDeny: headerPatternsOf(message.headersToDownstreamOnDeny),
    headersToDownstreamOnAllow: headerPatternsOf(message.headersToDownstreamOnAllow),
  };
}

/** Names of headers, or a prefix or suffix of them with `*`. */
function headerPatternsOf(patterns: readonly string[]): readonly string[] {
  return atMost(patterns, MAX_PARTS, 'headers').map((text) => {
    const pattern = nameOf(text, 'headers').toLowerCase();
    if (!/^\*?[!#$%&'+\-.^_`|~0-9a-z]*\*?$/.test(pattern))
      throw new Problem(`headers: ${text} is no header name`);
    return pattern;
  });
}

export function serviceOf(service: string): string {
  if (service === '') throw new Problem('service: missing');
  return nameOf(service, 'service').toLowerCase();
}
