/** The bounds of what a waypoint takes from its control plane; beyond one, the resource is a problem. */

/**
 * Services that one route may be attached to, and things that one policy may be attached to: the API server takes 32
 * parents of a route, each of which may be a ServiceEntry of 256 hosts.
 */
export const MAX_PARENTS = 8_192;
/** Rules of one route or policy, matches of one rule, conditions of one match, and the like. */
export const MAX_PARTS = 4_096;
/** Rules, matches and conditions of one resource together. */
export const MAX_CONDITIONS = 65_536;
/** Backends of one rule. */
export const MAX_BACKENDS = 1_024;
/** What the weights of one rule may add up to: every weight stays exact in the sum. */
export const MAX_WEIGHT_SUM = 2 ** 40;
/** Characters of a header's value, a path, a pattern, a PEM bundle: anything that is text. */
export const MAX_TEXT_LENGTH = 262_144;
/** Bytes of a response that a user wrote into a route. */
export const MAX_DIRECT_RESPONSE_BYTES = 1_048_576;
/** Tries after the first. */
export const MAX_RETRIES = 100;
/** Milliseconds of any timeout, delay or interval: 30 days. */
export const MAX_DURATION_MS = 2_592_000_000;
/** Entries of a table for consistent hashing: 4 bytes each, for each set of endpoints. */
export const MAX_HASH_TABLE_SIZE = 1_048_576;
/** Workloads that one subset may name. */
export const MAX_SUBSET_WORKLOADS = 100_000;
/** Bytes of a request's body that are kept for an external authorizer, whatever the user asks for. */
export const MAX_AUTHORIZATION_BODY_BYTES = 4_194_304;
/** Ports of services, and destinations, whose joined configuration is remembered. Beyond it they are joined anew. */
export const MAX_JOINED = 65_536;
