/** What the node agent holds, waits for and retries, at most. */

/** Pods of one node that may be enrolled. */
export const MAX_ENROLLED_PODS = 2_000;
/** Namespaces that are remembered: of pods inside and outside the mesh. */
export const MAX_REPORTED_PODS = 4_000;
/** Pods worked on at the same time. */
export const CONCURRENT_PODS = 8;
export const RETRY_INITIAL_MS = 5;
export const RETRY_MAX_MS = 5_000;
/** Failures that are tried again sooner are not worth a warning yet. */
export const RETRY_WARNED_MS = 250;
/** What keeps failing for the same reason is told again after this. */
export const FAILURE_TOLD_AGAIN_MS = 3_600_000;
/** A plugin's call waits for a pod that the API server has told the runtime of and not yet us. */
export const POD_APPEARS_TRIES = 10;
export const POD_APPEARS_WAIT_MS = 10;
/** The plugin gives up after 5 s; the answer must be there before. */
export const PLUGIN_CALL_TIMEOUT_MS = 4_500;
export const MAX_PLUGIN_BODY_BYTES = 65_536;
export const MAX_PLUGIN_CALLS = 256;
/**
 * From the moment a pod is no longer marked as enrolled until its listeners close: the control plane tells the others in
 * the meantime, and nobody opens a tunnel to a port that has closed.
 */
export const PROPAGATION_MS = 2_000;
/**
 * How long programs' connections through the proxy may go on undisturbed after their pod has left, before the proxy is told
 * to end them.
 */
export const RELEASE_QUIET_MS = 60_000;
/** How long the proxy's open connections of a released pod may go on before its marks go. */
export const RELEASE_DRAIN_MS = 10_000;
export const RELEASE_POLL_MS = 250;
/** Listings of a released pod's sockets to cut them by, one after the other, in which the agent does nothing else. */
export const MAX_CUT_LISTINGS = 8;
/** Namespace files and processes looked at to find a pod's namespace. */
export const MAX_NETNS_CANDIDATES = 20_000;
/** Connections that are listed for one pod. */
export const MAX_CLEAR_CONNECTIONS_LISTED = 100;
export const NODE_STATE_INTERVAL_MS = 10_000;
/** A failure that is tried again only after so long gets an Event, about three seconds after the first attempt. */
export const FAILURE_TOLD_RETRY_MS = 1_000;
/** Until what was written to a pod must have come back from the watch. */
export const MARK_SEEN_MS = 5_000;
