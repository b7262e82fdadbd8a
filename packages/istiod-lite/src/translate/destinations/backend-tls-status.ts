/** What the status of a BackendTLSPolicy says of each of its targets, in the Gateway API's types and reasons. Pure. */
import type { BackendTlsTarget } from '@ambit/kube/resources/backend-tls';
import type { CatalogService } from '../routes/catalog.ts';
import type { WantedParent } from '../routes/route-status.ts';
import type { Finding, ReadBackendTls } from './backend-tls-policy.ts';

/** As Istio names whoever makes policies of this kind work for services, where no Gateway is involved. */
export const MESH_CONTROLLER = 'istio.io/mesh-controller';

/** What is known of one target. */
export interface TargetFindings {
  readonly target: BackendTlsTarget;
  /** The hostnames of what it names; none: it is not there. `undefined`: it is of a kind that has no endpoints. */
  readonly services: readonly CatalogService[] | undefined;
  /** `namespace/name` of the policy whose word counts. */
  readonly governedBy: string | undefined;
  /** Whether any waypoint sends anything there. */
  readonly isUsed: boolean;
}

export function wantedAncestors(
  policy: ReadBackendTls,
  targets: readonly TargetFindings[],
): readonly WantedParent[] {
  const observed = policy.generation === undefined ? {} : { observedGeneration: policy.generation };
  return targets.map((found) => {
    const { group, kind, name, sectionName } = found.target;
    return {
      parentRef: { group, kind, name, ...(sectionName !== undefined && { sectionName }) },
      conditions: [
        { type: 'Accepted', ...accepted(policy, found), ...observed },
        { type: 'ResolvedRefs', ...policy.resolvedRefs, ...observed },
      ],
    };
  });
}

function accepted(
  { key, namespace, accepted: own }: ReadBackendTls,
  { target: { kind, name, sectionName }, services, governedBy, isUsed }: TargetFindings,
): Finding {
  const refused = (reason: string, message: string): Finding => ({ isTrue: false, reason, message });
  const what = `${kind} ${namespace}/${name}`;
  if (!services)
    return refused('TargetNotFound', `${what}: only a Service or a ServiceEntry can be a target`);
  if (services.length === 0) return refused('TargetNotFound', `${what} was not found`);
  if (
    sectionName !== undefined &&
    !services.some(({ ports }) => ports.some((port) => port.name === sectionName))
  )
    return refused('TargetNotFound', `${what} has no port named "${sectionName}"`);
  if (governedBy !== undefined && governedBy !== key)
    return refused('Conflicted', `${governedBy} is older and has the same target`);
  if (!own.isTrue || isUsed) return own;
  return { ...own, message: `${own.message}; no waypoint sends anything to ${what}, so nobody heeds it` };
}
