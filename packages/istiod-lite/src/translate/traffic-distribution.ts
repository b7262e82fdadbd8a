/** Which endpoints of a service are tried first: Kubernetes' `trafficDistribution`, and Istio's annotation for it. Pure. */
import { LoadBalancingScope } from '@ambit/api/workload';

export const TRAFFIC_DISTRIBUTION_ANNOTATION = 'networking.istio.io/traffic-distribution';

const { NETWORK, REGION, ZONE, SUBZONE, NODE } = LoadBalancingScope;
const SAME_ZONE = [NETWORK, REGION, ZONE];
const PREFERENCES: ReadonlyMap<string, readonly LoadBalancingScope[]> = new Map([
  ['PreferClose', SAME_ZONE],
  ['PreferSameZone', SAME_ZONE],
  ['PreferSameNode', [NETWORK, REGION, ZONE, SUBZONE, NODE]],
]);
/** Annotations are read in any case. */
const BY_ANNOTATION = new Map([...PREFERENCES].map(([name, scopes]) => [name.toLowerCase(), scopes]));

/**
 * The first of these that is given and known; `undefined`: any endpoint is as good as another.
 *
 * @param field - Of the Service; a value that is not known is as none.
 * @param own - Annotation of the object; one that is not known keeps the namespace's from counting.
 * @param inherited - Annotation of its namespace.
 */
export function routingPreference(
  field: string | undefined,
  own: string | undefined,
  inherited: string | undefined,
): readonly LoadBalancingScope[] | undefined {
  return PREFERENCES.get(field ?? '') ?? BY_ANNOTATION.get((own || inherited || '').toLowerCase());
}
