/** TCPRoute and TLSRoute as what waypoints route connections by. Pure. What cannot be read closes connections. */
import type { StreamBackend, StreamRule, WaypointFields } from '@ambit/api/waypoint';
import { isKubeObject } from '@ambit/kube/resource';
import type { StreamRouteRule, TcpRoute, TlsRoute } from '@ambit/kube/resources/routes';
import { schemaProblems } from '../../schema/openapi.ts';
import { routeSpec, streamRouteRule } from '../../schema/routes.ts';
import { type BackendContext, backendOf } from './backends.ts';
import { type ParentLookup, parentsOf } from './parents.ts';
import { References, type RuleProblem } from './problems.ts';
import { originOf, parentGroups, type TranslatedRoute } from './translated.ts';

export function translateTcpRoute(route: TcpRoute, lookup: ParentLookup): TranslatedRoute | undefined {
  return translate('TCPRoute', route, lookup);
}

export function translateTlsRoute(route: TlsRoute, lookup: ParentLookup): TranslatedRoute | undefined {
  return translate('TLSRoute', route, lookup);
}

/** `undefined` if nothing in it can be read, so that it is attached to nothing. */
function translate(
  kind: 'TCPRoute' | 'TLSRoute',
  route: TcpRoute | TlsRoute,
  lookup: ParentLookup,
): TranslatedRoute | undefined {
  const { metadata, spec = {} } = route;
  const { namespace = '', name, generation } = metadata;
  if (!isKubeObject(route) || schemaProblems(routeSpec, spec, 'spec').length > 0) return undefined;
  const parents = parentsOf(spec.parentRefs ?? [], namespace, lookup);
  if (parents.length === 0) return undefined;
  const references = new References();
  const backends = { routeNamespace: namespace, catalog: lookup.catalog, references };
  const tls = kind === 'TLSRoute';
  const sniHosts = tls ? (spec.hostnames ?? []) : [];
  const read = (spec.rules ?? []).map((rule, i) => readRule(rule, i, backends));
  const origin = originOf(kind, route);
  return {
    resources: parentGroups(parents, namespace).map(({ suffix, consumerNamespace, services }) => ({
      type: 'StreamRoute' as const,
      name: `${kind}/${namespace}/${name}${suffix}`,
      value: {
        origin,
        parents: services,
        rules: read.map(({ rule }) => ({ ...rule, tls, sniHosts })),
        consumerNamespace,
      },
    })),
    parents,
    uses: references.services,
    references: references.problems,
    rules: read.flatMap(({ problem }) => problem ?? []),
    unheeded: [],
    generation,
  };
}

const CLOSED: WaypointFields<StreamBackend> = { target: { $case: 'closed', value: true }, weight: 1 };

function readRule(
  given: StreamRouteRule,
  i: number,
  context: BackendContext,
): { readonly rule: WaypointFields<StreamRule>; readonly problem: RuleProblem | undefined } {
  const [wrong] = schemaProblems(streamRouteRule, given, `rules[${i}]`);
  if (wrong !== undefined)
    return { rule: { backends: [CLOSED] }, problem: { reason: 'UnsupportedValue', message: wrong } };
  const { name = '', backendRefs = [] } = given;
  const backends = backendRefs.flatMap((reference): readonly WaypointFields<StreamBackend>[] => {
    const { weight = 1 } = reference;
    const service = backendOf(reference, context);
    if (weight === 0) return [];
    return [service ? { target: { $case: 'service', value: service }, weight } : { ...CLOSED, weight }];
  });
  return { rule: { name, backends }, problem: undefined };
}
