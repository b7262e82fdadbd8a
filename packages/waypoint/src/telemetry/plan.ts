/**
 * What is reported of requests and connections of one service, and to whom: the Telemetry resources that apply, merged
 * with the mesh's settings. Pure.
 *
 * Istio's rules: what stands nearer to the service comes later and overrides; a rule that names no provider is one for
 * those of the rule before it; only the providers that the nearest rule names are in use at all.
 *
 * Nothing here refuses traffic: what cannot be used is left out and said (`problems`), the rest is done.
 */
import type { MeshSettings } from '../resources/mesh-settings.ts';
import type { Telemetry } from '../resources/telemetry.ts';
import type { OperatorContext } from './access-log/operators.ts';
import { type LogPlan, logPlans } from './access-log/log-plan.ts';
import { type MetricsPlan, metricsPlan } from './metrics/metrics-plan.ts';
import { type TracingPlan, tracingPlan } from './tracing/tracing-plan.ts';

export interface TelemetryPlan {
  /** `undefined`: nothing is counted. */
  readonly metrics: MetricsPlan | undefined;
  /** One line to each. */
  readonly logs: readonly LogPlan[];
  /** `undefined`: no span. */
  readonly tracing: TracingPlan | undefined;
  /** In words for the users who wrote the resources. */
  readonly problems: readonly string[];
}

/** What applies to a port of a service. */
export interface TelemetrySources {
  readonly settings: MeshSettings;
  /** From the nearest to the service to the mesh's own. */
  readonly telemetry: readonly Telemetry[];
}

export function telemetryPlan(
  { settings, telemetry }: TelemetrySources,
  context: OperatorContext,
): TelemetryPlan {
  const problems: string[] = [];
  const fromMeshOn = [...telemetry].reverse();
  return {
    metrics: metricsPlan(settings, fromMeshOn, context.local, problems),
    logs: logPlans(settings, fromMeshOn, context, problems),
    tracing: tracingPlan(settings, fromMeshOn, context.environment, problems),
    problems,
  };
}
