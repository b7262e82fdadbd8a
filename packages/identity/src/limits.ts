/** Every bound of this package, with its unit in the name. */

/** The SPIFFE standard's own limit for an identity. */
export const MAX_SPIFFE_ID_LENGTH_CHARS = 2_048;
/** URI names of one certificate that are looked at; the rest could not be an honest workload's. */
export const MAX_URI_NAMES = 64;
/** One certificate or request, as PEM. Istio's are about 1 KiB. */
export const MAX_PEM_BLOCK_SIZE_BYTES = 64 * 1024;
/** A CA's whole answer, or a bundle of roots in a file. */
export const MAX_BUNDLE_SIZE_BYTES = 1024 * 1024;
/** Certificates of one chain or bundle. */
export const MAX_BUNDLE_CERTIFICATES = 256;
/** Weaker RSA keys are refused; longer ones would make checking a request expensive. */
export const MIN_RSA_KEY_SIZE_BITS = 2_048;
export const MAX_RSA_KEY_SIZE_BITS = 8_192;
/** How long a workload's certificate lives when nobody says otherwise, and the most anybody may ask for. */
export const DEFAULT_LEAF_TTL_MS = 24 * 3_600_000;
export const MAX_LEAF_TTL_MS = 90 * 24 * 3_600_000;
/** How long a self-signed root lives. */
export const ROOT_LIFETIME_MS = 10 * 365 * 24 * 3_600_000;
/** Certificates of a peer's chain that are kept for revocation checks. */
export const MAX_CHAIN_CERTIFICATES = 10;
/** Identities of one node: its pods' service accounts. */
export const MAX_IDENTITIES = 4_096;
/** Requests to the CA at a time, as Istio. */
export const MAX_REQUESTS_IN_FLIGHT = 8;
/** A request that takes longer counts as failed. */
export const REQUEST_TIMEOUT_MS = 15_000;
/** However many requests fail, a CA is not dialled anew more often than this. */
export const CHANNEL_MIN_AGE_MS = 250;
/** Clients that lose their connection to a CA at once are back within this. */
export const RECONNECT_SPREAD_MS = 5_000;
/** However short certificates live, they are not renewed more often, unless they would be gone by then. */
export const MIN_REFRESH_INTERVAL_MS = 5_000;
/** Nobody asks more often than this, whatever comes. */
export const SHORTEST_INTERVAL_MS = 1_000;
/** How often another is asked for in place of one that is not valid yet. */
export const NOT_YET_VALID_INTERVAL_MS = 10_000;
/** Wait before asking again after a failure: the first time, and at most. As Istio. */
export const RETRY_INITIAL_MS = 500;
/** Who waits for a certificate is not refused while the next try is this near: a control plane that starts needs a moment. */
export const NEAR_RETRY_MS = 1_250;
export const RETRY_MAX_MS = 150_000;
/** Pauses between questions whether a CA that is connected again gives certificates, and how many are asked. */
export const PROBE_INITIAL_MS = 1_000;
export const PROBE_MAX_MS = 15_000;
export const MAX_PROBES = 20;
/** When a certificate comes, all others that could not be had are asked for within this, and so at most once in that. */
export const RECOVERY_SPREAD_MS = 2_000;
export const RECOVERY_INTERVAL_MS = 15_000;
/** Long waits are cut into pieces of this length, since timers overflow and machines sleep. */
export const MAX_TIMER_MS = 3_600_000;
/** A service-account token; Kubernetes' are about 1 KiB. */
export const MAX_TOKEN_SIZE_BYTES = 16 * 1024;
/** A file of revocation lists, and the certificates of one list. */
export const MAX_REVOCATION_FILE_SIZE_BYTES = 16 * 1024 * 1024;
export const MAX_REVOKED_CERTIFICATES = 200_000;
