/**
 * `ambit waypoint delete`: deletes Gateways of waypoints by name, or all of a namespace, or those of one revision.
 *
 * What istiod made for them goes with them. Whoever is still labelled to use one is named, since their status complains
 * from then on.
 */
import { isNotFound } from '@ambit/kube/errors';
import { namespaces, services } from '@ambit/kube/resources/core';
import { type Gateway, gateways } from '@ambit/kube/resources/gateway';
import type { Context } from '../../context.ts';
import { NotFoundError, UsageError } from '../../errors.ts';
import { EXIT, type ExitCode } from '../../exit-code.ts';
import { namespaceOf, waypointsIn } from '../../waypoint/cluster.ts';
import { revisionOf, USE_WAYPOINT_LABEL, USE_WAYPOINT_NAMESPACE_LABEL } from '../../waypoint/gateway.ts';
import { noWaypoints } from './list.ts';

export async function deleteWaypoints(context: Context, names: readonly string[]): Promise<ExitCode> {
  const { client, options, signal, print, warn } = context;
  const { all, revision } = options.waypoint;
  if (names.length > 0 && all) throw new UsageError('waypoint delete takes names or --all, not both');
  if (names.length === 0 && !all && revision === undefined)
    throw new UsageError(
      'waypoint delete needs names, --all or --revision; "ambit help waypoint delete" says more',
    );
  const namespace = await namespaceOf(context);
  const there = await waypointsIn(client, namespace, signal);
  const missing = names.filter((name) => !there.some(({ metadata }) => metadata.name === name));
  if (missing.length > 0)
    throw new NotFoundError(
      `there is no waypoint ${missing.join(', ')} in namespace ${namespace}; nothing was deleted`,
    );
  const due = there.filter(
    (gateway) =>
      (names.length === 0 || names.includes(gateway.metadata.name)) &&
      (revision === undefined || revisionOf(gateway) === revision),
  );
  if (due.length === 0) warn(noWaypoints(namespace));
  for (const { metadata } of due) {
    try {
      await client.delete(
        gateways,
        metadata,
        metadata.uid === undefined ? {} : { uid: metadata.uid },
        signal,
      );
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
    print(`waypoint ${namespace}/${metadata.name} deleted\n`);
  }
  const users = await usersOf(context, due);
  if (users.length > 0)
    warn(
      `still labelled ${USE_WAYPOINT_LABEL}, and now without a waypoint: ${users.join(', ')}; to remove the label: kubectl label KIND NAME ${USE_WAYPOINT_LABEL}-`,
    );
  return EXIT.ok;
}

/** Namespaces and Services that say they use one of these. */
async function usersOf({ client, signal }: Context, gone: readonly Gateway[]): Promise<readonly string[]> {
  if (gone.length === 0) return [];
  const keys = new Set(gone.map(({ metadata }) => `${metadata.namespace ?? ''}/${metadata.name}`));
  const labelled = { labelSelector: USE_WAYPOINT_LABEL };
  const [spaces, served] = await Promise.all([
    client.list(namespaces, labelled, signal),
    client.list(services, labelled, signal),
  ]);
  const uses = (home: string, labels: Readonly<Record<string, string>> = {}) =>
    keys.has(`${labels[USE_WAYPOINT_NAMESPACE_LABEL] ?? home}/${labels[USE_WAYPOINT_LABEL] ?? ''}`);
  return [
    ...spaces.items
      .filter(({ metadata }) => uses(metadata.name, metadata.labels))
      .map(({ metadata }) => `namespace ${metadata.name}`),
    ...served.items
      .filter(({ metadata }) => uses(metadata.namespace ?? '', metadata.labels))
      .map(({ metadata }) => `service ${metadata.namespace ?? ''}/${metadata.name}`),
  ];
}
