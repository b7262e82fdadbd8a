/** Every bound of the lab's kubelet. */

/** Pods of one node. The address plan has room for 253. */
export const MAX_PODS_PER_NODE = 110;

/** How long one CNI plugin may take. */
export const CNI_TIMEOUT_MS = 60_000;

/** What one CNI plugin may print. */
export const MAX_CNI_OUTPUT_BYTES = 1024 * 1024;

/** Waiting before a pod's sandbox or volumes are tried again. */
export const SETUP_RETRY_INITIAL_MS = 200;
export const SETUP_RETRY_MAX_MS = 5_000;

/** Waiting before a container that ended is started again. */
export const RESTART_INITIAL_MS = 500;
export const RESTART_MAX_MS = 30_000;

/** A container that ran this long starts again without what earlier failures had added. */
export const RESTART_RESET_MS = 60_000;

/** Kubernetes' default for `terminationGracePeriodSeconds`. */
export const DEFAULT_GRACE_SECONDS = 30;

/** What is kept of one container's output, twice. */
export const MAX_LOG_BYTES = 8 * 1024 * 1024;

/** Containers of one node that have ended whose output is kept. */
export const MAX_ENDED_LOGS = 32;

/** Service-account tokens are asked for anew after this share of their life. */
export const TOKEN_RENEWAL_SHARE = 0.8;

/** Kubernetes' default and shortest life of a projected token. */
export const DEFAULT_TOKEN_SECONDS = 3_600;
export const MIN_TOKEN_SECONDS = 600;

/** How often projected files are compared with what they are made from. */
export const VOLUME_REFRESH_MS = 10_000;

/** What a probe reads of an answer. */
export const MAX_PROBE_ANSWER_BYTES = 64 * 1024;

/** As long as Kubernetes lets an event's message be. */
export const MAX_EVENT_MESSAGE_CHARS = 1_024;
