/** What the status of a class of waypoints says. Pure. */
import type { GatewayClass } from '@ambit/kube/resources/gateway';
import type { WantedCondition } from '../../translate/condition.ts';

/** The Gateway API's names of what waypoints do, as its conformance tests have found it; e2e/conformance/report.yaml. */
const FEATURES: readonly string[] = [
  'GRPCRoute',
  'HTTPRoute',
  'HTTPRoute303RedirectStatusCode',
  'HTTPRoute307RedirectStatusCode',
  'HTTPRoute308RedirectStatusCode',
  'HTTPRouteParentRefPort',
  'HTTPRouteResponseHeaderModification',
  'Mesh',
  'MeshClusterIPMatching',
  'MeshConsumerRoute',
  'MeshHTTPRouteBackendRequestHeaderModification',
  'MeshHTTPRouteNamedRouteRule',
  'MeshHTTPRouteQueryParamMatching',
  'MeshHTTPRouteRedirectPath',
  'MeshHTTPRouteRedirectPort',
  'MeshHTTPRouteRewritePath',
  'MeshHTTPRouteSchemeRedirect',
];

/** In the order of their names, as the specification wants them. */
export const SUPPORTED_FEATURES: readonly { readonly name: string }[] = FEATURES.map((name) => ({ name }));

export function classConditions({ metadata, spec }: GatewayClass): readonly WantedCondition[] {
  const { generation } = metadata;
  const observed = generation === undefined ? {} : { observedGeneration: generation };
  return spec?.parametersRef
    ? [
        {
          type: 'Accepted',
          isTrue: false,
          reason: 'InvalidParameters',
          message:
            'spec.parametersRef is not heeded: defaults of a class are in a ConfigMap of istiod’s namespace, labelled gateway.istio.io/defaults-for-class',
          ...observed,
        },
      ]
    : [
        {
          type: 'Accepted',
          isTrue: true,
          reason: 'Accepted',
          message: 'Handled by Istio controller',
          ...observed,
        },
      ];
}

/** The features to be written; `undefined` if the class says them already. */
export function featuresToWrite({ status }: GatewayClass): typeof SUPPORTED_FEATURES | undefined {
  const said = status?.supportedFeatures ?? [];
  const isSame = said.length === FEATURES.length && said.every(({ name }, i) => name === FEATURES[i]);
  return isSame ? undefined : SUPPORTED_FEATURES;
}
