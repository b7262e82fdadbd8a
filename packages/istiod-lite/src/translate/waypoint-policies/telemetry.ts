/** A Telemetry as waypoints are sent it. Pure. One that is wrong is left out whole. */
import type { CustomTag, Telemetry as Wire, WaypointFields } from '@ambit/api/waypoint';
import type {
  AccessLoggingSettings,
  MetricsSettings,
  TagSource,
  Telemetry,
  TracingSettings,
} from '@ambit/kube/resources/telemetry';
import { validateTelemetry } from '../../validate/telemetry.ts';
import { originOf } from '../routes/translated.ts';
import type { Targets } from './targets.ts';

export function waypointTelemetry(telemetry: Telemetry, targets: Targets): WaypointFields<Wire> | undefined {
  if (validateTelemetry(telemetry).errors.length > 0) return undefined;
  const { tracing = [], metrics = [], accessLogging = [] } = telemetry.spec ?? {};
  return {
    origin: originOf('Telemetry', telemetry),
    targets: targets.wire,
    tracing: tracing.map(tracingRule),
    metrics: metrics.map(metricsRule),
    accessLogging: accessLogging.map(accessLogRule),
  };
}

function namesOf(providers: readonly { readonly name: string }[] = []): readonly string[] {
  return providers.map(({ name }) => name);
}

function tracingRule(given: TracingSettings) {
  return {
    mode: given.match?.mode ?? '',
    providers: namesOf(given.providers),
    samplingPercentage: given.randomSamplingPercentage,
    disableSpanReporting: given.disableSpanReporting,
    customTags: Object.entries(given.customTags ?? {}).flatMap(([name, tag]) => customTag(name, tag)),
    useRequestIdForTraceSampling: given.useRequestIdForTraceSampling ?? true,
    enableIstioTags: given.enableIstioTags,
    disableContextPropagation: given.disableContextPropagation,
  };
}

function customTag(
  name: string,
  { literal, environment, header }: TagSource,
): readonly WaypointFields<CustomTag>[] {
  if (literal) return [{ name, kind: { $case: 'literal', value: literal.value } }];
  const defaultValue = environment?.defaultValue ?? header?.defaultValue ?? '';
  if (environment) return [{ name, kind: { $case: 'environment', value: environment.name }, defaultValue }];
  return header ? [{ name, kind: { $case: 'header', value: header.name.toLowerCase() }, defaultValue }] : [];
}

function metricsRule({ providers, overrides = [] }: MetricsSettings) {
  return {
    providers: namesOf(providers),
    overrides: overrides.map(({ match = {}, disabled, tagOverrides = {} }) => ({
      metric: match.customMetric ?? match.metric ?? 'ALL_METRICS',
      mode: match.mode ?? '',
      disabled,
      tags: Object.entries(tagOverrides).map(([name, { operation, value = '' }]) => ({
        name,
        remove: operation === 'REMOVE',
        value,
      })),
    })),
  };
}

function accessLogRule({ match = {}, providers, disabled, filter = {} }: AccessLoggingSettings) {
  return {
    mode: match.mode ?? '',
    providers: namesOf(providers),
    disabled,
    filter: filter.expression ?? '',
  };
}
