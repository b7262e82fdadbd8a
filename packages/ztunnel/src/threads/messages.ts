/**
 * What the control thread and the data workers of a ztunnel say to each other.
 *
 * The control thread owns everything that changes slowly (mesh state, certificates, which pods exist); a worker owns
 * sockets and the connections on them. Messages are plain values that structured clone copies; the one exception is a
 * private key, which travels as a `KeyObject` and nowhere else. Order within one direction is kept.
 */
import type { Endpoint } from '@ambit/core/ip';
import type { WorkloadCertificate } from '@ambit/identity/workload-certificate';
import type { RollImage } from '@ambit/model/roll/image';
import type { WorkloadNames } from '@ambit/model/workload';

/** A pod as the node agent announces it; `uid` is the Kubernetes pod UID. */
export interface PodInfo {
  readonly uid: string;
  readonly name: string;
  readonly namespace: string;
  readonly serviceAccount: string;
  /** For reports, until mesh state names the workload. */
  readonly names?: WorkloadNames;
}

/** A change of mesh state, as bytes in shared memory: one copy, however many workers read it. */
export interface MeshDeltaMessage {
  readonly kind: 'mesh-delta';
  readonly typeUrl: string;
  /** `upserts[i].value` is `bytes.subarray(offset, offset + length)`, a resource the control thread has validated. */
  readonly bytes: Uint8Array;
  readonly upserts: readonly { readonly name: string; readonly offset: number; readonly length: number }[];
  readonly removed: readonly string[];
  /** In shared memory, too; before the upserts. */
  readonly roll: RollImage | undefined;
  /** Counts deltas; a worker reports the last one it has applied. */
  readonly version: number;
}

/** Comes after everything that the control plane knew at first. */
export interface MeshCompleteMessage {
  readonly kind: 'mesh-complete';
}

export interface CertificateMessage extends WorkloadCertificate {
  readonly kind: 'certificate';
}

/** Open listeners for a pod. `netnsFd` is open in the whole process and stays so until `pod-stopped`. */
export interface StartPodMessage {
  readonly kind: 'start-pod';
  readonly pod: PodInfo;
  /** `undefined`: this process's own namespace (dedicated mode, or ztunnel's own metrics). */
  readonly netnsFd: number | undefined;
  /** What this pod's identity is until mesh state says more. */
  readonly identity: string;
  /** Only 15008, for a proxy that is itself the workload. */
  readonly inboundOnly: boolean;
}

/** Carry connections of nobody's, so that the code is compiled for speed when somebody's come. Once, and without an answer. */
export interface WarmUpMessage {
  readonly kind: 'warm-up';
  /** Of the pod that is client and server. */
  readonly pod: PodInfo;
  /** Of the pod, as its mesh says. */
  readonly nodeName: string;
  /** What its lives see by turns, each a mesh as it comes. */
  readonly meshes: readonly (readonly MeshDeltaMessage[])[];
  readonly certificate: CertificateMessage;
  /** What its connections go to by turns, on the way that connections of real pods take. */
  readonly targets: {
    /** The pod itself. */
    readonly direct: Endpoint;
    /** A service, at a port at which the proxy takes connections as redirected ones. */
    readonly captured: Endpoint;
  };
  readonly connections: number;
  /** Where its application listens. */
  readonly application: Endpoint;
}

export type ControlToWorker =
  | MeshDeltaMessage
  | MeshCompleteMessage
  | CertificateMessage
  | StartPodMessage
  | WarmUpMessage
  | { readonly kind: 'certificate-failed'; readonly identity: string; readonly reason: string }
  | { readonly kind: 'forget-certificate'; readonly identity: string }
  /** PEM or DER of the revocation lists; replaces the last. Open tunnels are checked again. */
  | { readonly kind: 'revocations'; readonly bytes: Uint8Array }
  /** Close listeners at once; let connections end for at most `deadlineMs` (0: cut them now). */
  | { readonly kind: 'stop-pod'; readonly uid: string; readonly deadlineMs: number }
  /** Stop everything, as `stop-pod` for every pod, then exit. */
  | { readonly kind: 'drain'; readonly deadlineMs: number }
  | { readonly kind: 'log-filter'; readonly filter: string }
  /** A moment at which much can be given back. */
  | { readonly kind: 'collect-garbage' }
  | { readonly kind: 'ask'; readonly id: number; readonly question: WorkerQuestion };

export type WorkerQuestion = { readonly what: 'connections' } | { readonly what: 'metrics' };

/** One open connection, for `/config_dump` and `ambit connections`. */
export interface ConnectionReport {
  readonly podUid: string;
  readonly direction: 'inbound' | 'outbound';
  readonly src: string;
  readonly originalDst: string | undefined;
  readonly actualDst: string;
  readonly protocol: 'TCP' | 'HBONE' | 'DOUBLEHBONE';
  readonly srcIdentity: string | undefined;
  readonly dstIdentity: string | undefined;
  readonly openedAtMs: number;
  readonly bytesSent: number;
  readonly bytesReceived: number;
}

/**
 * Counters since the worker started: per metric, per label set (values in the metric's label order; an empty value leaves
 * its label out). `name` is without `_total`.
 */
export interface MetricReport {
  readonly name: string;
  readonly type: 'counter' | 'gauge';
  readonly labelNames: readonly string[];
  readonly samples: readonly { readonly labels: readonly string[]; readonly value: number }[];
}

export type WorkerToControl =
  | { readonly kind: 'ready' }
  | { readonly kind: 'pod-started'; readonly uid: string }
  | { readonly kind: 'pod-failed'; readonly uid: string; readonly reason: string }
  | { readonly kind: 'pod-stopped'; readonly uid: string }
  /** A connection needs this identity's certificate now. Answered by `certificate` or `certificate-failed`. */
  | { readonly kind: 'need-certificate'; readonly identity: string }
  /** XDS_ON_DEMAND: fetch this address or hostname; a delta follows, or a removal of `key`. */
  | { readonly kind: 'need-address'; readonly key: string }
  | { readonly kind: 'mesh-applied'; readonly version: number }
  /** Answers a {@link WarmUpMessage}, however it went. */
  | { readonly kind: 'warmed-up' }
  /** Its listeners are closed; connections go on for a while. */
  | { readonly kind: 'draining' }
  | { readonly kind: 'drained' }
  | { readonly kind: 'answer'; readonly id: number; readonly connections: readonly ConnectionReport[] }
  | { readonly kind: 'answer'; readonly id: number; readonly metrics: readonly MetricReport[] };
