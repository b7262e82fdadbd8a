/** What the status of a class of waypoints says. Pure. */
import { type GatewayClass, gatewayClasses } from '@ambit/kube/resources/gateway';
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

/** What of the definition of classes says whether they have features, and in which form. */
export interface ClassDefinition {
  readonly spec?: {
    readonly versions?: readonly {
      readonly name: string;
      readonly schema?: { readonly openAPIV3Schema?: PartOfSchema };
    }[];
  };
}

interface PartOfSchema {
  readonly type?: string;
  readonly properties?: Readonly<Record<string, PartOfSchema>>;
  readonly items?: PartOfSchema;
}

/**
 * Whether a class may say what it supports as we say it: older releases of the Gateway API have no such field, or one with
 * other items, and refuse all that is written with it.
 */
export function takesFeatures(definition: ClassDefinition | undefined): boolean {
  const version = definition?.spec?.versions?.find(({ name }) => name === gatewayClasses.version);
  return featuresSchema(version?.schema?.openAPIV3Schema)?.items?.type === 'object';
}

function featuresSchema(schema: PartOfSchema | undefined): PartOfSchema | undefined {
  return schema?.properties?.['status']?.properties?.['supportedFeatures'];
}

/** No more of a definition than {@link takesFeatures} reads. */
export function leanDefinition({ spec = {} }: ClassDefinition): ClassDefinition {
  return {
    spec: {
      versions: (spec.versions ?? []).map(({ name, schema }) => {
        const items = featuresSchema(schema?.openAPIV3Schema)?.items;
        const lean = { ...(items?.type !== undefined && { items: { type: items.type } }) };
        const status = { properties: { supportedFeatures: lean } };
        return { name, schema: { openAPIV3Schema: { properties: { status } } } };
      }),
    },
  };
}

/** The features to be written; `undefined` if the class says them already. */
export function featuresToWrite({ status }: GatewayClass): typeof SUPPORTED_FEATURES | undefined {
  const said = status?.supportedFeatures ?? [];
  const isSame = said.length === FEATURES.length && said.every(({ name }, i) => name === FEATURES[i]);
  return isSame ? undefined : SUPPORTED_FEATURES;
}
