/**
 * What is in the mesh's namespace that the mesh did not bring: with a namespace goes everything in it, an operator's CA
 * key and the policies of the whole mesh included.
 *
 * Every kind that the API server serves is looked at, since nobody knows what an operator keeps there.
 */
import type { KubeClient } from '@ambit/kube/client';
import { isNotFound, statusOf } from '@ambit/kube/errors';
import type { KubeObject, Resource } from '@ambit/kube/resource';
import { listOf, objectOf, textOf, textsOf } from '../json-value.ts';
import { MAX_REQUESTS_AT_ONCE } from '../limits.ts';
import { mapLimited } from '../map-limited.ts';
import { AMBIT, PART_OF } from './decide/ownership.ts';

/** `Secret cacerts`; of a kind that may not be listed, that it may not. Sorted. */
export async function contentsOfOthers(
  client: KubeClient,
  namespace: string,
  isKnown: (kind: string, name: string) => boolean,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const kinds = await namespacedKinds(client, signal);
  const found = await mapLimited(kinds, MAX_REQUESTS_AT_ONCE, async (resource) => {
    try {
      const { items } = await client.list(resource, { namespace }, signal);
      const { kind } = resource;
      return items
        .filter((object) => !comesWithOthers(kind, object) && !isKnown(kind, object.metadata.name))
        .map(({ metadata }) => `${kind} ${metadata.name}`);
    } catch (error) {
      if (isNotFound(error) || statusOf(error) === 405) return [];
      if (statusOf(error) === 403) return [`whatever ${resource.plural} you may not list`];
      throw error;
    }
  });
  return found.flat().sort();
}

/** Told by the cluster of what happened there, or made for each namespace, or gone with what owns it. */
function comesWithOthers(kind: string, object: KubeObject): boolean {
  const { name, labels, ownerReferences = [] } = object.metadata;
  if (labels?.[PART_OF] === AMBIT || ownerReferences.length > 0) return true;
  switch (kind) {
    case 'Event':
    case 'PodMetrics':
    // These two follow Services.
    case 'Endpoints':
    case 'EndpointSlice':
      return true;
    case 'ServiceAccount':
      return name === 'default';
    case 'ConfigMap':
      return name === 'kube-root-ca.crt' || name === 'openshift-service-ca.crt';
    case 'Secret':
      return 'type' in object && object.type === 'kubernetes.io/service-account-token';
    default:
      return false;
  }
}

async function namespacedKinds(client: KubeClient, signal: AbortSignal): Promise<readonly Resource[]> {
  const get = async (path: string) => objectOf(await client.request({ method: 'GET', path }, signal));
  const groups = listOf((await get('/apis'))['groups']).map((group) =>
    textOf(objectOf(objectOf(group)['preferredVersion'])['groupVersion']),
  );
  const versions = ['v1', ...groups.filter((name) => name !== '')];
  const kinds = await mapLimited(versions, MAX_REQUESTS_AT_ONCE, async (groupVersion) => {
    const [version = '', group = ''] = groupVersion.split('/').reverse();
    const { resources } = await get(group === '' ? `/api/${version}` : `/apis/${groupVersion}`);
    return listOf(resources)
      .map(objectOf)
      .filter((one) => one['namespaced'] === true && textsOf(one['verbs']).includes('list'))
      .map((one) => ({
        group,
        version,
        kind: textOf(one['kind']),
        plural: textOf(one['name']),
        namespaced: true,
      }));
  });
  return kinds.flat();
}
