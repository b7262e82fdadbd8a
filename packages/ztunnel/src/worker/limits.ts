/** Bounds of a data worker, each with its unit. */

/** Connections that wait in the kernel for a listener to take them. */
export const LISTEN_BACKLOG = 4_096;
/** How long a connection waits for the mesh to know the pod that it belongs to. */
export const LOCAL_WORKLOAD_WAIT_MS = 5_000;
/** How long a connection waits for a policy that its workload names. */
export const MISSING_POLICY_WAIT_MS = 1_000;
/** How long a connection waits for an address that is asked for on demand. */
export const DEMAND_WAIT_MS = 5_000;
/** Keys asked for on demand and answered with nothing, that are not asked for again. */
export const MAX_KNOWN_ABSENT = 10_000;
/** Rounds of asking for what a route needs: the service, its waypoint, the waypoint's endpoints. */
export const MAX_DEMAND_ROUNDS = 4;

/** How long a handshake waits for its certificate. */
export const CERTIFICATE_WAIT_MS = 10_000;
/** Handshakes that wait for certificates at a time. */
export const MAX_CERTIFICATE_WAITS = 4_096;

/** One piece of work that would hold up connections: the rest goes to the loop's next turn. */
export const SLICE_MS = 1;
/** Resources or connections between two looks at the clock. */
export const SLICE_STEP = 16;

/**
 * How long a peer has to answer a CONNECT: it may wait for its workload, then for a policy, then for its application, each
 * as long as we would.
 */
export const CONNECT_ANSWER_TIMEOUT_MS = 20_000;

/** A peer that owes the answer to a PING for so long is not merely busy: nothing reaches it, or nothing comes back. */
export const TUNNEL_SILENT_MS = 1_000;

/** A waypoint that has not answered after so long may not be the destination's any more: from then on that is looked at. */
export const WAYPOINT_DOUBT_MS = 50;
/** Connections of a worker that look for it at a time; each looks again at each change of the mesh. */
export const MAX_DOUBTS = 1_000;
/** How long a connection that a waypoint does not know (404) waits for news of where else it leads. */
export const STALE_ROUTE_WAIT_MS = 1_000;

/**
 * After so much an application waits for its CONNECT to be answered, and each read before brings no more. Kept until then,
 * since it may have to be said again.
 */
export const EARLY_DATA_BYTES = 4 * 1024;

/** What a connection moves at least, and at least at which rate over its life (half a gigabit a second), that a thread may bound. */
export const BULK_CONNECTION_BYTES = 64 * 1024 * 1024;
export const BULK_BYTES_PER_MS = 64 * 1024;
/** After so many connections of a worker what is known of destinations counts half. */
export const BULK_TABLE_HALVED_EVERY = 16_384;

/** Tries to open a stream in a tunnel; one may end between being chosen and being used. */
export const MAX_STREAM_ATTEMPTS = 3;

/** Sources and names whose resolutions are counted apart. */
export const MAX_EVENT_SERIES = 1_000;

/** One burst of a worker's warm-up. */
export const WARM_UP_BURST_MS = 4;
/** The pause after each, which is the thread's for others, as a share of how long it really took: where CPU is short, both grow. */
export const WARM_UP_PAUSE_SHARE = { idle: 1.5, busy: 9 } as const;
/** After so many connections a pod of the warm-up ends, and another one begins. */
export const WARM_UP_LIFE_CONNECTIONS = 100;
/** So many of them stay open beside the others. */
export const WARM_UP_HELD_CONNECTIONS = 12;
/** How long the warm-up's pod may take to end its tunnels. */
export const WARM_UP_DRAIN_MS = 1_000;
/** For V8's compilers, when all connections are through. */
export const WARM_UP_REST_MS = 500;
export const WARM_UP_TIMEOUT_MS = 30_000;

/** A listener that cannot accept says so once in this time. */
export const ACCEPT_WARNING_MS = 10_000;

/** So often at most a worker logs the stack of a fault; all are counted. */
export const FAULT_LOG_MS = 1_000;

export const ACCESS_LOG_FLUSH_MS = 100;
export const ACCESS_LOG_GATHER_BYTES = 8 * 1024;
export const ACCESS_LOG_QUEUE_BYTES = 16 * 1024 * 1024;

/** A SOCKS client's greeting and request, from accept to the last byte. */
export const SOCKS_TIMEOUT_MS = 5_000;

/** One worker's part of what the process may hold; enough for a stalled stream that has used its whole window, and another. */
export function shareOf(bytes: number, workers: number, streamWindowBytes: number): number {
  return Math.max(bytes / workers, 2 * streamWindowBytes);
}

/** Before a drain's deadline, how long connections are ended whenever they are at rest; at most half of the drain. */
export const LAST_CALL_MS = 3_000;
/** Time between two looks: what has been still for that long, after an answer, is at rest. */
export const LAST_CALL_LOOK_MS = 30;
/** Policies that a line of the access log names; of more it says how many. */
export const MAX_LOGGED_POLICIES = 8;
