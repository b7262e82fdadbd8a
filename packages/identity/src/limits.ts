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
