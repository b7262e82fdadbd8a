/** Which of Istio's metrics are counted for a service, and under which labels. Pure. */
import type { MeshSettings } from '../../resources/mesh-settings.ts';
import type { MetricOverride, TagOverride, Telemetry } from '../../resources/telemetry.ts';
import { type AnyRecord, type LocalNames, recordAttributes } from '../expression/attributes.ts';
import { compileExpression, type Evaluate, textOf } from '@ambit/model/expression/compile';
import { isForServers } from '../modes.ts';
import { providersInUse, withProviders } from '../providers.ts';
import { CONNECTION_LABELS, type LabelName, REQUEST_LABELS } from './labels.ts';

/** By the names that a Telemetry uses. */
const METRICS = {
  REQUEST_COUNT: { name: 'istio_requests', labels: REQUEST_LABELS },
  REQUEST_DURATION: { name: 'istio_request_duration_milliseconds', labels: REQUEST_LABELS },
  REQUEST_SIZE: { name: 'istio_request_bytes', labels: REQUEST_LABELS },
  RESPONSE_SIZE: { name: 'istio_response_bytes', labels: REQUEST_LABELS },
  GRPC_REQUEST_MESSAGES: { name: 'istio_request_messages', labels: REQUEST_LABELS },
  GRPC_RESPONSE_MESSAGES: { name: 'istio_response_messages', labels: REQUEST_LABELS },
  TCP_OPENED_CONNECTIONS: { name: 'istio_tcp_connections_opened', labels: CONNECTION_LABELS },
  TCP_CLOSED_CONNECTIONS: { name: 'istio_tcp_connections_closed', labels: CONNECTION_LABELS },
  TCP_SENT_BYTES: { name: 'istio_tcp_sent_bytes', labels: CONNECTION_LABELS },
  TCP_RECEIVED_BYTES: { name: 'istio_tcp_received_bytes', labels: CONNECTION_LABELS },
} as const satisfies Record<string, { readonly name: string; readonly labels: readonly LabelName[] }>;

export type MetricKey = keyof typeof METRICS;
export const METRIC_KEYS = Object.keys(METRICS) as readonly MetricKey[];

export type LabelValue =
  | { readonly kind: 'standard'; readonly label: LabelName }
  | { readonly kind: 'constant'; readonly value: string }
  | { readonly kind: 'computed'; readonly evaluate: Evaluate<AnyRecord> };

export interface MetricPlan {
  /** Without `_total`. */
  readonly name: string;
  readonly labels: readonly (readonly [name: string, value: LabelValue])[];
}

export interface MetricsPlan {
  /** Those that are counted. */
  readonly metrics: ReadonlyMap<MetricKey, MetricPlan>;
  /** Of any of them: their values tell series apart that the parties do not. */
  readonly computed: readonly Evaluate<AnyRecord>[];
}

const PROMETHEUS = 'prometheus';

/** @param telemetry - From the mesh's own to the nearest. */
export function metricsPlan(
  settings: MeshSettings,
  telemetry: readonly Telemetry[],
  local: LocalNames,
  problems: string[],
): MetricsPlan | undefined {
  const rules = telemetry.flatMap(({ metrics }) => metrics);
  const defaults = settings.defaultMetricsProviders;
  const used = new Set(providersInUse(rules, defaults).filter((name) => countsHere(settings, name)));
  if (used.size === 0) return undefined;
  const overrides = withProviders(rules, defaults)
    .filter(({ providers }) => providers.some((name) => used.has(name)))
    .flatMap(({ rule }) => rule.overrides)
    .filter(({ mode }) => isForServers(mode));
  const states = new Map<MetricKey, MetricState>(
    METRIC_KEYS.map((key) => [key, { disabled: false, tags: new Map() }]),
  );
  for (const override of overrides) applyOverride(states, override, problems);
  const compiler = new TagCompiler(local, problems);
  const metrics = new Map<MetricKey, MetricPlan>();
  // Metrics with the same labels share them, so that they become text once.
  const shared = new Map<string, MetricPlan['labels']>();
  for (const [key, { disabled, tags }] of states) {
    if (disabled) continue;
    const { name, labels: standard } = METRICS[key];
    const words = JSON.stringify([standard.length, ...tags.values()]);
    const labels = shared.get(words) ?? labelsWith(standard, tags, compiler);
    shared.set(words, labels);
    metrics.set(key, { name, labels });
  }
  return metrics.size === 0 ? undefined : { metrics, computed: compiler.computed };
}

interface MetricState {
  disabled: boolean;
  readonly tags: Map<string, TagOverride>;
}

/** Prometheus is there even where the settings do not list it. */
function countsHere(settings: MeshSettings, provider: string): boolean {
  const known = settings.extensionProviders.get(provider);
  return known ? known.kind === 'prometheus' : provider === PROMETHEUS;
}

function applyOverride(
  states: ReadonlyMap<MetricKey, MetricState>,
  { metric, disabled, tags }: MetricOverride,
  problems: string[],
): void {
  const keys =
    metric === '' || metric === 'ALL_METRICS' ? METRIC_KEYS : METRIC_KEYS.filter((key) => key === metric);
  if (keys.length === 0) problems.push(`metric ${metric} is not one of Istio’s standard metrics`);
  for (const key of keys) {
    const state = states.get(key);
    if (!state) continue;
    if (disabled !== undefined) state.disabled = disabled;
    for (const tag of tags) state.tags.set(tag.name, tag);
  }
}

function labelsWith(
  standard: readonly LabelName[],
  tags: ReadonlyMap<string, TagOverride>,
  compiler: TagCompiler,
): MetricPlan['labels'] {
  const kept = standard.flatMap((label): MetricPlan['labels'] => {
    const tag = tags.get(label);
    if (tag?.remove) return [];
    return [[label, (tag && compiler.valueOf(tag)) ?? { kind: 'standard', label }]];
  });
  const more = [...tags.values()].flatMap((tag): MetricPlan['labels'] => {
    if (tag.remove || standard.some((label) => label === tag.name)) return [];
    const value = compiler.valueOf(tag);
    return value ? [[tag.name, value]] : [];
  });
  return [...kept, ...more];
}

const LABEL_NAME = /^[a-zA-Z_][a-zA-Z0-9_]{0,127}$/;

/** Compiles each expression once, however many metrics have it. */
class TagCompiler {
  readonly computed: Evaluate<AnyRecord>[] = [];
  readonly #local: LocalNames;
  readonly #problems: string[];
  readonly #known = new Map<string, LabelValue | undefined>();

  constructor(local: LocalNames, problems: string[]) {
    this.#local = local;
    this.#problems = problems;
  }

  /** `undefined` for what cannot be computed: the label stays as it is. */
  valueOf({ name, value }: TagOverride): LabelValue | undefined {
    const key = `${name}\0${value}`;
    if (this.#known.has(key)) return this.#known.get(key);
    const made = this.#compiled(name, value);
    this.#known.set(key, made);
    return made;
  }

  #compiled(name: string, source: string): LabelValue | undefined {
    if (!LABEL_NAME.test(name)) {
      this.#problems.push(`tag ${name}: no name of a label`);
      return undefined;
    }
    const compiled = compileExpression(source, recordAttributes(this.#local));
    switch (compiled.kind) {
      case 'problem':
        this.#problems.push(`tag ${name}: ${source}: ${compiled.problem}`);
        return undefined;
      case 'constant':
        return { kind: 'constant', value: textOf(compiled.value) ?? 'unknown' };
      case 'expression':
        this.computed.push(compiled.evaluate);
        return { kind: 'computed', evaluate: compiled.evaluate };
    }
  }
}
