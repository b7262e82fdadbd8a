/** How requests of one service are traced. Pure. */
import type { MeshSettings, Tracer } from '../../resources/mesh-settings.ts';
import type { CustomTag as CustomTagRule, Telemetry } from '../../resources/telemetry.ts';
import { DEFAULT_MAX_TAG_CHARS } from '../limits.ts';
import { isForServers } from '../modes.ts';

export interface TracingPlan {
  readonly tracer: Tracer;
  /** 0 to 1: of requests that come without a decision. */
  readonly sampling: number;
  readonly customTags: readonly CustomTag[];
  /** A request's id tells what was decided, and says it on. */
  readonly usesRequestId: boolean;
  /** Who the ends are, under Istio's names. */
  readonly istioTags: boolean;
  /** Requests that are sent on say which trace they are part of. */
  readonly tellsContext: boolean;
  /** Of a tag's value, in characters. */
  readonly maxTagLength: number;
}

/** What a user adds to each span. */
export type CustomTag =
  | { readonly kind: 'literal'; readonly name: string; readonly value: string }
  | {
      readonly kind: 'header';
      readonly name: string;
      /** In lower case. */
      readonly header: string;
      /** Empty: no tag. */
      readonly otherwise: string;
    };

/** Istio's: one of a hundred. */
const DEFAULT_SAMPLING_PERCENTAGE = 1;

/** @param telemetry - From the mesh's own to the nearest. */
export function tracingPlan(
  settings: MeshSettings,
  telemetry: readonly Telemetry[],
  environment: Readonly<Record<string, string | undefined>>,
  problems: string[],
): TracingPlan | undefined {
  const rules = telemetry.flatMap(({ tracing }) => tracing).filter(({ mode }) => isForServers(mode));
  const provider = last(rules, ({ providers }) => providers[0]) ?? settings.defaultTracingProviders[0];
  if (provider === undefined || last(rules, ({ disabled }) => disabled) === true) return undefined;
  const tracer = settings.extensionProviders.get(provider);
  if (tracer?.kind !== 'opentelemetry' && tracer?.kind !== 'zipkin') {
    problems.push(`tracing provider ${provider} is no collector of spans that a waypoint can speak to`);
    return undefined;
  }
  const percentage =
    last(rules, ({ samplingPercentage }) => samplingPercentage) ?? DEFAULT_SAMPLING_PERCENTAGE;
  const tags = last(rules, ({ customTags }) => (customTags.length > 0 ? customTags : undefined)) ?? [];
  return {
    tracer,
    sampling: Math.min(1, Math.max(0, percentage / 100)),
    customTags: tags.flatMap((tag) => customTag(tag, environment)),
    usesRequestId: rules.at(-1)?.useRequestIdForTraceSampling ?? true,
    istioTags: last(rules, ({ istioTags }) => istioTags) ?? true,
    tellsContext: last(rules, ({ disableContextPropagation }) => disableContextPropagation) !== true,
    maxTagLength: tracer.maxTagLength > 0 ? tracer.maxTagLength : DEFAULT_MAX_TAG_CHARS,
  };
}

function customTag(
  { name, kind, text, defaultValue }: CustomTagRule,
  environment: Readonly<Record<string, string | undefined>>,
): readonly CustomTag[] {
  switch (kind) {
    case 'literal':
      return [{ kind, name, value: text }];
    case 'header':
      return [{ kind, name, header: text.toLowerCase(), otherwise: defaultValue }];
    case 'environment': {
      const value = environment[text] || defaultValue;
      return value === '' ? [] : [{ kind: 'literal', name, value }];
    }
  }
}

/** What the last rule says that says anything. */
function last<R, V>(rules: readonly R[], read: (rule: R) => V | undefined): V | undefined {
  for (let i = rules.length - 1; i >= 0; i--) {
    const value = read(rules[i] as R);
    if (value !== undefined) return value;
  }
  return undefined;
}
