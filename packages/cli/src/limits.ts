/** Every bound of the command, with its unit in the name. */

/** One answer of a proxy's admin port: a dump of 10,000 workloads has about 10 MiB. */
export const MAX_ADMIN_ANSWER_BYTES = 256 * 1024 * 1024;
/** From asking a proxy to its last byte. */
export const ADMIN_TIMEOUT_MS = 20_000;
/** After so long without its answer, a proxy is called behind; a busy node may take seconds. */
export const PROXY_LATE_MS = 10_000;
/** Of a certificate's life. Half is when it is renewed: what is not renewed by then is worth a word. */
export const CERTIFICATE_LATE_SHARE = 0.75;
/** Proxies asked at a time. */
export const MAX_PROXIES_ASKED_AT_ONCE = 8;
/** How long `enroll` and `unenroll` wait for the pods, unless told otherwise. */
export const ENROL_WAIT_MS = 60_000;
export const ENROL_POLL_MS = 500;
/** How long connections through the proxy go on after their pod was released, at most: what the node agent gives them. */
export const RELEASED_OPEN_MS = 70_000;
/** How long `waypoint apply` and `waypoint status` wait, unless told otherwise. */
export const WAYPOINT_WAIT_MS = 90_000;
export const WAYPOINT_POLL_MS = 500;
/** How much of somebody's text goes into one cell or message. */
export const MAX_CELL_CHARS = 300;
/** How much is said in one sentence on standard error. */
export const MAX_SENTENCE_CHARS = 2_000;
/** How much is said of one finding about an object: a condition's message may name many things. */
export const MAX_FINDING_CHARS = 2_000;
/** Requests to the API server at a time. */
export const MAX_REQUESTS_AT_ONCE = 8;
/** How often noting who owns an object's fields is tried while others write the object. */
export const TAKE_OVER_ATTEMPTS = 5;
/** Of one object, how many changed fields a plan names. */
export const MAX_CHANGES_SHOWN = 6;
/** How long `install`, `upgrade` and `uninstall` wait, unless told otherwise. */
export const INSTALL_WAIT_MS = 300_000;
export const INSTALL_POLL_MS = 500;
/** How long the API server may take to serve a resource kind that was just defined. */
export const ESTABLISH_WAIT_MS = 30_000;
/** Pods that a message about a rollout names. */
export const MAX_PODS_NAMED = 3;
/** Objects that a reason names. */
export const MAX_OBJECTS_NAMED = 5;
/** Of what a container waits for, in a message about a rollout. */
export const MAX_REASON_CHARS = 200;
/** A file of values is written by hand. */
export const MAX_VALUES_FILE_BYTES = 1024 * 1024;
/** How long one node's pod may take to answer: it tries rules and other nodes. */
export const PREFLIGHT_NODE_MS = 40_000;
/** How long the kubelet may take to probe a pod that runs. */
export const PREFLIGHT_PROBED_MS = 10_000;
/** How long removing what a preflight made may take. */
export const PREFLIGHT_CLEANUP_MS = 15_000;
/** Other nodes that each node tries to reach. */
export const MAX_PEERS_REACHED = 32;
