/** Every bound of this package, in one place. */

/** A token that was reviewed is not reviewed again for this long; so late is a revocation seen. */
export const TOKEN_CACHE_MS = 10_000;
export const MAX_CACHED_TOKENS = 2_000;
export const MAX_TOKEN_CHARS = 16_384;
export const TOKEN_REVIEW_TIMEOUT_MS = 5_000;
/** How long a certificate request waits for a pod that the API server has not told us of yet. */
export const UNKNOWN_POD_WAIT_MS = 2_000;
/** Certificate requests that wait so; further ones are refused at once. */
export const MAX_WAITING_REQUESTS = 1_000;
/** Objects written to the API server at once, by each writer. */
export const WRITE_CONCURRENCY = 4;
/** How soon one object is written again: whoever puts back what we write does so at once, and so would we. */
export const WRITE_AGAIN_MS = 100;
export const WRITE_RETRY_INITIAL_MS = 200;
export const WRITE_RETRY_MAX_MS = 30_000;
/** How long a failure that repeats is not said again. */
export const WRITE_FAILURE_TOLD_MS = 3_600_000;
/** How many causes of one object's failures are said within that. */
export const WRITE_CAUSES_TOLD = 8;
/** How often the Secret of the self-signed root is looked at; so late does a replica hear of what another did to it. */
export const ROOT_CHECK_MS = 60_000;
/** The secret with the CA's key is asked for again after this, when it could not be had. */
export const SECRET_RETRY_MAX_MS = 10_000;
/** How much later workloads are told when policies have changed as well: long enough to write the policies out. */
export const POLICIES_FIRST_MS = 2;
/** How long a policy that workloads named is still served after it is gone, so that they stop naming it first. */
export const POLICY_WITHDRAWAL_MS = 1_000;
/** How short and how long the certificate of our own ports may live: a timer for half of it must not overflow. */
export const MIN_SERVING_TTL_MS = 10_000;
export const MAX_SERVING_TTL_MS = 720 * 3_600_000;
/** How soon it is renewed again, however little of its CA's life is left. */
export const SERVING_RENEWAL_MIN_MS = 2_000;
/**
 * How long a certificate of another root waits for the API server to be told of that root, at most; and how long a start
 * does. Longer, and a configuration that cannot be written would keep proxies from a certificate that they believe.
 */
export const BELIEVED_WAIT_MAX_MS = 600_000;
export const BELIEVED_AT_START_MAX_MS = 10_000;
/** How long after one API server has stored a root the others know it, too. */
export const BELIEVED_EVERYWHERE_MS = 2_000;
/**
 * How long a root that is ours no more stays with the API server: longer than the kubelet takes to bring a changed Secret to
 * every replica. And how many of those.
 */
export const DEPARTING_ROOT_MS = 600_000;
export const MAX_DEPARTING_ROOTS = 16;
/** What the API server sends for review: an object, and the old one. */
export const MAX_ADMISSION_BODY_BYTES = 8 * 1024 * 1024;
export const ADMISSION_REQUEST_TIMEOUT_MS = 10_000;
export const MAX_ADMISSION_CONNECTIONS = 256;
/** Characters of one warning of an admission answer; kubectl cuts longer ones. */
export const MAX_WARNING_CHARS = 250;
/** Characters of the reason for which an object is refused; also in the log. */
export const MAX_REFUSAL_CHARS = 4_096;
/** Warnings of one admission answer: beyond these nobody reads on, and the API server cuts them off. */
export const MAX_WARNINGS = 10;
/** Sets of labels of pods that a policy selects, of which it is found out which waypoints are before them; of others nothing is said. */
export const MAX_LABEL_SETS_COMPARED = 1_000;
/** Addresses of each family that are remembered as free again. */
export const MAX_REMEMBERED_ADDRESSES = 65_536;
/** Characters of the mesh's settings: a ConfigMap holds no more. */
export const MAX_MESH_CONFIG_CHARS = 1024 * 1024;
/** Items of a list on a debug page, when nobody says how many, and at most. */
export const DEBUG_PAGE_ITEMS = 1_000;
export const MAX_DEBUG_PAGE_ITEMS = 50_000;
/** How long the page of findings looks at objects before others have their turn: a policy is held against every pod. */
export const FINDINGS_TURN_MS = 10;
/**
 * Characters of one text that changes an object of a waypoint: reading YAML takes time that grows with the square of its
 * keys, in which nothing else is done. And how deep it may nest; Kubernetes' objects do not.
 */
export const MAX_OVERLAY_CHARS = 16 * 1024;
export const MAX_OVERLAY_DEPTH = 64;
/** Secrets that one Gateway has mounted for its waypoint. */
export const MAX_MOUNTED_CREDENTIALS = 32;
/** After how long it is said that tags of revisions cannot be read, and what that keeps from being done. */
export const TAGS_OVERDUE_MS = 10_000;
/** How often it is tried to make the class of waypoints while the Gateway API is not installed. */
export const GATEWAY_API_RETRY_MS = 10_000;
/** Milliseconds of any timeout, delay or interval that waypoints are sent: 30 days, as much as they take. */
export const MAX_WIRE_DURATION_MS = 2_592_000_000;
/** Services that one resource for waypoints is about; what is about more becomes several. */
export const MAX_PARENTS_OF_RESOURCE = 1_000;
/**
 * How often one DestinationRule may ask for workloads, by subsets and by labels for failover: as many subsets as waypoints
 * take. And how many it may come to in all: more than waypoints read, at the shortest names there are.
 */
export const MAX_WORKLOAD_QUESTIONS = 4_096;
export const MAX_TOLD_WORKLOADS = 200_000;
/** Shares, and pairs and labels for failover, of one localityLbSetting: as many as waypoints take. */
export const MAX_LOCALITY_PARTS = 4_096;
/** What is told of one object's mistakes; the rest would not help. */
export const MAX_PROBLEMS = 20;
/** Characters of a condition's message that the API server stores. */
export const MAX_CONDITION_MESSAGE_CHARS = 32_768;
/** Characters of all regular expressions of one route or VirtualService, with what it delegates to: some 60 of them at their longest. */
export const MAX_PATTERN_CHARS = 65_536;
/**
 * Characters of all that a VirtualService delegates to, as often as it is repeated for routes and matches that lead there:
 * twice what waypoints read.
 */
export const MAX_DELEGATED_CHARS = 8_388_608;
/** After how long a route may ask for a second try beside the first: what is longer is no tail that anybody would cut. */
export const MAX_HEDGE_AFTER_MS = 60_000;
