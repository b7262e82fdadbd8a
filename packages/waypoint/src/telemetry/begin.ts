/** What is decided about the report of a request when it begins: its id, and whether it is traced. */
import type { Random } from '@ambit/core/clock';
import { fieldValue, type HeaderFields } from '@ambit/http/header-fields';
import type { BegunRequest } from './begun.ts';
import type { Identifiers } from './identifiers.ts';
import type { TelemetryPlan } from './plan.ts';
import { acceptedRequestId, isTracedBy, withDecision } from './request-id.ts';
import { readTrace, type TraceFormat, traceFields } from './tracing/trace-context.ts';
import type { TracingPlan } from './tracing/tracing-plan.ts';

/** What a collector's clients speak; what a request already uses is spoken as well. */
const OWN_FORMAT: Readonly<Record<TracingPlan['tracer']['kind'], TraceFormat>> = {
  opentelemetry: 'w3c',
  zipkin: 'b3-multi',
};

/** @param fields - Of the request, as the client sent it. */
export function beginRequest(
  plan: TelemetryPlan,
  fields: HeaderFields,
  identifiers: Identifiers,
  random: Random,
): BegunRequest {
  const sent = fieldValue(fields, 'x-request-id');
  const accepted = acceptedRequestId(sent);
  const id = accepted ?? identifiers.requestId();
  const { tracing } = plan;
  if (!tracing) {
    return {
      plan,
      requestId: id,
      fields: id === sent ? [] : ['x-request-id', id],
      traceId: '',
      span: undefined,
    };
  }
  const incoming = readTrace(fields);
  const told =
    incoming.sampled ?? (tracing.usesRequestId && accepted && isTracedBy(accepted) ? true : undefined);
  const sampled = told ?? random() < tracing.sampling;
  const span = {
    traceId: incoming.context?.traceId ?? identifiers.traceId(),
    spanId: identifiers.spanId(),
    parentSpanId: incoming.context?.spanId ?? '',
    traceState: incoming.context?.state ?? '',
  };
  const requestId = tracing.usesRequestId ? withDecision(id, sampled) : id;
  const formats = [OWN_FORMAT[tracing.tracer.kind], ...incoming.formats];
  const trace = { ...span, sampled, state: span.traceState };
  return {
    plan,
    requestId,
    fields: [
      ...(requestId === sent ? [] : ['x-request-id', requestId]),
      ...(tracing.tellsContext ? traceFields(trace, formats) : []),
    ],
    traceId: span.traceId,
    span: sampled ? span : undefined,
  };
}
