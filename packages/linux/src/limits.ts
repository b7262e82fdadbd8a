/** Every bound of this package. */

/** A message on a SEQPACKET socket; ZDS reads with a buffer of this size on both sides. */
export const MAX_MESSAGE_BYTES = 1024;

/** `sun_path` of a Unix socket address, without the terminating zero. */
export const MAX_SOCKET_PATH_BYTES = 107;

/** Connections that wait for accept on a SEQPACKET listener. */
export const SEQPACKET_BACKLOG = 16;

/** What one netlink answer may bring in one read. */
export const NETLINK_READ_BYTES = 256 * 1024;

/** A list of the kernel's that changes while it is read is read so often in all. */
export const MAX_DUMP_READINGS = 5;

/** Connections that one listing of a namespace returns. */
export const MAX_LISTED_CONNECTIONS = 100_000;

/** Addresses that one listing of a namespace returns. */
export const MAX_LISTED_ADDRESSES = 10_000;

/** Tables of nftables that one listing of a namespace returns. */
export const MAX_LISTED_TABLES = 10_000;

/** Tables, chains or rules of nftables that one namespace may have for some to be copied. */
export const MAX_COPIED_RULES = 1_000;

/** A frame with everything that segmentation offload puts together. */
export const MAX_FRAME_BYTES = 128 * 1024;
