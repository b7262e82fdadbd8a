/** Every bound of the command, with its unit in the name. */

/** One answer of a proxy's admin port: a dump of 10,000 workloads has about 10 MiB. */
export const MAX_ADMIN_ANSWER_BYTES = 256 * 1024 * 1024;
/** From asking a proxy to its last byte. */
export const ADMIN_TIMEOUT_MS = 20_000;
/** Proxies asked at a time. */
export const MAX_PROXIES_ASKED_AT_ONCE = 8;
/** How long `enroll` and `unenroll` wait for the pods, unless told otherwise. */
export const ENROL_WAIT_MS = 60_000;
export const ENROL_POLL_MS = 500;
/** How much of somebody's text goes into one cell or message. */
export const MAX_CELL_CHARS = 300;
