/** What is reported of requests and connections of one service, and to whom: the Telemetry resources that apply, merged. */
import type { TracingPlan } from './tracing/tracing-plan.ts';

export interface TelemetryPlan {
  /** `undefined`: no span. */
  readonly tracing: TracingPlan | undefined;
}
