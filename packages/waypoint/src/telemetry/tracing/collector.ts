/** What is said to a collector of spans and what it answers, whatever its protocol. */
import type { HeaderFields } from '@ambit/http/header-fields';
import type { Tracer } from '../../resources/mesh-settings.ts';
import type { Span } from './span.ts';

export interface CollectorRequest {
  readonly path: string;
  /** HTTP/2 without having asked first, as gRPC is spoken; otherwise HTTP/1.1. */
  readonly http2: boolean;
  readonly fields: HeaderFields;
  readonly body: Uint8Array;
}

export interface CollectorAnswer {
  readonly status: number;
  readonly fields: HeaderFields;
  readonly trailers: HeaderFields | undefined;
  /** Not more than MAX_COLLECTOR_ANSWER_BYTES of it. */
  readonly body: Uint8Array;
}

/**
 * Makes a POST to the service that a provider names, as any of the mesh's clients would.
 *
 * @param signal - Aborts when the answer has taken too long.
 * @throws any error, when there is no answer.
 */
export type AskCollector = (
  tracer: Tracer,
  request: CollectorRequest,
  signal: AbortSignal,
) => Promise<CollectorAnswer>;

/** How one kind of collector is spoken to. */
export interface SpanProtocol {
  readonly requestFor: (spans: readonly Span[]) => CollectorRequest;
  /** @param spans - How many were sent. */
  readonly outcomeOf: (answer: CollectorAnswer, spans: number) => ExportOutcome;
}

export interface ExportOutcome {
  /** Spans that were not taken. */
  readonly refused: number;
  /** In words for the log. */
  readonly problem: string | undefined;
}
