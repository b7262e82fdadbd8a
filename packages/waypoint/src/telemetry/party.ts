/**
 * The two ends of a request or connection, as metrics, logs and spans name them. Pure.
 *
 * What mesh state knows of a workload wins; for a source that it does not know, the peer's certificate and baggage stand
 * in. A principal comes from a certificate and from nowhere else.
 *
 * Parties are shared: the same workload gives the same object, so that counters find their series by identity.
 */
import type { Baggage } from '@ambit/hbone/baggage';
import { parseIdentity, type Workload } from '@ambit/model/workload';

/** One end. Empty text: not known. */
export interface Party {
  readonly workload: string;
  /** `deployment`, `pod` and so on. */
  readonly workloadType: string;
  /** The pod's own name: for logs and spans, never a label. */
  readonly instance: string;
  readonly canonicalService: string;
  readonly canonicalRevision: string;
  readonly namespace: string;
  /** `spiffe://…` that this end proved. */
  readonly principal: string;
  readonly cluster: string;
}

export const UNKNOWN_PARTY: Party = {
  workload: '',
  workloadType: '',
  instance: '',
  canonicalService: '',
  canonicalRevision: '',
  namespace: '',
  principal: '',
  cluster: '',
};

interface Known {
  plain: Party | undefined;
  proven: Party | undefined;
}

/** Workloads are replaced, never changed, so what follows from one stays right. */
const known = new WeakMap<Workload, Known>();

/** @param principal - What it proved; `undefined` in clear. */
export function partyOfWorkload(workload: Workload, principal: string | undefined): Party {
  const cached = known.get(workload) ?? { plain: undefined, proven: undefined };
  if (!known.has(workload)) known.set(workload, cached);
  if (principal === undefined) {
    cached.plain ??= partyOf(workload, '');
    return cached.plain;
  }
  if (cached.proven?.principal !== principal) cached.proven = partyOf(workload, principal);
  return cached.proven;
}

/** A peer that mesh state does not know: its certificate says the namespace, its baggage the rest. */
export function partyOfPeer(baggage: Baggage | undefined, principal: string | undefined): Party {
  const namespace = principal === undefined ? undefined : parseIdentity(principal)?.namespace;
  return {
    workload: baggage?.workloadName ?? '',
    workloadType: baggage?.workloadType ?? '',
    instance: '',
    canonicalService: baggage?.service ?? '',
    canonicalRevision: baggage?.revision ?? '',
    namespace: namespace ?? baggage?.namespace ?? '',
    principal: principal ?? '',
    cluster: baggage?.cluster ?? '',
  };
}

function partyOf(workload: Workload, principal: string): Party {
  return {
    workload: workload.workloadName,
    workloadType: workload.workloadType,
    instance: workload.name,
    canonicalService: workload.canonicalName,
    canonicalRevision: workload.canonicalRevision,
    namespace: workload.namespace,
    principal,
    cluster: workload.clusterId,
  };
}
