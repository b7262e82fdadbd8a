/** Who has a hostname when several ServiceEntries, and perhaps a Kubernetes Service, want it. Pure. */

export interface Candidate {
  readonly namespace: string;
  readonly name: string;
  /** ISO 8601; empty: unknown, and so the oldest. */
  readonly createdAt: string;
  /** Whether every namespace may see it. */
  readonly isPublic: boolean;
}

export interface Survivor<C> {
  readonly candidate: C;
  readonly canonical: boolean;
}

/**
 * In each namespace the oldest, but none where the Kubernetes Service is.
 *
 * @param candidates - All the ServiceEntries with one hostname.
 * @param kubernetes - Namespace of the Kubernetes Service with that hostname; it is canonical, so none of these is.
 */
export function survivors<C extends Candidate>(
  candidates: readonly C[],
  kubernetes: string | undefined,
): readonly Survivor<C>[] {
  const oldest = new Map<string, C>();
  for (const candidate of candidates.toSorted(older)) {
    const { namespace } = candidate;
    if (namespace !== kubernetes && !oldest.has(namespace)) oldest.set(namespace, candidate);
  }
  const left = [...oldest.values()];
  const canonical = kubernetes === undefined ? left.find(({ isPublic }) => isPublic) : undefined;
  return left.map((candidate) => ({ candidate, canonical: candidate === canonical }));
}

/** Ages that are equal must not leave it to chance: names decide. */
function older(a: Candidate, b: Candidate): number {
  if (a.createdAt !== b.createdAt) return a.createdAt < b.createdAt ? -1 : 1;
  const [left, right] = [`${a.namespace}/${a.name}`, `${b.namespace}/${b.name}`];
  return left < right ? -1 : left > right ? 1 : 0;
}
