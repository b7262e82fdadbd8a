/** What telemetry may cost: every queue, table and text has a bound, with its unit. */

/**
 * Sets of labels that requests are counted under, of a process; further requests share one set that names nobody. Each is
 * about 60 KB of a scrape.
 */
export const MAX_REQUEST_SERIES = 4_000;
/** The same for connections that are no HTTP: about 4 KB of a scrape each. */
export const MAX_CONNECTION_SERIES = 10_000;
/** A label's value, in characters; longer ones are cut. */
export const MAX_LABEL_CHARS = 1_024;

/** A log format, in characters. */
export const MAX_FORMAT_CHARS = 16_384;
/** Operators of a format. */
export const MAX_FORMAT_OPERATORS = 256;
/** One value in a line, in characters. */
export const MAX_LOGGED_VALUE_CHARS = 8_192;
/** Lines not yet written; past it new ones are dropped, and counted. */
export const ACCESS_LOG_QUEUE_BYTES = 4 * 1024 * 1024;
/** Lines are gathered up to this before they are written. */
export const ACCESS_LOG_GATHER_BYTES = 64 * 1024;
/** A line waits no longer than this. Milliseconds. */
export const ACCESS_LOG_FLUSH_MS = 100;

/** Spans that wait for one collector; past it new ones are dropped, and counted. */
export const MAX_QUEUED_SPANS = 4_096;
/** Spans of one message to a collector. */
export const MAX_SPANS_PER_EXPORT = 512;
/** Spans wait no longer than this. Milliseconds. */
export const SPAN_FLUSH_MS = 1_000;
/** An export that takes longer has failed, where the provider says nothing. Milliseconds. */
export const SPAN_EXPORT_TIMEOUT_MS = 5_000;
/** An answer of a collector, in bytes. */
export const MAX_COLLECTOR_ANSWER_BYTES = 64 * 1024;
/** A tag's value where the provider says nothing, in characters. */
export const DEFAULT_MAX_TAG_CHARS = 256;
/** Members of a tracestate that are passed on. */
export const MAX_TRACE_STATE_MEMBERS = 32;
/** A tracestate that is passed on, in characters. */
export const MAX_TRACE_STATE_CHARS = 512;
/** A request id that is taken over, in characters; a longer one is replaced. */
export const MAX_REQUEST_ID_CHARS = 256;
/** Different problems with Telemetry resources that are logged. */
export const MAX_PROBLEMS_TOLD = 1_000;
/** Plans that services share: one for each set of Telemetries that apply together. */
export const MAX_SHARED_PLANS = 1_000;
/** Destinations that have metrics of their own. */
export const MAX_DESTINATIONS_TOLD = 1_000;
/** Reasons of failed requests that are counted apart; there are some 150 words. */
export const MAX_FAILURE_REASONS = 256;
