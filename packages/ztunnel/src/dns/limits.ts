/** Bounds of the DNS proxy, each with its unit. */

/** A question may not be longer; a resolver's are a tenth of it. */
export const MAX_QUERY_BYTES = 4_096;

/** An answer over UDP, whatever the client says that it takes. */
export const MAX_UDP_ANSWER_BYTES = 4_096;

/** What every client takes over UDP. */
export const MIN_UDP_ANSWER_BYTES = 512;

/** Records that a question may carry beside itself (OPT, signatures). */
export const MAX_QUERY_RECORDS = 16;

/** Questions that one pod may have with upstream resolvers. */
export const MAX_IN_FLIGHT_PER_POD = 256;

/** Questions that all pods together may have with upstream resolvers; each holds a socket. */
export const MAX_IN_FLIGHT = 2_048;

/** TCP connections of one pod's clients. */
export const MAX_TCP_CONNECTIONS_PER_POD = 128;

/** Questions of one TCP connection that wait for their answers; reading pauses there. */
export const MAX_PIPELINED = 32;

/** A question is answered within this, or with SERVFAIL. */
export const QUERY_TIMEOUT_MS = 5_000;

/** After this without an answer over UDP, the next resolver is asked, or the only one again. */
export const UDP_ATTEMPT_MS = 2_000;

/** With less time left than this no resolver is asked any more. */
export const MIN_ATTEMPT_MS = 500;

/** A TCP connection without questions is closed. */
export const TCP_IDLE_MS = 10_000;

/** How long a question waits for the pod's workload to be known. */
export const WORKLOAD_WAIT_MS = 2_000;

/** How long an answer of the mesh may be kept. Istio's. */
export const ANSWER_TTL_SECONDS = 30;

/** Resolvers taken from resolv.conf, as resolvers do. */
export const MAX_NAMESERVERS = 3;

/** Bytes read of resolv.conf. */
export const MAX_RESOLV_CONF_BYTES = 65_536;
