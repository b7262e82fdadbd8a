/** Objects that this command installed once and that an installation no longer has. */
import type { KubeClient } from '@ambit/kube/client';
import { isNotFound } from '@ambit/kube/errors';
import { MAX_REQUESTS_AT_ONCE } from '../limits.ts';
import { mapLimited } from '../map-limited.ts';
import { componentOf } from './components.ts';
import { AMBIT, MANAGED_BY, PART_OF } from './decide/ownership.ts';
import { KINDS } from './kinds.ts';
import { type Part, titleOf } from './manifest.ts';

/** What is labelled as ours, of every kind that an installation may have; those made by the mesh itself as asked. */
export async function ownObjects(
  client: KubeClient,
  which: 'installed by this command' | 'any of Ambit',
  signal: AbortSignal,
): Promise<readonly Part[]> {
  const byCommand = `${PART_OF}=${AMBIT},${MANAGED_BY}=${AMBIT}`;
  const labelSelector = which === 'any of Ambit' ? `${PART_OF}=${AMBIT}` : byCommand;
  const found = await mapLimited(KINDS, MAX_REQUESTS_AT_ONCE, async (resource) => {
    try {
      const { items } = await client.list(resource, { labelSelector }, signal);
      const { kind } = resource;
      return items.map((object) => ({
        resource,
        object,
        component: componentOf({ ...object, kind }),
      }));
    } catch (error) {
      if (isNotFound(error)) return [];
      throw error;
    }
  });
  return found.flat();
}

/** Custom resource definitions are never among them: removing one removes every object of its kind. */
export async function leftovers(
  client: KubeClient,
  wanted: readonly Part[],
  signal: AbortSignal,
): Promise<readonly Part[]> {
  const titles = new Set(wanted.map(titleOf));
  const own = await ownObjects(client, 'installed by this command', signal);
  return own.filter(
    (part) => part.resource.kind !== 'CustomResourceDefinition' && !titles.has(titleOf(part)),
  );
}
