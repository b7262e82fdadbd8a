/** Who wrote a resource, and which of several goes first: the older one, then by namespace and name. */

/** An object of Kubernetes. */
export interface Origin {
  /** HTTPRoute, GRPCRoute, VirtualService, DestinationRule, AuthorizationPolicy, … */
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  /** Milliseconds since 1970. */
  readonly createdMs: number;
}

/** As an order: negative when `a` takes precedence. */
export function byAge(a: Origin, b: Origin): number {
  return (
    a.createdMs - b.createdMs ||
    compareText(a.namespace, b.namespace) ||
    compareText(a.name, b.name) ||
    compareText(a.kind, b.kind)
  );
}

/** `HTTPRoute/namespace/name`: how logs, metrics and explanations name it. */
export function formatOrigin({ kind, namespace, name }: Origin): string {
  return `${kind}/${namespace}/${name}`;
}

function compareText(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
