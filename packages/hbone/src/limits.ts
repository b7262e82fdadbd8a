/**
 * Every bound of the tunnel that is not HTTP/2's (those stand in packages/http), its unit in its name. Istio's numbers
 * where Istio has one; what an operator may change arrives as an option and has its default here.
 */

/** Fields of the answer to a CONNECT; requests may have what HTTP/2 allows by default. */
export const CLIENT_HEADER_LIST_BYTES = 16_384;

/** Streams we open on one connection before the next is made. */
export const POOL_STREAMS_PER_CONNECTION = 100;
export const POOL_UNUSED_RELEASE_MS = 5 * 60_000;

/** From the first byte of TCP to a finished handshake and the peer's SETTINGS. */
export const HANDSHAKE_TIMEOUT_MS = 10_000;
/** How long a handshake that is under way may take when the server drains. */
export const DRAIN_HANDSHAKE_MS = 500;
export const CONNECT_TIMEOUT_MS = 10_000;

/** TLS handshakes with one pod at once, per worker; further connections are closed. */
export const HANDSHAKES_IN_FLIGHT = 256;
/** Tunnels one peer address may hold open to one pod, per worker. */
export const TUNNELS_PER_PEER = 64;

/** Data held for applications that do not read. */
export const QUEUED_BYTES_PER_POD = 32 * 1024 * 1024;
export const QUEUED_BYTES_PER_PROCESS = 96 * 1024 * 1024;
/** Below this a stream's window never shrinks. */
export const SMALLEST_WINDOW_BYTES = 64 * 1024;
