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

/** Up to this size, everything of one type is sent without waiting for a turn. */
export const MAX_FREE_FULL_PUSH_BYTES = 64 * 1024;

/** Clients that are sent everything at the same time; the others wait for their turn. */
export const FULL_PUSHES_AT_A_TIME = 4;

/** A client that has not taken everything in this time no longer keeps others from it. */
export const FULL_PUSH_BRISK_MS = 1_000;

/** Clients to which everything has been sent and which have not taken it yet. */
export const MAX_UNREAD_FULL_PUSHES = 16;

/** How long one of them may take once they are that many and others wait. */
export const FULL_PUSH_MAX_MS = 5_000;

/** How long the encoding of everything is kept for the next client that connects. */
export const SHARED_RESPONSE_MS = 1_000;

/** How long authentication may take. */
export const AUTHENTICATION_TIMEOUT_MS = 10_000;

/** Text of a refusal that is sent, kept or logged. */
export const MAX_NACK_LENGTH_CHARS = 8_192;

/** HTTP/2 PING after this long without data, as Istio's ztunnel. */
export const KEEPALIVE_INTERVAL_MS = 30_000;
export const KEEPALIVE_TIMEOUT_MS = 10_000;

/** What a server may send a client ahead of its reading: a large mesh in few turns, instead of 64 KiB in each. */
export const RECEIVE_WINDOW_BYTES = 4 * 1024 * 1024;

/**
 * How long a connection may take, handshakes included. A SYN that went to a control plane's pod as that ended is repeated to
 * the same pod by the kernel for two minutes, while another answers.
 */
export const CONNECT_TIMEOUT_MS = 10_000;

/** Reconnecting, as Istio's ztunnel. */
export const RECONNECT_INITIAL_MS = 10;
export const RECONNECT_MAX_MS = 15_000;
/** A stream that lived for less, whatever was said on it, is a failure as those before it. */
export const STEADY_STREAM_MS = 15_000;

/** A connection is ended after this long, as Istio's is, so that clients spread over replicas again; streams get some notice. */
export const MAX_CONNECTION_AGE_MS = 30 * 60_000;
export const CONNECTION_AGE_GRACE_MS = 10_000;
