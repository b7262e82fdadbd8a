/** The bounds of what tokens, key sets and services that authorize may cost. */

/** Characters of a token; a longer one is malformed. */
export const MAX_TOKEN_LENGTH = 16_384;
/** Tokens of one request that are looked at. */
export const MAX_TOKENS = 16;
/** Bytes of a key set, or of a document that says where it is. */
export const MAX_KEY_SET_BYTES = 1_048_576;
/** Keys of one set. */
export const MAX_KEYS = 256;
/** Keys that one token is tried with, when it does not say which. */
export const MAX_KEYS_TRIED = 8;
/** Tokens whose signature is known to be good, in all of this process. */
export const MAX_VERIFIED_TOKENS = 4_096;
/** Characters of all of them: as many of a usual length. What they say takes a multiple of that, which its author chooses. */
export const MAX_VERIFIED_LENGTH = 4_194_304;
/** Key sets that are kept for addresses; beyond it, those that were not used for longest go. */
export const MAX_KEY_SETS = 1_024;
/** How old a key set grows before it is fetched again, the old one in use meanwhile. Istio's. */
export const KEY_SET_REFRESH_MS = 1_200_000;
/** A key set is not fetched more often than this because a token names a key that it has not. */
export const UNKNOWN_KEY_REFRESH_MS = 30_000;
/** After a fetch that failed, none is begun for so long; doubled with each failure, up to the second. */
export const FETCH_BACKOFF_MS = 1_000;
export const MAX_FETCH_BACKOFF_MS = 60_000;
/** What clocks may differ by: Envoy's, and so Istio's. */
export const CLOCK_SKEW_S = 60;
/** Characters of the address in `www-authenticate`. Envoy's. */
export const MAX_REALM_LENGTH = 256;
/** Bytes of an authorizing service's answer: what a client is told, at most. */
export const MAX_AUTHORIZATION_ANSWER_BYTES = 1_048_576;
/** Tokens that differ, in one request, all its rules together. */
export const MAX_DIFFERENT_TOKENS = 8;
