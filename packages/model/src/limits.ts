/** The bounds of what the model accepts from outside; beyond one, the resource is a problem and is left out. */

/** Addresses of one workload, and VIPs or CIDR VIPs of one service. */
export const MAX_ADDRESSES = 256;
/** Services that one workload may belong to, and waypoints that one service may split its traffic over. */
export const MAX_MEMBERSHIPS = 1024;
/** Ports of one service, or of one membership. */
export const MAX_PORTS = 1024;
/** Policies that one workload may name. */
export const MAX_POLICY_REFERENCES = 1024;
/** Matchers (leaves of rules, clauses and matches) in one policy. */
export const MAX_POLICY_MATCHERS = 100_000;
/** Characters of one name, hostname or identity. */
export const MAX_NAME_LENGTH = 1024;
/** Values that an interner remembers before it starts afresh. */
export const MAX_INTERNED = 65_536;
/** Workloads that an interner remembers to know their replicas by: some hundred bytes each, 2 KiB at most. */
export const MAX_ALIKE = 2048;
/** Resources of one delta, or removals, and workloads among them, from which on they are not decoded one by one (roll/roll-up.ts). */
export const MIN_ROLL = 256;
/** Rolls that a mesh looks into for each question. What comes in one more is decoded as it comes. */
export const MAX_ROLLS = 4;
/** Bytes of a local mesh file. */
export const MAX_LOCAL_FILE_BYTES = 64 * 1024 * 1024;
/** Values in a local mesh file, with every alias counted as what it stands for. */
export const MAX_LOCAL_FILE_NODES = 1_000_000;
/** Endpoints that an explanation lists; the rest are counted. */
export const MAX_EXPLAINED_ENDPOINTS = 50;
/** Addresses in one DNS answer: what fits into the largest message, with room to spare. */
export const MAX_DNS_ADDRESSES = 1000;
/** Endpoints, over all services and client localities, that are remembered as candidates; about 50 bytes each. */
export const MAX_CACHED_CANDIDATES = 100_000;
/** Connections that wait for a change of mesh state at a time. */
export const MAX_MESH_WAITS = 10_000;
