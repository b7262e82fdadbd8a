/**
 * Sends spans to one collector, gathered, in the background: a request never waits for it.
 *
 * One message is under way at a time. What does not fit the queue, and what a collector does not take, is dropped and
 * counted: spans are not kept for a collector that is away, since the next ones matter more.
 */
import type { Clock } from '@ambit/core/clock';
import { messageOf } from '@ambit/core/errors';
import type { Logger } from '@ambit/core/log';
import type { Tracer } from '../../resources/mesh-settings.ts';
import { MAX_QUEUED_SPANS, MAX_SPANS_PER_EXPORT, SPAN_EXPORT_TIMEOUT_MS, SPAN_FLUSH_MS } from '../limits.ts';
import type { AskCollector, ExportOutcome, SpanProtocol } from './collector.ts';
import type { Span } from './span.ts';

/** What became of spans: `dropped` when the queue was full, `failed` when the collector did not take them. */
export type SpanFate = 'sent' | 'dropped' | 'failed';

export interface SpanExporterOptions {
  readonly tracer: Tracer;
  readonly protocol: SpanProtocol;
  readonly ask: AskCollector;
  readonly count: (fate: SpanFate, spans: number) => void;
  readonly clock: Clock;
  readonly log: Logger;
}

export class SpanExporter {
  readonly #options: SpanExporterOptions;
  #queue: Span[] = [];
  #waits = false;
  #sending: Promise<void> | undefined;
  /** What went wrong last: said once, until it goes well again. */
  #problem = '';

  constructor(options: SpanExporterOptions) {
    this.#options = options;
  }

  add(span: Span): void {
    if (this.#queue.length >= MAX_QUEUED_SPANS) {
      this.#options.count('dropped', 1);
      return;
    }
    this.#queue.push(span);
    if (this.#queue.length >= MAX_SPANS_PER_EXPORT) this.#send();
    else if (!this.#waits) {
      this.#waits = true;
      this.#options.clock.after(SPAN_FLUSH_MS, () => {
        this.#waits = false;
        this.#send();
      });
    }
  }

  /** Resolves when everything that is here now was taken or given up. */
  async flush(): Promise<void> {
    this.#send();
    while (this.#sending) await this.#sending;
  }

  #send(): void {
    if (this.#sending || this.#queue.length === 0) return;
    const spans = this.#queue.slice(0, MAX_SPANS_PER_EXPORT);
    this.#queue = this.#queue.slice(MAX_SPANS_PER_EXPORT);
    this.#sending = this.#export(spans).finally(() => {
      this.#sending = undefined;
      this.#send();
    });
  }

  async #export(spans: readonly Span[]): Promise<void> {
    const { refused, problem } = await this.#outcome(spans);
    this.#options.count('sent', spans.length - refused);
    this.#options.count('failed', refused);
    if (problem !== undefined && problem !== this.#problem) {
      const { service, port } = this.#options.tracer;
      this.#options.log.warn('spans were not taken', { collector: `${service}:${port}`, error: problem });
    }
    this.#problem = problem ?? '';
  }

  async #outcome(spans: readonly Span[]): Promise<ExportOutcome> {
    const { tracer, protocol, ask, clock } = this.#options;
    const timeoutMs = tracer.timeoutMs > 0 ? tracer.timeoutMs : SPAN_EXPORT_TIMEOUT_MS;
    const gaveUp = new AbortController();
    const timer = clock.after(timeoutMs, () => gaveUp.abort(new Error(`no answer within ${timeoutMs} ms`)));
    try {
      const request = protocol.requestFor(spans);
      const fields = [...request.fields, ...tracer.headers.flatMap(({ name, value }) => [name, value])];
      const answer = await ask(tracer, { ...request, fields }, gaveUp.signal);
      return protocol.outcomeOf(answer, spans.length);
    } catch (error) {
      return { refused: spans.length, problem: messageOf(error) };
    } finally {
      timer.cancel();
    }
  }
}
