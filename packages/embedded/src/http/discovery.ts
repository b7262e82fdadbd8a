/** What is served, in the forms that clients ask for it: one document per group version, or all at once. Pure. */
import type { JsonObject } from '../json.ts';
import type { ResourceRegistry } from '../kinds/registry.ts';
import { groupVersionOf, type Resource, storageKeyOf } from '../kinds/resource.ts';

export interface Subresource {
  readonly name: string;
  readonly kind: string;
  readonly group?: string;
  readonly version?: string;
  readonly verbs: readonly string[];
}

const CHANGE = ['get', 'patch', 'update'];

const OF_RESOURCE: Readonly<Record<string, readonly Subresource[]>> = {
  namespaces: [{ name: 'finalize', kind: 'Namespace', verbs: ['update'] }],
  pods: [
    { name: 'binding', kind: 'Binding', verbs: ['create'] },
    { name: 'eviction', kind: 'Eviction', group: 'policy', version: 'v1', verbs: ['create'] },
    { name: 'log', kind: 'Pod', verbs: ['get'] },
    { name: 'portforward', kind: 'PodPortForwardOptions', verbs: ['create', 'get'] },
  ],
  serviceaccounts: [
    { name: 'token', kind: 'TokenRequest', group: 'authentication.k8s.io', version: 'v1', verbs: ['create'] },
  ],
};

export function subresourcesOf(resource: Resource): readonly Subresource[] {
  return [
    ...(resource.hasStatus ? [{ name: 'status', kind: resource.kind, verbs: CHANGE }] : []),
    ...(resource.scale
      ? [{ name: 'scale', kind: 'Scale', group: 'autoscaling', version: 'v1', verbs: CHANGE }]
      : []),
    ...(OF_RESOURCE[storageKeyOf(resource)] ?? []),
  ];
}

interface GroupVersion {
  readonly group: string;
  readonly version: string;
  readonly resources: readonly Resource[];
}

/** Preferred versions first. */
export function groupVersions(registry: ResourceRegistry): readonly GroupVersion[] {
  const found = new Map<string, { group: string; version: string; resources: Resource[] }>();
  for (const resource of registry.all()) {
    const key = groupVersionOf(resource);
    const entry = found.get(key) ?? { group: resource.group, version: resource.version, resources: [] };
    entry.resources.push(resource);
    found.set(key, entry);
  }
  return [...found.values()].sort((a, b) =>
    a.group === b.group ? compareVersions(a.version, b.version) : 0,
  );
}

/** v2 before v1 before v1beta2 before v1alpha1; anything else last. */
export function compareVersions(a: string, b: string): number {
  const rank = (version: string): readonly number[] => {
    const match = /^v(\d+)(?:(alpha|beta)(\d+))?$/.exec(version);
    if (!match) return [0, 0, 0];
    const stage = match[2] === undefined ? 3 : match[2] === 'beta' ? 2 : 1;
    return [stage, Number(match[1]), Number(match[3] ?? 0)];
  };
  const [left, right] = [rank(a), rank(b)];
  for (let i = 0; i < 3; i++) {
    const difference = (right[i] ?? 0) - (left[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return a.localeCompare(b);
}

/** `/apis`. */
export function apiGroupList(registry: ResourceRegistry): JsonObject {
  const names = [...new Set(groupVersions(registry).map(({ group }) => group))].filter(
    (group) => group !== '',
  );
  return { kind: 'APIGroupList', apiVersion: 'v1', groups: names.map((name) => apiGroup(registry, name)) };
}

export function apiGroup(registry: ResourceRegistry, name: string): JsonObject {
  const versions = groupVersions(registry)
    .filter(({ group }) => group === name)
    .map(({ version }) => ({ groupVersion: `${name}/${version}`, version }));
  return { name, versions, preferredVersion: versions[0] ?? {} };
}

/** `/api/v1`, `/apis/apps/v1`. */
export function apiResourceList(registry: ResourceRegistry, group: string, version: string): JsonObject {
  const resources = registry
    .all()
    .filter((resource) => resource.group === group && resource.version === version);
  return {
    kind: 'APIResourceList',
    ...(group !== '' && { apiVersion: 'v1' }),
    groupVersion: group === '' ? version : `${group}/${version}`,
    resources: resources.flatMap((resource) => [
      {
        name: resource.plural,
        singularName: resource.singular,
        namespaced: resource.namespaced,
        kind: resource.kind,
        verbs: [...resource.verbs],
        ...(resource.shortNames.length > 0 && { shortNames: [...resource.shortNames] }),
        ...(resource.categories.length > 0 && { categories: [...resource.categories] }),
      },
      ...subresourcesOf(resource).map((sub) => ({
        name: `${resource.plural}/${sub.name}`,
        singularName: '',
        namespaced: resource.namespaced,
        ...(sub.group !== undefined && { group: sub.group }),
        ...(sub.version !== undefined && { version: sub.version }),
        kind: sub.kind,
        verbs: [...sub.verbs],
      })),
    ]),
  };
}

/** Everything under `/api` (`core`) or under `/apis`, in one document. */
export function aggregated(registry: ResourceRegistry, core: boolean, apiVersion: string): JsonObject {
  const byGroup = Map.groupBy(
    groupVersions(registry).filter(({ group }) => (group === '') === core),
    ({ group }) => group,
  );
  return {
    kind: 'APIGroupDiscoveryList',
    apiVersion,
    metadata: {},
    items: [...byGroup].map(([group, versions]) => ({
      metadata: { ...(group !== '' && { name: group }), creationTimestamp: null },
      versions: versions.map(({ version, resources }) => ({
        version,
        resources: resources.map((resource) => aggregatedResource(resource)),
        freshness: 'Current',
      })),
    })),
  };
}

function aggregatedResource(resource: Resource): JsonObject {
  const { group, version, kind } = resource;
  return {
    resource: resource.plural,
    responseKind: { group, version, kind },
    scope: resource.namespaced ? 'Namespaced' : 'Cluster',
    singularResource: resource.singular,
    verbs: [...resource.verbs],
    ...(resource.shortNames.length > 0 && { shortNames: [...resource.shortNames] }),
    ...(resource.categories.length > 0 && { categories: [...resource.categories] }),
    subresources: subresourcesOf(resource).map((sub) => ({
      subresource: sub.name,
      responseKind: { group: sub.group ?? group, version: sub.version ?? version, kind: sub.kind },
      verbs: [...sub.verbs],
    })),
  };
}

/** The content type of the aggregated form that `accept` asks for first, if it asks for one. */
export function aggregatedType(
  accept: string,
): { readonly version: string; readonly contentType: string } | undefined {
  for (const part of accept.split(',')) {
    const parameters = part.split(';').map((piece) => piece.trim());
    if (!parameters.includes('as=APIGroupDiscoveryList') || !parameters.includes('g=apidiscovery.k8s.io'))
      continue;
    if (parameters[0] !== 'application/json') continue;
    const version = parameters.find((piece) => piece === 'v=v2' || piece === 'v=v2beta1')?.slice(2);
    if (version === undefined) continue;
    return {
      version,
      contentType: `application/json;g=apidiscovery.k8s.io;v=${version};as=APIGroupDiscoveryList`,
    };
  }
  return undefined;
}
