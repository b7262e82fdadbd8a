/** What is decided about the report of a request when it begins, and kept with it until it ends. */
import type { HeaderFields } from '@ambit/http/header-fields';
import type { TelemetryPlan } from './plan.ts';

/** The span that will be reported of a request. Identifiers are hexadecimal, in lower case. */
export interface StartedSpan {
  readonly traceId: string;
  readonly spanId: string;
  /** '' at the root of a trace. */
  readonly parentSpanId: string;
  readonly traceState: string;
}

export interface BegunRequest {
  /** As it was when the request began: who is told of it. */
  readonly plan: TelemetryPlan;
  readonly requestId: string;
  /**
   * To be set on the request as it is sent on, each in place of all fields of its name; filters come after, so that a user
   * may still change them.
   */
  readonly fields: HeaderFields;
  /** '' without tracing. */
  readonly traceId: string;
  /** `undefined`: nothing is reported, as it was not sampled or nobody asked. */
  readonly span: StartedSpan | undefined;
}
