/** Events, with the fields that suites read; no part of the product reads them. */
import type { KubeObject, Resource } from '@ambit/kube/resource';
import type { Cluster } from './cluster.ts';
import { eventually } from './wait.ts';

export interface Event extends KubeObject {
  readonly reason?: string;
  readonly message?: string;
}

export const events: Resource<Event> = {
  group: '',
  version: 'v1',
  kind: 'Event',
  plural: 'events',
  namespaced: true,
};

/** What an event of the pod says, once there is one of that reason that says `part`. */
export async function toldOf(
  { client }: Cluster,
  { namespace, pod }: { readonly namespace: string; readonly pod: string },
  reason: string,
  part: string,
): Promise<string> {
  const said = await eventually(
    `an event ${reason} of ${namespace}/${pod} says "${part}"`,
    async () => {
      const { items } = await client.list(events, {
        namespace,
        fieldSelector: `involvedObject.name=${pod},reason=${reason}`,
      });
      return items.map(({ message }) => message ?? '').find((text) => text.includes(part));
    },
    (text) => text !== undefined,
    { timeoutMs: 150_000 },
  );
  return said ?? '';
}
