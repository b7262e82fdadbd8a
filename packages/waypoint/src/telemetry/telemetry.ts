/**
 * Tells what a waypoint did: metrics, access logs and spans of the requests and connections that it served.
 *
 * Nothing here holds up a request: counting is an addition, lines and spans wait in bounded queues, and what does not fit
 * is dropped and counted.
 */
import type { Clock, Random } from '@ambit/core/clock';
import type { Logger } from '@ambit/core/log';
import { formatMetrics, type MetricRegistry } from '@ambit/core/metrics';
import type { HeaderFields } from '@ambit/http/header-fields';
import type { MeshSettings } from '../resources/mesh-settings.ts';
import type { Telemetry } from '../resources/telemetry.ts';
import { LogOutputs } from './access-log/log-outputs.ts';
import type { OperatorContext } from './access-log/operators.ts';
import { beginRequest } from './begin.ts';
import type { BegunRequest } from './begun.ts';
import type { AnyRecord } from './expression/attributes.ts';
import { type Identifiers, randomIdentifiers } from './identifiers.ts';
import { MAX_PROBLEMS_TOLD, MAX_SHARED_PLANS } from './limits.ts';
import { FailedRequests } from './metrics/failed-requests.ts';
import { type CountedConnection, TrafficMetrics } from './metrics/traffic-metrics.ts';
import { type TelemetryPlan, telemetryPlan } from './plan.ts';
import type { ConnectionRecord, RequestRecord } from './record.ts';
import type { AskCollector } from './tracing/collector.ts';
import { SpanExporters } from './tracing/exporters.ts';
import { spanOf } from './tracing/span.ts';

export interface WaypointTelemetryOptions {
  readonly settings: () => MeshSettings;
  readonly context: OperatorContext;
  /** Gets what is counted of this module itself. */
  readonly registry: MetricRegistry;
  readonly ask: AskCollector;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  /** Default: random ones. */
  readonly identifiers?: Identifiers;
  /** Default: those of the process. */
  readonly outputs?: LogOutputs;
}

/** What applies to a port; `PortConfig` is one. */
interface Configured {
  readonly telemetry: readonly Telemetry[];
}

export class WaypointTelemetry {
  readonly #options: WaypointTelemetryOptions;
  readonly #identifiers: Identifiers;
  readonly #outputs: LogOutputs;
  readonly #metrics = new TrafficMetrics();
  readonly #failed: FailedRequests;
  readonly #exporters: SpanExporters;
  readonly #plans = new WeakMap<readonly Telemetry[], { settings: MeshSettings; plan: TelemetryPlan }>();
  /** Of the settings that were seen last: most services have the same Telemetries, and then the same plan. */
  readonly #shared = new Map<string, TelemetryPlan>();
  #sharedOf: MeshSettings | undefined;
  /** Resources are replaced, never changed: a number stands for each. */
  readonly #numbers = new WeakMap<Telemetry, number>();
  #lastNumber = 0;
  readonly #told = new Set<string>();

  constructor(options: WaypointTelemetryOptions) {
    const { clock, log, registry, ask, context } = options;
    this.#options = options;
    this.#identifiers = options.identifiers ?? randomIdentifiers();
    this.#outputs = options.outputs ?? new LogOutputs(clock);
    this.#failed = new FailedRequests(registry);
    const spans = registry.counter({
      name: 'ambit_waypoint_spans',
      help: 'Spans by what became of them: sent to the collector, dropped since the queue was full, or not taken',
      labels: ['provider', 'fate'],
    });
    this.#exporters = new SpanExporters({
      ask,
      clock,
      log,
      local: context.local,
      count: (provider, fate, count) => {
        if (count > 0) spans.inc({ provider, fate }, count);
      },
    });
    this.#countLosses(registry);
  }

  /** When a request's head is here and nothing was decided yet. */
  begin(config: Configured, { fields }: { readonly fields: HeaderFields }): BegunRequest {
    return beginRequest(this.#planOf(config), fields, this.#identifiers, this.#options.random);
  }

  ended(record: RequestRecord): void {
    const { plan, span } = record.begun;
    if (plan.metrics) this.#metrics.countRequest(plan.metrics, record);
    this.#failed.ended(record.details);
    this.#writeLines(plan, record);
    if (!span || !plan.tracing) return;
    const { local } = this.#options.context;
    this.#exporters.add(plan.tracing.tracer, spanOf(record, span, plan.tracing, local));
  }

  /** @param record - Of the connection as it begins; its end is told to what this returns. */
  connectionBegan(config: Configured, record: ConnectionRecord): CountedConnection {
    const plan = this.#planOf(config);
    const counted = plan.metrics && this.#metrics.openConnection(plan.metrics, record);
    let isOpen = true;
    return {
      addBytes: (received, sent) => counted?.addBytes(received, sent),
      close: (ended) => {
        if (!isOpen) return;
        isOpen = false;
        counted?.close(ended);
        this.#writeLines(plan, ended);
      },
    };
  }

  /**
   * One scrape: what is counted of traffic, then what `registry` has; as OpenMetrics text, in pieces, since there may be much
   * of it.
   */
  *scrape(): Generator<string> {
    yield* this.#metrics.lines();
    yield formatMetrics(this.#options.registry.collect());
  }

  /** Gives what is left to its readers: spans as long as their collectors answer, and the last lines. */
  async flush(): Promise<void> {
    await this.#exporters.flush();
    this.#outputs.flushSync();
  }

  #planOf({ telemetry }: Configured): TelemetryPlan {
    const settings = this.#options.settings();
    const known = this.#plans.get(telemetry);
    if (known?.settings === settings) return known.plan;
    const plan = this.#sharedPlan(settings, telemetry);
    this.#plans.set(telemetry, { settings, plan });
    return plan;
  }

  #sharedPlan(settings: MeshSettings, telemetry: readonly Telemetry[]): TelemetryPlan {
    if (settings !== this.#sharedOf) {
      this.#shared.clear();
      this.#sharedOf = settings;
      this.#exporters.keepOnly(settings.extensionProviders.values());
    } else if (this.#shared.size >= MAX_SHARED_PLANS) this.#shared.clear();
    const key = telemetry.map((one) => this.#numberOf(one)).join();
    const known = this.#shared.get(key);
    if (known) return known;
    const plan = telemetryPlan({ settings, telemetry }, this.#options.context);
    this.#shared.set(key, plan);
    for (const problem of plan.problems) this.#tell(problem);
    return plan;
  }

  #numberOf(telemetry: Telemetry): number {
    const known = this.#numbers.get(telemetry);
    if (known !== undefined) return known;
    this.#lastNumber += 1;
    this.#numbers.set(telemetry, this.#lastNumber);
    return this.#lastNumber;
  }

  #writeLines(plan: TelemetryPlan, record: AnyRecord): void {
    for (const { output, filter, line } of plan.logs)
      if (!filter || filter(record) === true) this.#outputs.write(output, line(record));
  }

  /** Once each, whichever service it is of. */
  #tell(problem: string): void {
    if (this.#told.has(problem) || this.#told.size >= MAX_PROBLEMS_TOLD) return;
    this.#told.add(problem);
    this.#options.log.warn('telemetry is not as asked for', { problem });
  }

  #countLosses(registry: MetricRegistry): void {
    const overflow = registry.counter({
      name: 'ambit_waypoint_metric_overflow',
      help: 'Requests and connections counted under labels that name nobody, since there were too many sets of labels',
    });
    const lines = registry.counter({
      name: 'ambit_waypoint_access_log_dropped',
      help: 'Access log lines dropped, since their reader did not keep up',
    });
    let counted = { overflow: 0, lines: 0 };
    registry.beforeCollect(() => {
      const now = { overflow: this.#metrics.overflow, lines: this.#outputs.dropped };
      overflow.inc(undefined, now.overflow - counted.overflow);
      lines.inc(undefined, now.lines - counted.lines);
      counted = now;
    });
  }
}
