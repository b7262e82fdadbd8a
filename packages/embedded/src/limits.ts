/** Every bound of the embedded API. It is for one machine: what grows beyond this belongs on a cluster. */

/** The largest request body, as kube-apiserver's. */
export const BODY_BYTES = 3 * 1024 * 1024;
/** The largest object as JSON, stored. */
export const OBJECT_BYTES = 1_536 * 1024;
/** How deep a body may nest. */
export const JSON_DEPTH = 64;
/** All objects of all resources together. */
export const OBJECTS = 50_000;
/** Objects in one page of a list when the client asks for more or names no limit. */
export const LIST_PAGE_OBJECTS = 50_000;
/** Past events kept for watches that resume: by count and by their size as JSON. */
export const HISTORY_EVENTS = 20_000;
export const HISTORY_BYTES = 64 * 1024 * 1024;
/** Watches open at once. */
export const WATCHES = 2_000;
/** Bytes written for one watcher and not yet sent, beyond which the rest waits in the history. */
export const WATCH_QUEUE_BYTES = 256 * 1024;
/** How long a watch that ended may take to send its last bytes. */
export const WATCH_END_MS = 10_000;
/** A watch that names no timeout ends after this many seconds, plus up to as many again. */
export const WATCH_SECONDS = 1_800;
export const WATCH_SECONDS_MAX = 3_600;
/** How often a quiet watch that asked for bookmarks gets one. */
export const BOOKMARK_MS = 30_000;
/** The journal is folded into a snapshot when it has grown to this size (and beyond the snapshot's own). */
export const JOURNAL_BYTES = 16 * 1024 * 1024;
/** TCP connections open at once. */
export const CONNECTIONS = 4_096;
/** How long a client may take over its request's headers, and over the whole of it. */
export const HEADERS_TIMEOUT_MS = 15_000;
export const REQUEST_TIMEOUT_MS = 60_000;
/** A connection that is quiet for this long is asked whether its peer still lives. */
export const KEEPALIVE_MS = 30_000;
/** Header block of a request. */
export const HEADER_BYTES = 64 * 1024;
/** Tries of a write that another write overtook, when the client named no resourceVersion. */
export const WRITE_ATTEMPTS = 8;
/** Operations in one JSON patch. */
export const PATCH_OPERATIONS = 10_000;
/** Names that `generateName` tries before it gives up. */
export const NAME_ATTEMPTS = 8;
/** Managers of fields kept apart per object; more are merged into the oldest, as Kubernetes does. */
export const FIELD_MANAGERS = 10;
/** Admission webhooks: the longest an object's may take, and the largest answer. */
export const WEBHOOK_TIMEOUT_SECONDS = 30;
export const WEBHOOK_ANSWER_BYTES = 1024 * 1024;
/** Port-forwards open at once, ports in one, and bytes waiting in one direction before the other side pauses. */
export const PORT_FORWARDS = 256;
export const PORT_FORWARD_PORTS = 64;
export const PORT_FORWARD_QUEUE_BYTES = 1024 * 1024;
/** One message of a WebSocket. */
export const WEB_SOCKET_MESSAGE_BYTES = 4 * 1024 * 1024;
/** Streams of one SPDY connection, and the largest frame read. */
export const SPDY_STREAMS = 256;
export const SPDY_FRAME_BYTES = 1024 * 1024;
/** Service-account tokens: how long they may and must live. */
export const TOKEN_SECONDS_MIN = 600;
export const TOKEN_SECONDS_MAX = 365 * 86_400;
export const TOKEN_SECONDS_DEFAULT = 3_600;
export const TOKEN_BYTES = 16 * 1024;
/** Warnings sent with one answer. */
export const WARNINGS = 50;
