/** Bounds of both ends. Reaching one ends the stream with a status that says so; the other side reconnects. */

/** Streams that a server holds at once. */
export const MAX_CLIENTS = 20_000;

/** Types that one stream may ask for. */
export const MAX_TYPES_PER_CLIENT = 32;

/** Single names that one stream may follow, and that a client may wait for. */
export const MAX_KEYS_PER_CLIENT = 50_000;

/** A name or key, in UTF-16 units. */
export const MAX_NAME_LENGTH_CHARS = 2_048;

/** Names that changed while a client was not reading. More, and it is cheaper to reconnect with versions. */
export const MAX_PENDING_NAMES_PER_CLIENT = 500_000;

/** How long a client may leave a response unread before its stream is cut. */
export const MAX_WRITE_STALL_MS = 120_000;

/** How long authentication may take. */
export const AUTHENTICATION_TIMEOUT_MS = 10_000;

/** Text of a refusal that is sent, kept or logged. */
export const MAX_NACK_LENGTH_CHARS = 8_192;

/** HTTP/2 PING after this long without data, as Istio's ztunnel. */
export const KEEPALIVE_INTERVAL_MS = 30_000;
export const KEEPALIVE_TIMEOUT_MS = 10_000;

/** Reconnecting, as Istio's ztunnel. */
export const RECONNECT_INITIAL_MS = 10;
export const RECONNECT_MAX_MS = 15_000;
