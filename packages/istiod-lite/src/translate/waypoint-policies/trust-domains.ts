/**
 * Identities in policies, with the names that this mesh has and had. Pure.
 *
 * A policy that names one of the mesh's trust domains means all of them, so that a mesh can be renamed; `cluster.local`
 * means the mesh whatever it is called, as in Istio.
 */

export interface TrustDomains {
  readonly trustDomain: string;
  readonly aliases: readonly string[];
}

const LOCAL = 'cluster.local';

/** `td/ns/a/sa/b` under every name of its trust domain; what is of another, or has a wildcard there, stays as it is. */
export function principalsUnderAllNames(
  principals: readonly string[],
  domains: TrustDomains,
): readonly string[] {
  return [
    ...new Set(
      principals.flatMap((principal) => {
        const slash = principal.indexOf('/');
        if (slash < 0) return [principal];
        const names = namesOf(principal.slice(0, slash), domains);
        return names ? names.map((name) => `${name}${principal.slice(slash)}`) : [principal];
      }),
    ),
  ];
}

/** The same for trust domains alone. */
export function domainsUnderAllNames(values: readonly string[], domains: TrustDomains): readonly string[] {
  return [...new Set(values.flatMap((value) => namesOf(value, domains) ?? [value]))];
}

function namesOf(name: string, { trustDomain, aliases }: TrustDomains): readonly string[] | undefined {
  const all = [trustDomain, ...aliases];
  return name === LOCAL || all.includes(name) ? all : undefined;
}
