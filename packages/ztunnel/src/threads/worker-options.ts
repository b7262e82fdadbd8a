/**
 * What a data worker is started with: the part of the configuration that sockets and connections depend on.
 *
 * It travels as `workerData` of `worker/main.ts`, so it holds plain values and memory that threads share; whatever changes while the process runs
 * comes as a message (messages.ts).
 */

/** An octet for each destination that is remembered, some of them in one; a power of two. */
export const BULK_TABLE_BYTES = 4_096;

export interface WorkerOptions {
  /** From 0. Its place among those that share a port, too: `PodSockets.tunnel`. */
  readonly index: number;
  /** How many share this process, and its bounds. */
  readonly workers: number;
  /** Scores of `BulkDestinations`, written by all workers: {@link BULK_TABLE_BYTES}. */
  readonly bulkTable: SharedArrayBuffer | undefined;
  /** `shared`: pods of a node, each in its namespace. `dedicated`: one workload, this process's namespace. */
  readonly mode: 'shared' | 'dedicated';
  /** The network of this proxy. */
  readonly network: string;
  /** Empty: every workload may be local. */
  readonly nodeName: string;
  readonly clusterId: string;
  /** Of identities, until mesh state says otherwise. */
  readonly trustDomain: string;
  readonly ipv6: boolean;
  readonly ports: {
    readonly inbound: number;
    readonly inboundPlaintext: number;
    readonly outbound: number;
    /** `undefined`: off. */
    readonly socks5: number | undefined;
  };
  /** Ports that lead back into the proxy. */
  readonly illegalPorts: readonly number[];
  /** SO_MARK of every socket; `undefined`: none. */
  readonly packetMark: number | undefined;
  /** SO_REUSEPORT on listeners. Always on with more than one worker. */
  readonly portReuse: boolean;
  /** IP_TRANSPARENT towards applications. */
  readonly originalSource: 'must' | 'try' | 'never';
  readonly localhostApplicationTunnel: boolean;
  /** `baggage` in answers to CONNECT. */
  readonly responseBaggage: boolean;
  /** Addresses are asked for when a connection needs them (`need-address`). */
  readonly onDemand: boolean;
  /** What a policy means that a workload names and that has not arrived. */
  readonly missingPolicy: 'refuse' | 'ignore';
  /** Verdicts of policies are logged at info instead of debug. */
  readonly logVerdictsAtInfo: boolean;
  readonly keepalive: KeepaliveOptions | undefined;
  readonly http2: {
    readonly streamWindowBytes: number;
    readonly connectionWindowBytes: number;
    readonly frameBytes: number;
    readonly maxStreamsPerConnection: number;
    readonly unusedReleaseMs: number;
  };
  readonly tls: {
    readonly tls12: boolean;
    /** Only X25519MLKEM768 as key exchange. */
    readonly postQuantumOnly: boolean;
    /** Which AES-GCM is tried first; both are accepted. */
    readonly preferredCipher: 'aes-128' | 'aes-256';
  };
  readonly log: { readonly filter: string; readonly format: 'plain' | 'json' };
}

export interface KeepaliveOptions {
  readonly idleMs: number;
  readonly intervalMs: number;
  readonly probes: number;
  /** TCP_USER_TIMEOUT that follows from the other three. */
  readonly userTimeout: boolean;
}
