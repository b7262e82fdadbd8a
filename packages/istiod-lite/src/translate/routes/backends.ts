/**
 * Where a backend reference leads. Pure.
 *
 * One that leads nowhere is a problem, never left out: its share of requests is refused, or others would get more than
 * the user wrote. A reference into another namespace needs no grant: mesh routes are about services that their clients
 * could call themselves.
 */
import type { ServicePort } from '@ambit/api/waypoint';
import type { BackendReference } from '@ambit/kube/resources/routes';
import { type Catalog, type CatalogService, serviceKey, serviceNamed, visibleIn } from './catalog.ts';
import { serviceKindOf } from './parents.ts';
import type { ReferenceProblem, References } from './problems.ts';

export interface BackendContext {
  readonly routeNamespace: string;
  readonly catalog: Catalog;
  /** Is told of every reference. */
  readonly references: References;
}

/** `undefined` if it leads nowhere. */
export function backendOf(reference: BackendReference, context: BackendContext): ServicePort | undefined {
  const { service, problem } = resolve(reference, context);
  if (service) context.references.leads(serviceKey(service));
  else context.references.fails(problem);
  return service;
}

type Backend =
  | { readonly service: ServicePort; readonly problem?: undefined }
  | { readonly service?: undefined; readonly problem: ReferenceProblem };

function resolve(reference: BackendReference, { routeNamespace, catalog }: BackendContext): Backend {
  const { group = '', kind = 'Service', name, port } = reference;
  const namespace = reference.namespace ?? routeNamespace;
  const found = find({ group, kind, namespace, name }, routeNamespace, catalog);
  if (found === 'unknown kind')
    return problem('InvalidKind', `backend ${name}: kind ${kind} of group "${group}" is not supported`);
  const what = kind === 'Hostname' ? `hostname ${name}` : `${kind} ${namespace}/${name}`;
  if (!found) return problem('BackendNotFound', `backend ${what} was not found`);
  if (port === undefined) return problem('BackendNotFound', `backend ${what}: a port is required`);
  const offered = found.ports.filter(({ number }) => number === port);
  if (offered.length === 0) return problem('BackendNotFound', `backend ${what} has no port ${port}`);
  if (!offered.some(({ transport }) => transport === 'TCP'))
    return problem('UnsupportedProtocol', `backend ${what}: port ${port} is not of TCP`);
  return { service: { namespace: found.namespace, hostname: found.hostname, port } };
}

function find(
  { group, kind, namespace, name }: { group: string; kind: string; namespace: string; name: string },
  routeNamespace: string,
  catalog: Catalog,
): CatalogService | 'unknown kind' | undefined {
  if (kind === 'Hostname' && group === 'networking.istio.io')
    return serviceNamed(catalog, name, routeNamespace);
  const serviceKind = serviceKindOf(group, kind);
  return serviceKind
    ? visibleIn(routeNamespace, catalog.object(serviceKind, namespace, name))[0]
    : 'unknown kind';
}

function problem(reason: ReferenceProblem['reason'], message: string): Backend {
  return { problem: { reason, message } };
}
