/** Every bound of the conversation between node agent and ztunnel. Numbers that both sides share are Istio's. */

/** How long the agent waits for the hello, and for the answer to each message. */
export const ANSWER_TIMEOUT_MS = 5_000;

/** The agent accepts one connection in this time, so that a crashing ztunnel does not keep it busy. */
export const ACCEPT_INTERVAL_MS = 200;

/** Messages of one connection that are under way at the same time: sent and not answered, or received and not answered. */
export const MAX_UNDER_WAY = 8;

/** Updates of one connection that are not answered yet; the snapshot is beside them. */
export const MAX_QUEUED_UPDATES = 100;

/** ztunnels connected at once: the running one, its successor, and some that crashed half-way. */
export const MAX_CONNECTIONS = 8;

/** How long starting a pod's proxy may keep the agent waiting; shorter than the agent's patience. */
export const START_TIMEOUT_MS = 4_000;

/**
 * Of that, how long it may take until a pod that waits outside has what its connections need. The agent asks again, and
 * others wait for their answers behind this one.
 */
export const ADMISSION_TIMEOUT_MS = 500;

/** How often proxies that failed to start are tried again. */
export const RETRY_INTERVAL_MS = 5_000;

/** Pods that one agent may announce. */
export const MAX_PODS = 10_000;

/** Waiting before the next attempt to reach the agent: no pod of the mesh starts until it is reached, and asking costs nothing. */
export const RECONNECT_INITIAL_MS = 20;
export const RECONNECT_MAX_MS = 500;

/** Text of a refusal; the whole message must fit into one datagram. */
export const MAX_ACK_ERROR_BYTES = 900;
