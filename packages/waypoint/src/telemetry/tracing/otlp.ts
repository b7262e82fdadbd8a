/** Spans as an OpenTelemetry collector takes them: protobuf over gRPC or HTTP. Pure. */
import {
  decodeTraceAnswer,
  encodeTraceExport,
  type KeyValue,
  OTLP_TRACE_EXPORT_PATH,
  SpanKind,
  SpanStatus,
} from '@ambit/api/otlp';
import { messageOf } from '@ambit/core/errors';
import { GRPC_REQUEST_FIELDS, grpcField, grpcFrame, grpcMessage } from '../../grpc.ts';
import type { Tracer } from '../../resources/mesh-settings.ts';
import type { CollectorAnswer, CollectorRequest, ExportOutcome, SpanProtocol } from './collector.ts';
import type { Span } from './span.ts';

const NOTHING = new Uint8Array(0);

/** @param serviceName - Who tells: `name.namespace` of the waypoint. */
export function otlpProtocol(tracer: Tracer, serviceName: string): SpanProtocol {
  const grpc = tracer.path === '';
  return {
    requestFor: (spans) => {
      const message = encodeSpans(spans, serviceName);
      return grpc ? grpcRequest(message) : httpRequest(tracer.path, message);
    },
    outcomeOf: grpc ? grpcOutcome : httpOutcome,
  };
}

function encodeSpans(spans: readonly Span[], serviceName: string): Uint8Array {
  return encodeTraceExport({
    resourceSpans: [
      {
        resource: { attributes: [attribute('service.name', serviceName)] },
        scopeSpans: [{ scope: { name: 'ambit-waypoint', version: '' }, spans: spans.map(encodedSpan) }],
      },
    ],
  });
}

function encodedSpan(span: Span) {
  const start = nanoseconds(span.startedAtMs);
  return {
    traceId: Buffer.from(span.traceId, 'hex'),
    spanId: Buffer.from(span.spanId, 'hex'),
    parentSpanId: Buffer.from(span.parentSpanId, 'hex'),
    traceState: span.traceState,
    name: span.name,
    kind: SpanKind.SPAN_KIND_SERVER,
    startTimeUnixNano: start,
    endTimeUnixNano: start + nanoseconds(span.durationMs),
    attributes: span.tags.map(([name, value]) => attribute(name, value)),
    status: span.isError ? { message: '', code: SpanStatus.STATUS_CODE_ERROR } : undefined,
  };
}

function attribute(key: string, value: string): KeyValue {
  return { key, value: { value: { $case: 'stringValue', value } } };
}

function nanoseconds(ms: number): bigint {
  return BigInt(Math.round(Math.max(0, ms) * 1_000)) * 1_000n;
}

function httpRequest(path: string, body: Uint8Array): CollectorRequest {
  return { path, http2: false, fields: ['content-type', 'application/x-protobuf'], body };
}

function grpcRequest(message: Uint8Array): CollectorRequest {
  return {
    path: OTLP_TRACE_EXPORT_PATH,
    http2: true,
    fields: GRPC_REQUEST_FIELDS,
    body: grpcFrame(message),
  };
}

function httpOutcome({ status, body }: CollectorAnswer, spans: number): ExportOutcome {
  if (status < 200 || status > 299) return { refused: spans, problem: `collector answered ${status}` };
  return partialOutcome(body);
}

function grpcOutcome(answer: CollectorAnswer, spans: number): ExportOutcome {
  const { status, body } = answer;
  const grpcStatus = grpcField(answer, 'grpc-status');
  if (status !== 200 || grpcStatus !== '0') {
    const said = grpcStatus === undefined ? `status ${status}` : `gRPC status ${grpcStatus}`;
    return { refused: spans, problem: `collector answered ${said}` };
  }
  return partialOutcome(grpcMessage(body) ?? NOTHING);
}

/** A collector may take some spans and refuse others. */
function partialOutcome(body: Uint8Array): ExportOutcome {
  try {
    const partial = decodeTraceAnswer(body).partialSuccess;
    const refused = Number(partial?.rejectedSpans ?? 0n);
    return { refused, problem: refused > 0 ? `collector refused: ${partial?.errorMessage}` : undefined };
  } catch (error) {
    // It took them; what it said besides cannot be read.
    return { refused: 0, problem: messageOf(error) };
  }
}
