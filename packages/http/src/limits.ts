/**
 * Every bound of HTTP and of the byte streams below it, its unit in its name. What an operator may change arrives as an
 * option and has its default here.
 */

// HTTP/2. Windows and frames as Istio has them for tunnels.

export const STREAM_WINDOW_BYTES = 4 * 1024 * 1024;
export const CONNECTION_WINDOW_BYTES = 16 * 1024 * 1024;
export const MAX_FRAME_BYTES = 1024 * 1024;
/** What one request or response may have on its way without having been taken, and all of a connection. */
export const HTTP_STREAM_WINDOW_BYTES = 1024 * 1024;
export const HTTP_CONNECTION_WINDOW_BYTES = 4 * 1024 * 1024;
export const HTTP_FRAME_BYTES = 64 * 1024;
/** Exchanges that a client has on one connection at a time. */
export const EXCHANGES_PER_CONNECTION = 100;
/** Streams a peer may have open on a connection at a time. */
export const MAX_STREAMS = 200;
/** How many the peer allows us, until its SETTINGS are here. */
export const ASSUMED_PEER_STREAMS = 100;

/** Decoded fields of one header section, each counted with 32 octets more (RFC 9113 §6.5.2). */
export const HEADER_LIST_BYTES = 65_536;
export const HEADER_TABLE_BYTES = 4_096;
/** The encoded form of one header block, all its frames together, unless the header list may be larger. */
export const HEADER_BLOCK_BYTES = 80 * 1024;
/** HEADERS plus CONTINUATION frames of one block; 80 KiB need five of the smallest allowed size. */
export const HEADER_BLOCK_FRAMES = 16;
/** A frame of any type but DATA and HEADERS, which we must hold whole. */
export const CONTROL_FRAME_BYTES = 16_384;

/** Frames that make us work for nothing, per connection: so many at once, then so many a second. */
export const FLOOD = {
  /** One for each frame of data that we send comes on top. */
  ping: { burst: 100, perSecond: 10 },
  settings: { burst: 50, perSecond: 5 },
  /** Streams that the peer resets, or has us reset by breaking a rule, before we answered (CVE-2023-44487, CVE-2025-8671). */
  rapidReset: { burst: 1_000, perSecond: 200 },
  /** PRIORITY, unknown types, empty DATA, frames for streams that are over. */
  useless: { burst: 1_000, perSecond: 200 },
} as const;

/** SETTINGS of ours that a peer may leave without an answer. */
export const UNACKNOWLEDGED_SETTINGS = 32;
/** Local streams just reset, whose late frames are let pass in silence. */
export const RECENTLY_RESET_STREAMS = 256;

export const KEEPALIVE_INTERVAL_MS = 10_000;
export const KEEPALIVE_TIMEOUT_MS = 20_000;
/** How long an answer may wait for what is said behind it, where the client does not. */
export const LATE_ANSWER_MS = 100;
/** How long a graceful GOAWAY waits for its PING before it names the last stream; and an ended connection for its peer. */
export const GOAWAY_CONFIRM_MS = 1_000;
/** How long the rest of the last answers may take to go out at a time, on a connection that ends in good order. */
export const FAREWELL_MS = 30_000;

// HTTP/1.1.

/** First line of a request. */
export const REQUEST_LINE_BYTES = 16 * 1024;
/** Head of a message, first line and all fields; also a trailer section. Envoy's number. */
export const HEAD_BYTES = 60 * 1024;
/** Fields of one section. Envoy's number. */
export const HEAD_FIELDS = 100;
/** The line that begins a chunk: size and extensions. */
export const CHUNK_LINE_BYTES = 256;
/** All chunk extensions of one body. */
export const CHUNK_EXTENSION_BYTES = 8 * 1024;
/** From the first octet of a head to its last. */
export const HEADER_TIMEOUT_MS = 15_000;
/** Between one exchange and the next. Envoy's number. */
export const IDLE_TIMEOUT_MS = 3_600_000;
/** 1xx responses before the final one. */
export const INFORMATIONAL_RESPONSES = 32;
/** What is left of a request that was answered early is read and dropped up to this, to keep the connection. */
export const DISCARD_BYTES = 64 * 1024;
/** How long a client may take to notice that a connection ends, before it is cut. */
export const LINGER_MS = 1_000;
/** What a client may send ahead of its turn, behind a request that is not answered; more costs it the connection. */
export const PIPELINED_BYTES = 512 * 1024;
/** What is queued for a peer that does not read, before writers are asked to wait. */
export const SEND_QUEUE_BYTES = 64 * 1024;

// What a connection has yet to send.

/** Above this, streams wait instead of adding to what a connection has yet to send. */
export const OUTBOX_SOFT_BYTES = 256 * 1024;
/** Above this, a peer makes us answer without reading the answers, and is cut off. */
export const OUTBOX_HARD_BYTES = 2 * 1024 * 1024;
/** Smaller payloads are gathered and sent together at the end of the loop's turn. */
export const GATHER_BELOW_BYTES = 16 * 1024;

// Reads.

/** One read from a plain socket. */
export const PLAIN_READ_BYTES = 256 * 1024;
/** One read from a TLS connection: a record's worth. */
export const TLS_READ_BYTES = 16 * 1024;
/** What a busy TLS connection gathers in a turn of the loop before it hands it on. */
export const TLS_BULK_BYTES = 128 * 1024;
