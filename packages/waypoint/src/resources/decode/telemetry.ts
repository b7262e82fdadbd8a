/** A Telemetry from its message. */
import type {
  AccessLogRule as AccessLogRuleMessage,
  CustomTag as CustomTagMessage,
  MetricOverride as MetricOverrideMessage,
  MetricsRule as MetricsRuleMessage,
  Telemetry as TelemetryMessage,
  TracingRule as TracingRuleMessage,
} from '@ambit/api/waypoint';
import { atMost, nameOf, Problem } from '@ambit/model/decode/problem';
import { MAX_PARTS } from '../limits.ts';
import type {
  AccessLogRule,
  CustomTag,
  MetricOverride,
  MetricsRule,
  Telemetry,
  TelemetryMode,
  TracingRule,
} from '../telemetry.ts';
import { originOf, targetsOf, textOf } from './read.ts';

/** @throws {@link Problem} */
export function telemetryOf(key: string, message: TelemetryMessage): Telemetry {
  return {
    key,
    origin: originOf(message.origin),
    targets: targetsOf(message.targets),
    tracing: atMost(message.tracing, MAX_PARTS, 'tracing').map(tracingOf),
    metrics: atMost(message.metrics, MAX_PARTS, 'metrics').map(metricsOf),
    accessLogging: atMost(message.accessLogging, MAX_PARTS, 'accessLogging').map(accessLogOf),
  };
}

function namesOf(names: readonly string[], field: string): readonly string[] {
  return atMost(names, MAX_PARTS, field).map((name) => nameOf(name, field));
}

const MODES: readonly TelemetryMode[] = ['CLIENT', 'SERVER', 'CLIENT_AND_SERVER'];

function modeOf(text: string): TelemetryMode {
  if (text === '') return 'CLIENT_AND_SERVER';
  const mode = MODES.find((known) => known === text);
  if (mode === undefined) throw new Problem(`mode: ${text} is not known`);
  return mode;
}

function tracingOf(message: TracingRuleMessage): TracingRule {
  const sampling = message.samplingPercentage;
  if (sampling !== undefined && !(sampling >= 0 && sampling <= 100)) {
    throw new Problem(`samplingPercentage: ${sampling} is no percentage`);
  }
  return {
    mode: modeOf(message.mode),
    providers: namesOf(message.providers, 'tracing'),
    samplingPercentage: sampling,
    disabled: message.disableSpanReporting,
    customTags: atMost(message.customTags, MAX_PARTS, 'customTags').map(customTagOf),
    useRequestIdForTraceSampling: message.useRequestIdForTraceSampling,
    istioTags: message.enableIstioTags,
    disableContextPropagation: message.disableContextPropagation,
  };
}

function customTagOf({ name, kind, defaultValue }: CustomTagMessage): CustomTag {
  if (kind === undefined) throw new Problem(`customTags: ${name} has no value`);
  const text = textOf(kind.value, 'customTags');
  return {
    name: nameOf(name, 'customTags'),
    kind: kind.$case,
    text: kind.$case === 'header' ? text.toLowerCase() : text,
    defaultValue: textOf(defaultValue, 'customTags'),
  };
}

function metricsOf({ providers, overrides }: MetricsRuleMessage): MetricsRule {
  return {
    providers: namesOf(providers, 'metrics'),
    overrides: atMost(overrides, MAX_PARTS, 'overrides').map(overrideOf),
  };
}

function overrideOf({ metric, mode, disabled, tags }: MetricOverrideMessage): MetricOverride {
  return {
    metric: nameOf(metric, 'overrides'),
    mode: modeOf(mode),
    disabled,
    tags: atMost(tags, MAX_PARTS, 'tags').map(({ name, remove, value }) => ({
      name: nameOf(name, 'tags'),
      remove,
      value: textOf(value, 'tags'),
    })),
  };
}

function accessLogOf({ mode, providers, disabled, filter }: AccessLogRuleMessage): AccessLogRule {
  return {
    mode: modeOf(mode),
    providers: namesOf(providers, 'accessLogging'),
    disabled,
    filter: textOf(filter, 'filter'),
  };
}
