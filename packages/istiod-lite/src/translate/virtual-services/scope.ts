/** Whom a VirtualService is for, as far as that can be read, and which of several a service has. Pure. */
import type { VirtualService } from '@ambit/kube/resources/networking';
import { fullHost, isExportedTo, isWildcardHost, namespaceOfKey, wildcardMatches } from '../hosts.ts';

export interface VirtualServiceScope {
  /** `namespace/name`. */
  readonly key: string;
  readonly namespace: string;
  /** Full names, in lower case. */
  readonly hosts: readonly string[];
  /** Names that begin with `*`. */
  readonly wildcards: readonly string[];
  readonly exportTo: readonly string[] | undefined;
  readonly createdAt: string;
}

const MESH = 'mesh';

/** `undefined`: for no service of the mesh, as one for gateways, or one that others delegate to. */
export function virtualServiceScope(
  { metadata, spec }: VirtualService,
  domain: string,
): VirtualServiceScope | undefined {
  const { namespace = '', name, creationTimestamp = '' } = metadata;
  if (!isForMesh(spec?.gateways)) return undefined;
  const hosts = textsOf(spec?.hosts).map((host) => fullHost(host, namespace, domain));
  if (hosts.length === 0) return undefined;
  return {
    key: `${namespace}/${name}`,
    namespace,
    hosts: hosts.filter((host) => !isWildcardHost(host)),
    wildcards: hosts.filter(isWildcardHost),
    exportTo: exportsOf(spec?.exportTo),
    createdAt: creationTimestamp,
  };
}

/** Whom nobody can read is nobody else: an empty list would be everybody. */
export function exportsOf(exportTo: unknown): readonly string[] | undefined {
  if (exportTo === undefined) return undefined;
  return Array.isArray(exportTo) ? textsOf(exportTo) : ['.'];
}

/** Of a list of gateways; none said: for the mesh. */
export function isForMesh(gateways: unknown): boolean {
  const names = textsOf(gateways);
  return names.length === 0 || names.includes(MESH);
}

function textsOf(value: unknown): readonly string[] {
  return Array.isArray(value) ? value.filter((each): each is string => typeof each === 'string') : [];
}

/** 0: it is not about the hostname; more for a longer name that begins with `*`, most for the name itself. */
export function specificity({ hosts, wildcards }: VirtualServiceScope, hostname: string): number {
  if (hosts.includes(hostname)) return Number.MAX_SAFE_INTEGER;
  return Math.max(
    0,
    ...wildcards.filter((host) => wildcardMatches(host, hostname)).map(({ length }) => length),
  );
}

/**
 * Which of those that are about a service a waypoint heeds, as in Istio: of the service's namespace or of its own, and
 * exported there; the most specific host, then the oldest.
 */
export function chosenFor(
  scopes: readonly VirtualServiceScope[],
  service: { readonly namespace: string; readonly hostname: string },
  waypoint: string,
): VirtualServiceScope | undefined {
  const of = namespaceOfKey(waypoint);
  return scopes
    .filter(
      ({ namespace, exportTo }) =>
        (namespace === service.namespace || namespace === of) && isExportedTo(exportTo, namespace, of),
    )
    .toSorted(
      (a, b) => specificity(b, service.hostname) - specificity(a, service.hostname) || older(a, b),
    )[0];
}

function older(a: VirtualServiceScope, b: VirtualServiceScope): number {
  const [one, other] = [`${a.createdAt} ${a.key}`, `${b.createdAt} ${b.key}`];
  return one < other ? -1 : 1;
}
