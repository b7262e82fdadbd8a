/**
 * Every bound of the tunnel, its unit in its name. Istio's numbers where Istio has one; what an operator may change
 * arrives as an option and has its default here.
 */

export const STREAM_WINDOW_BYTES = 4 * 1024 * 1024;
export const CONNECTION_WINDOW_BYTES = 16 * 1024 * 1024;
export const MAX_FRAME_BYTES = 1024 * 1024;

export const SERVER_HEADER_LIST_BYTES = 65_536;
export const CLIENT_HEADER_LIST_BYTES = 16_384;
export const HEADER_TABLE_BYTES = 4_096;
/** The encoded form of one header block, all its frames together. */
export const HEADER_BLOCK_BYTES = 80 * 1024;
/** HEADERS plus CONTINUATION frames of one block; 80 KiB need five of the smallest allowed size. */
export const HEADER_BLOCK_FRAMES = 16;
/** A frame of any type but DATA and HEADERS, which we must hold whole. */
export const CONTROL_FRAME_BYTES = 16_384;

export const SERVER_MAX_STREAMS = 200;
/** Streams we open on one connection before the next is made. */
export const POOL_STREAMS_PER_CONNECTION = 100;
export const POOL_UNUSED_RELEASE_MS = 5 * 60_000;

/** Frames that make us work for nothing, per connection: so many at once, then so many a second. */
export const FLOOD = {
  ping: { burst: 100, perSecond: 10 },
  settings: { burst: 50, perSecond: 5 },
  /** Streams that the peer resets before we answered (CVE-2023-44487). */
  rapidReset: { burst: 1_000, perSecond: 200 },
  /** PRIORITY, unknown types, empty DATA, frames for streams that are over. */
  useless: { burst: 1_000, perSecond: 200 },
} as const;

/** SETTINGS of ours that a peer may leave without an answer. */
export const UNACKNOWLEDGED_SETTINGS = 32;

/** Above this, streams wait instead of adding to what a connection has yet to send. */
export const OUTBOX_SOFT_BYTES = 256 * 1024;
/** Above this, a peer makes us answer without reading the answers, and is cut off. */
export const OUTBOX_HARD_BYTES = 2 * 1024 * 1024;
/** Local streams just reset, whose late frames are let pass in silence. */
export const RECENTLY_RESET_STREAMS = 256;

export const KEEPALIVE_INTERVAL_MS = 10_000;
export const KEEPALIVE_TIMEOUT_MS = 20_000;
/** How long a graceful GOAWAY waits for its PING before it names the last stream. */
export const GOAWAY_CONFIRM_MS = 1_000;
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

/** One read from an application's socket. */
export const PLAIN_READ_BYTES = 256 * 1024;
/** One read from a tunnel: a TLS record's worth. */
export const TUNNEL_READ_BYTES = 16 * 1024;
/** What a busy tunnel gathers in a turn of the loop before it hands it on. */
export const TUNNEL_BULK_BYTES = 128 * 1024;
/** Smaller payloads are gathered and sent together at the end of the loop's turn. */
export const GATHER_BELOW_BYTES = 16 * 1024;
