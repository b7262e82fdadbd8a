/** Which pods come into the mesh without waiting for their certificate. Pure. */

/** Where DNS runs, in clusters that have it in the mesh: the CA is found by its name. */
const SYSTEM_NAMESPACE = 'kube-system';
const SERVICE_HOST = /^[^.:]+\.([^.:]+)\.svc(?:[.:]|$)/;

export interface AdmissionConfig {
  /** This process's own: the control plane's, usually. */
  readonly podNamespace: string | undefined;
  /** `host:port` of the CA. */
  readonly caAuthority: string | undefined;
}

/**
 * Namespaces of those who certificates come from, which would wait for themselves: an istiod in the mesh could not start while
 * no other runs. Their pods are let in at once, and have their connections when they have their certificates.
 */
export function namespacesAhead({ podNamespace, caAuthority = '' }: AdmissionConfig): ReadonlySet<string> {
  const [, caNamespace] = SERVICE_HOST.exec(caAuthority) ?? [];
  return new Set([SYSTEM_NAMESPACE, podNamespace, caNamespace].filter((name) => name !== undefined));
}
