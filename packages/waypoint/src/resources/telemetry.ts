/** Telemetry: which requests are traced, measured and logged, and by whom. */
import type { Origin } from './origin.ts';
import type { PolicyTarget } from './policy-target.ts';

export interface Telemetry {
  /** `namespace/name`. */
  readonly key: string;
  readonly origin: Origin;
  /** None: for its namespace, or for the whole mesh when that is the root namespace. */
  readonly targets: readonly PolicyTarget[];
  readonly tracing: readonly TracingRule[];
  readonly metrics: readonly MetricsRule[];
  readonly accessLogging: readonly AccessLogRule[];
}

/** Which side of a hop is meant; a waypoint heeds `SERVER` and `CLIENT_AND_SERVER`. */
export type TelemetryMode = 'CLIENT' | 'SERVER' | 'CLIENT_AND_SERVER';

export interface TracingRule {
  readonly mode: TelemetryMode;
  readonly providers: readonly string[];
  /** 0 to 100; `undefined`: the default. */
  readonly samplingPercentage: number | undefined;
  readonly disabled: boolean | undefined;
  readonly customTags: readonly CustomTag[];
  readonly useRequestIdForTraceSampling: boolean;
  /** `undefined`: the default, as of what follows. */
  readonly istioTags: boolean | undefined;
  readonly disableContextPropagation: boolean | undefined;
}

export interface CustomTag {
  readonly name: string;
  /** `text` is the value itself, or the name of an environment variable or header. */
  readonly kind: 'literal' | 'environment' | 'header';
  readonly text: string;
  readonly defaultValue: string;
}

export interface MetricsRule {
  readonly providers: readonly string[];
  readonly overrides: readonly MetricOverride[];
}

export interface MetricOverride {
  /** `REQUEST_COUNT` and the like, `ALL_METRICS`, or a custom name. */
  readonly metric: string;
  readonly mode: TelemetryMode;
  readonly disabled: boolean | undefined;
  readonly tags: readonly TagOverride[];
}

export interface TagOverride {
  readonly name: string;
  readonly remove: boolean;
  /** CEL, as the user wrote it. */
  readonly value: string;
}

export interface AccessLogRule {
  readonly mode: TelemetryMode;
  readonly providers: readonly string[];
  readonly disabled: boolean | undefined;
  /** CEL, as the user wrote it. Empty: every request. */
  readonly filter: string;
}
