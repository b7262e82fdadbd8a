/** Every bound of this package, in one place. */

/** An answer that is read whole; a page of a list at {@link LIST_PAGE_ITEMS} stays well below. */
export const MAX_BODY_BYTES = 256 * 1024 * 1024;
/** One line of a watch is one object; etcd refuses objects above 1.5 MiB. */
export const MAX_WATCH_LINE_BYTES = 16 * 1024 * 1024;
/** Of an error answer, what is kept for the message. */
export const MAX_ERROR_TEXT_CHARS = 2_000;
export const LIST_PAGE_ITEMS = 500;
/** A list that goes on for longer than this many pages is refused. */
export const MAX_LIST_PAGES = 10_000;
/** Open connections to one API server; each watch holds one. */
export const MAX_SOCKETS = 256;
/** Objects that others refer to, beyond which all of their kind are watched in place of each by itself; and below which again each. */
export const MAX_FOLLOWED_REFERENCES = 32;
export const FEW_REFERENCES = 16;
export const REQUEST_TIMEOUT_MS = 60_000;
/** How often a request is sent again that a busy server asked us to send again, and how long at most between two. */
export const BUSY_RETRIES = 10;
export const BUSY_WAIT_MAX_MS = 5_000;
/** How long a connection may take that is opened before anybody needs it. */
export const CONNECT_AHEAD_MS = 5_000;
export const TCP_KEEPALIVE_MS = 30_000;
/** How long a service account token or a kubeconfig's credentials are used before they are read again. */
export const CREDENTIALS_REUSE_MS = 10_000;
/** The server ends a watch after a time between these two, so that clients spread. */
export const WATCH_TIMEOUT_MIN_S = 300;
export const WATCH_TIMEOUT_MAX_S = 600;
/** How much longer than its own timeout a watch may stay open before we end it. */
export const WATCH_GRACE_MS = 30_000;
/** A watch that lasted this long was a good one, and the next failure is the first again. */
export const HEALTHY_WATCH_MS = 1_000;
export const RETRY_INITIAL_MS = 200;
export const RETRY_MAX_MS = 30_000;
/** How often a resource type that the server does not know is asked for again. */
export const MISSING_TYPE_RETRY_MS = 10_000;
/** What a forwarded port may hold for a slow reader before its socket is paused. */
export const PORT_FORWARD_BUFFER_BYTES = 1024 * 1024;
export const PORT_FORWARD_MESSAGE_MAX_BYTES = 4 * 1024 * 1024;
/** After this long without renewal a lease is anybody's. As Istio's: 30 s, given up after 15 s, tried every 7.5 s. */
export const LEASE_DURATION_MS = 30_000;
/** A leader that could not renew for this long leads no longer. */
export const LEASE_RENEW_DEADLINE_MS = 15_000;
export const LEASE_RETRY_MS = 7_500;
/** A server that hangs must not keep a leader believing that it leads. */
export const LEASE_REQUEST_TIMEOUT_MS = 5_000;
/** The same Event about the same object. */
export const EVENT_REPEAT_MS = 600_000;
export const EVENTS_PER_MINUTE = 60;
export const MAX_REMEMBERED_EVENTS = 4_000;
/** The API server takes 1,024. */
export const EVENT_MESSAGE_MAX_CHARS = 1_000;
export const EVENT_TIMEOUT_MS = 10_000;
