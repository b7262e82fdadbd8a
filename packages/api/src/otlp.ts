/** What an OpenTelemetry collector takes of traces, over gRPC or HTTP: the messages and their bytes. */
import { decodeBounded, encodeWhole } from './codec.ts';
import {
  ExportTraceServiceRequest,
  ExportTraceServiceResponse,
  Span_SpanKind,
  Status_StatusCode,
} from './gen/opentelemetry/trace.ts';
import { MAX_RESOURCE_BYTES } from './limits.ts';

export type {
  AnyValue,
  ExportTraceServiceRequest,
  ExportTraceServiceResponse,
  KeyValue,
  Span,
} from './gen/opentelemetry/trace.ts';
export const SpanKind = Span_SpanKind;
export const SpanStatus = Status_StatusCode;

/** The path of the call, over gRPC. */
export const OTLP_TRACE_EXPORT_PATH = '/opentelemetry.proto.collector.trace.v1.TraceService/Export';

export function encodeTraceExport(request: ExportTraceServiceRequest): Uint8Array {
  return encodeWhole(ExportTraceServiceRequest, request);
}

/** @throws {@link ProtobufError} */
export function decodeTraceExport(bytes: Uint8Array): ExportTraceServiceRequest {
  return decodeBounded(ExportTraceServiceRequest, 'ExportTraceServiceRequest', MAX_RESOURCE_BYTES, bytes);
}

export function encodeTraceAnswer(answer: ExportTraceServiceResponse): Uint8Array {
  return encodeWhole(ExportTraceServiceResponse, answer);
}

/** @throws {@link ProtobufError} */
export function decodeTraceAnswer(bytes: Uint8Array): ExportTraceServiceResponse {
  return decodeBounded(ExportTraceServiceResponse, 'ExportTraceServiceResponse', MAX_RESOURCE_BYTES, bytes);
}
