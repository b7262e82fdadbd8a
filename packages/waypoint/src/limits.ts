/** Bounds of a waypoint, each with its unit. What an operator may change has its default here and its variable in config/. */

/** How long requests and connections may outlive SIGTERM: Istio's default. */
export const DRAIN_SECONDS = 5;
/** How long a waypoint that has nothing left to do still takes what comes from who has not heard that it goes; at most half of a drain. */
export const DRAIN_ANNOUNCE_MS = 3_000;
/** The last part of a drain, in which connections are ended in moments when they are at rest; at most half of it. */
export const LAST_CALL_MS = 1_500;
/** Between two looks for connections at rest. */
export const LAST_CALL_LOOK_MS = 30;

/** What collectors have to take the last spans and log lines. */
export const FLUSH_MS = 1_500;

// Clients.

/** Requests under way at a time. */
export const REQUESTS_IN_FLIGHT = 16_384;
/** Connections of clients at a time: streams of their tunnels. */
export const CLIENT_CONNECTIONS = 32_768;
/** When so much of either is taken, an identity that has half of all is refused more: what is left is for the others. */
export const SCARCE_SHARE = 0.75;
export const IDENTITY_SHARE = 0.5;
/** Names below wildcards, which clients bring, that name servers are asked for at a time. */
export const LOOKUPS_IN_FLIGHT = 256;
/** What of these one identity may have, however few others ask: who has slow name servers keeps its questions for long. */
export const LOOKUP_SHARE = 0.25;
/** Bytes held for peers that do not read, in the whole process. */
export const HELD_BYTES = 134_217_728;
/** Connections that wait in the kernel for the listener to take them. */
export const LISTEN_BACKLOG = 4_096;
/** A listener that cannot accept says so once in this time. */
export const ACCEPT_WARNING_MS = 10_000;
/** TLS handshakes of clients at a time: after a start, those of all its clients come at once. */
export const HANDSHAKES_IN_FLIGHT = 2_048;
/** Tunnels that one address may hold open: several nodes may be behind one. */
export const TUNNELS_PER_PEER = 256;
/** How long a stream waits for the control plane to tell of the service that its client knows already. */
export const ATTACHMENT_WAIT_MS = 1_000;

// Finding out what is spoken on a port that declares nothing.

/** A client that has said nothing for this long speaks second: its connection is carried as TCP. */
export const SNIFF_WAIT_MS = 200;
/** One that has begun with what may become a request is given this long to go on. */
export const SNIFF_REST_MS = 2_000;
/** Where requests have rules, a client that has said nothing for this long is left to HTTP, which ends idle connections. */
export const SNIFF_HTTP_WAIT_MS = 60_000;
/** First bytes that decide between HTTP/1.1, HTTP/2, TLS and something else. */
export const SNIFF_BYTES = 1_024;
/** How long a client may take to say the name that rules ask for; then its connection is closed. Envoy's for the same. */
export const NAME_WAIT_MS = 15_000;
/** A ClientHello that is looked at for its server name. */
export const CLIENT_HELLO_BYTES = 16_384;
/** How often the bytes of an open connection are counted. */
export const COUNT_BYTES_MS = 15_000;
/** What a client may send before it is known where it goes. */
export const EARLY_BYTES = 65_536;

// Requests.

/** A request on which nothing moves for so long is ended: streams of gRPC may be silent for long. */
export const STREAM_IDLE_MS = 3_600_000;
/** A client that owes the next bytes of a request is given so long before an answer begins; streams of gRPC may be silent. */
export const REQUEST_BODY_IDLE_MS = 60_000;
/** And one that reads nothing of its answer. */
export const CLIENT_READ_IDLE_MS = 300_000;
/** Head of an endpoint's answer to a WebSocket's handshake. */
export const MAX_HANDSHAKE_BYTES = 65_536;
/** Of a request's copy, what waits to be sent; with more it is given up. */
export const MIRROR_HELD_BYTES = 262_144;
/** A copy whose request has no timeout is given up after so long. */
export const MIRROR_TIMEOUT_MS = 15_000;
/** Copies on their way to one destination; with more, requests are not copied for it. */
export const MIRRORS_AT_A_TIME = 256;

/** An answer that is followed by another try is read to its end up to this, so that its connection can be kept. */
export const DROPPED_ANSWER_BYTES = 65_536;
/** And for so long. */
export const DROPPED_ANSWER_MS = 1_000;
/** Of a request body, what is kept for another try. */
export const RETRY_BODY_BYTES = 65_536;
/** Pieces of a body that come smaller than this are gathered while they are kept. */
export const GATHERED_BYTES = 16_384;
/** Room that the second piece of a body makes. */
export const SMALLEST_GATHERING_BYTES = 512;
/** What a piece that is kept costs besides its bytes. */
export const KEPT_CHUNK_OVERHEAD_BYTES = 128;

// Endpoints.

/** From choosing an endpoint to being connected with its application, tunnel included: Istio's default. */
export const CONNECT_TIMEOUT_MS = 10_000;
/** Tries to open a stream in a tunnel; one may end between being chosen and being used. */
export const MAX_STREAM_ATTEMPTS = 3;
/** Files for TLS with endpoints are looked at again for a connection when the last look was so long ago. */
export const TLS_FILES_CHECK_MS = 1_000;
/** What one of them may hold: as much as the control plane sends of certificates. */
export const MAX_TLS_FILE_BYTES = 262_144;
/** How long a connection without requests is kept. Shorter than most servers keep theirs, so that seldom both end at once. */
export const UPSTREAM_IDLE_MS = 60_000;
/** How often connections are looked at for having been idle, or old, for too long. */
export const UPSTREAM_SWEEP_MS = 2_000;
/** Requests on one HTTP/2 connection to an endpoint at a time, if it allows as many. */
export const STREAMS_PER_UPSTREAM_CONNECTION = 100;
/** Connections to all endpoints of a destination together. */
export const UPSTREAM_CONNECTIONS = 16_384;
/** Requests of a destination that wait for a connection. */
export const PENDING_REQUESTS = 4_096;
/** Retries of a destination under way at a time, whatever its budget. */
export const CONCURRENT_RETRIES = 1_024;
/**
 * Ports of workloads and names below wildcards, which clients name at will. Of so many, or of the half of them that one
 * identity may have ({@link IDENTITY_SHARE}), those that nobody uses are forgotten at once; while all are used, there are no more.
 * Of its own half, what others have used within {@link FLEETING_KEPT_MS} stays.
 */
export const FLEETING_DESTINATIONS = 8_192;
/** Those of one identity are not looked through again for what may go before so long. */
export const FLEETING_LOOK_MS = 100;
/** And otherwise when they were not used for so long. */
export const FLEETING_KEPT_MS = 60_000;
/** Of a name below a wildcard, which clients bring: addresses that are used. */
export const OUTSIDE_ADDRESSES = 16;
/** And how long a name server is waited for, and how often it is asked. */
export const OUTSIDE_LOOKUP_TIMEOUT_MS = 2_000;
export const OUTSIDE_LOOKUP_TRIES = 2;
/** Addresses of a destination that clients choose for themselves (ServiceEntries without resolution). */
export const CHOSEN_ADDRESSES = 1_024;

/** Endpoints of one destination that are asked for their health at a time; others wait for their turn. */
export const MAX_CHECKS_UNDER_WAY = 100;

// What is said of faults of our own.

/** Faults that are logged with their stacks in one window; of more their number is. */
export const FAULTS_LOGGED_PER_WINDOW = 20;
export const FAULT_LOG_WINDOW_MS = 60_000;
/** Characters of what is logged of one: a stack is never longer, what was thrown may be. */
export const MAX_FAULT_TEXT_LENGTH = 8_192;
