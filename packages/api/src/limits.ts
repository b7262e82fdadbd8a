/** How much of a message is read at all. Beyond it, decoding refuses before it allocates. */

/** One mesh resource: far above what a control plane sends, and small enough that hostile bytes cannot exhaust memory. */
export const MAX_RESOURCE_BYTES = 1_048_576;

/**
 * One resource of a waypoint: all that may be named by one object, at its longest (32 parents of 256 hosts each), with room
 * for what the object says. What is longer than this its control plane does not send; see there.
 */
export const MAX_WAYPOINT_RESOURCE_BYTES = 4_194_304;

/** A response of the control plane; the whole mesh may come in one. As Istio's ztunnel. */
export const MAX_DISCOVERY_RESPONSE_BYTES = 209_715_200;

/** A request of a client; a reconnecting one names all that it holds. */
export const MAX_DISCOVERY_REQUEST_BYTES = 67_108_864;

/** A certificate request or response. */
export const MAX_CERTIFICATE_MESSAGE_BYTES = 1_048_576;

/** A datagram between node agent and ztunnel: both sides read with a buffer of this size. */
export const MAX_ZDS_MESSAGE_BYTES = 1_024;
