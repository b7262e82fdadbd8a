/** Spans as Zipkin takes them: JSON of its version 2. Pure. */
import { parseHostPort } from '@ambit/core/ip';
import type { Tracer } from '../../resources/mesh-settings.ts';
import type { SpanProtocol } from './collector.ts';
import type { Span } from './span.ts';

const DEFAULT_PATH = '/api/v2/spans';

export interface ZipkinOptions {
  /** `name.namespace` of the waypoint. */
  readonly serviceName: string;
  /** The waypoint's own address; '' for none. */
  readonly ip: string;
}

export function zipkinProtocol(tracer: Tracer, options: ZipkinOptions): SpanProtocol {
  const path = tracer.path === '' ? DEFAULT_PATH : tracer.path;
  return {
    requestFor: (spans) => ({
      path,
      http2: false,
      fields: ['content-type', 'application/json'],
      body: Buffer.from(JSON.stringify(spans.map((span) => zipkinSpan(span, options)))),
    }),
    outcomeOf: ({ status }, spans) =>
      status >= 200 && status <= 299
        ? { refused: 0, problem: undefined }
        : { refused: spans, problem: `collector answered ${status}` },
  };
}

function zipkinSpan(span: Span, { serviceName, ip }: ZipkinOptions): object {
  const tags = Object.fromEntries(span.tags);
  const peer = parseHostPort(tags['peer.address'] ?? '')?.ip ?? tags['peer.address'];
  return {
    traceId: span.traceId,
    id: span.spanId,
    ...(span.parentSpanId === '' ? {} : { parentId: span.parentSpanId }),
    name: span.name.toLowerCase(),
    kind: 'SERVER',
    // Microseconds; Zipkin takes no span without any duration.
    timestamp: Math.round(span.startedAtMs * 1_000),
    duration: Math.max(1, Math.round(span.durationMs * 1_000)),
    localEndpoint: { serviceName, ...address(ip) },
    ...(peer === undefined ? {} : { remoteEndpoint: address(peer) }),
    tags,
  };
}

function address(ip: string): object {
  if (ip === '') return {};
  return ip.includes(':') ? { ipv6: ip } : { ipv4: ip };
}
