/** Istio's Telemetry, with the fields of its specification. */
import type { LabelSelector } from '../label-selector.ts';
import type { KubeObject, Resource } from '../resource.ts';
import type { PolicyTargetReference } from './security.ts';

interface ProviderReference {
  readonly name: string;
}

export interface TracingSettings {
  readonly match?: { readonly mode?: string };
  readonly providers?: readonly ProviderReference[];
  readonly randomSamplingPercentage?: number;
  readonly disableSpanReporting?: boolean;
  readonly customTags?: Readonly<Record<string, TagSource>>;
  readonly useRequestIdForTraceSampling?: boolean;
  readonly enableIstioTags?: boolean;
  readonly disableContextPropagation?: boolean;
}

/** One of them. */
export interface TagSource {
  readonly literal?: { readonly value: string };
  readonly environment?: { readonly name: string; readonly defaultValue?: string };
  readonly header?: { readonly name: string; readonly defaultValue?: string };
  readonly formatter?: { readonly value: string };
}

export interface MetricsOverride {
  readonly match?: { readonly metric?: string; readonly customMetric?: string; readonly mode?: string };
  readonly disabled?: boolean;
  readonly tagOverrides?: Readonly<Record<string, { readonly operation?: string; readonly value?: string }>>;
}

export interface MetricsSettings {
  readonly providers?: readonly ProviderReference[];
  readonly overrides?: readonly MetricsOverride[];
}

export interface AccessLoggingSettings {
  readonly match?: { readonly mode?: string };
  readonly providers?: readonly ProviderReference[];
  readonly disabled?: boolean;
  readonly filter?: { readonly expression?: string };
}

export interface TelemetrySpec {
  readonly selector?: Pick<LabelSelector, 'matchLabels'>;
  readonly targetRef?: PolicyTargetReference;
  readonly targetRefs?: readonly PolicyTargetReference[];
  readonly tracing?: readonly TracingSettings[];
  readonly metrics?: readonly MetricsSettings[];
  readonly accessLogging?: readonly AccessLoggingSettings[];
}

export interface Telemetry extends KubeObject {
  readonly spec?: TelemetrySpec;
}

export const telemetries: Resource<Telemetry> = {
  group: 'telemetry.istio.io',
  version: 'v1',
  olderVersions: ['v1alpha1'],
  kind: 'Telemetry',
  plural: 'telemetries',
  namespaced: true,
};
