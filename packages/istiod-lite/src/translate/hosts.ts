/** Hosts as Istio's kinds name services, and whom an object is for. Pure. */

/** A name without dots is a service of `namespace`; a name in capitals is the same name. */
export function fullHost(host: string, namespace: string, domain: string): string {
  const lower = host.toLowerCase();
  return lower.includes('.') || lower.startsWith('*') ? lower : `${lower}.${namespace}.svc.${domain}`;
}

export function isWildcardHost(host: string): boolean {
  return host.startsWith('*');
}

/** Whether a name that begins with `*` stands for `hostname`. */
export function wildcardMatches(host: string, hostname: string): boolean {
  return hostname.endsWith(host.slice(1));
}

/** Whether waypoints of `namespace` heed an object of `own`. */
export function isExportedTo(
  exportTo: readonly string[] | undefined,
  own: string,
  namespace: string,
): boolean {
  if (exportTo === undefined || exportTo.length === 0) return true;
  return exportTo.some((name) => name === '*' || name === namespace || (name === '.' && own === namespace));
}

/** The namespace of a waypoint, of `namespace/name`. */
export function namespaceOfKey(key: string): string {
  return key.slice(0, key.indexOf('/'));
}
