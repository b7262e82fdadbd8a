/** The exporters of a process: one for each collector that the mesh's settings name. */
import type { Clock } from '@ambit/core/clock';
import type { Logger } from '@ambit/core/log';
import type { ExtensionProvider, Tracer } from '../../resources/mesh-settings.ts';
import type { LocalNames } from '../expression/attributes.ts';
import type { AskCollector, SpanProtocol } from './collector.ts';
import { SpanExporter, type SpanFate } from './exporter.ts';
import { otlpProtocol } from './otlp.ts';
import type { Span } from './span.ts';
import { zipkinProtocol } from './zipkin.ts';

export interface SpanExportersOptions {
  readonly ask: AskCollector;
  readonly clock: Clock;
  readonly log: Logger;
  readonly local: LocalNames;
  /** @param collector - `service:port`. */
  readonly count: (collector: string, fate: SpanFate, spans: number) => void;
}

export class SpanExporters {
  readonly #options: SpanExportersOptions;
  /** By what they are made of: a collector stays the same one when the settings come again. */
  readonly #exporters = new Map<string, SpanExporter>();
  readonly #keys = new WeakMap<Tracer, string>();

  constructor(options: SpanExportersOptions) {
    this.#options = options;
  }

  add(tracer: Tracer, span: Span): void {
    const key = this.#keyOf(tracer);
    const exporter = this.#exporters.get(key) ?? this.#made(tracer);
    this.#exporters.set(key, exporter);
    exporter.add(span);
  }

  /** Lets go of collectors that are not among these: what they have is still sent. */
  keepOnly(providers: Iterable<ExtensionProvider>): void {
    if (this.#exporters.size === 0) return;
    const kept = new Set<string>();
    for (const provider of providers)
      if (provider.kind === 'opentelemetry' || provider.kind === 'zipkin') kept.add(this.#keyOf(provider));
    for (const [key, exporter] of this.#exporters) {
      if (kept.has(key)) continue;
      this.#exporters.delete(key);
      void exporter.flush();
    }
  }

  async flush(): Promise<void> {
    await Promise.all([...this.#exporters.values()].map((exporter) => exporter.flush()));
  }

  #keyOf(tracer: Tracer): string {
    const known = this.#keys.get(tracer);
    if (known !== undefined) return known;
    const key = JSON.stringify(tracer);
    this.#keys.set(tracer, key);
    return key;
  }

  #made(tracer: Tracer): SpanExporter {
    const { ask, clock, log, local, count } = this.#options;
    const collector = `${tracer.service}:${tracer.port}`;
    const serviceName = local.cluster;
    const protocol: SpanProtocol =
      tracer.kind === 'zipkin'
        ? zipkinProtocol(tracer, { serviceName, ip: local.ip })
        : otlpProtocol(tracer, serviceName);
    return new SpanExporter({
      tracer,
      protocol,
      ask,
      clock,
      log,
      count: (fate, spans) => count(collector, fate, spans),
    });
  }
}
