/** Which pods come into the mesh without waiting for their certificate. Pure. */

/** `istiod.istio-system.svc:15012`, `istiod.istio-system:15012`. */
const SERVICE_HOST = /^[^.:]+\.([^.:]+)(?:\.svc(?:\.[^:]*)?)?(?::\d+)?$/;

export interface AdmissionConfig {
  /** This process's own: the control plane's, usually. */
  readonly podNamespace: string | undefined;
  /** `host:port` of the CA. */
  readonly caAuthority: string | undefined;
  /** Others that the user has named. */
  readonly aheadNamespaces: ReadonlySet<string>;
}

/**
 * Namespaces of those who certificates come from, which would wait for themselves: an istiod in the mesh could not start while
 * no other runs. Their pods are let in at once, and have their connections when they have their certificates.
 */
export function namespacesAhead(config: AdmissionConfig): ReadonlySet<string> {
  const { podNamespace, caAuthority = '', aheadNamespaces } = config;
  const [, caNamespace] = SERVICE_HOST.exec(caAuthority) ?? [];
  return new Set([...aheadNamespaces, podNamespace, caNamespace].filter((name) => name !== undefined));
}
