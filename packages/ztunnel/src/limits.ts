/** Bounds of the control thread, each with its unit. */

/** How long a worker may take to be ready after it was started. */
export const WORKER_START_TIMEOUT_MS = 20_000;

/** How long a worker may take to answer a question of the admin pages or of a scrape. */
export const WORKER_ANSWER_TIMEOUT_MS = 5_000;

/** How long a worker that is to drain may take to close its listeners before the next one closes its own. */
export const WORKER_DRAIN_TURN_MS = 200;

/** Listeners of a pod open within this, on every worker, or the pod is refused and retried. */
export const POD_START_TIMEOUT_MS = 4_000;

/** How long connections of a removed pod may go on while its namespace lives. */
export const POD_DRAIN_MS = 5_000;

/** After that, how long workers may take to say that they have stopped. */
export const POD_STOP_GRACE_MS = 5_000;

/** Pods of one node. */
export const MAX_PODS = 10_000;

/** How long the control plane may take to answer an address that a connection waits for. */
export const DEMAND_TIMEOUT_MS = 5_000;

/** Time beyond the drain deadline in which workers must be gone. */
export const DRAIN_GRACE_MS = 1_000;

/** How long a certificate that never came is asked for after its last pod has left: the kubelet makes a sandbox anew in less. */
export const FORGET_UNANSWERED_MS = 30_000;

/** A file of revocation lists. */
export const MAX_CRL_BYTES = 16_777_216;

/** How often the revocation lists are looked at. */
export const CRL_POLL_INTERVAL_MS = 2_000;

/** Label combinations that one worker counts apart. */
export const MAX_TRAFFIC_SERIES = 20_000;

/** How long after it was ready, or after a large change, a process gives back what that took. */
export const TIDY_DELAY_MS = 1_000;

/** A change of mesh state after which it is worth while to collect garbage. */
export const LARGE_CHANGE_BYTES = 1_048_576;

/** When a pod that has started is looked at for connections that are older: redirection follows the start of its proxy. */
export const CLEAR_LOOKS_MS = [1_000, 3_000] as const;

/** Connections in clear that are kept in mind per pod; those beyond are cut. */
export const MAX_CLEAR_CONNECTIONS_PER_POD = 20_000;

/** How long changes of the mesh are gathered before policy is asked again about connections in clear. */
export const CLEAR_JUDGEMENT_DELAY_MS = 200;

/** What a worker warms up with: so many that V8's last compiler has met all that each of them calls once. */
export const WARM_UP_CONNECTIONS = 600;
