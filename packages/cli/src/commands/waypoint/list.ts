/** `ambit waypoint list`: the waypoints of a namespace, or of all, with the columns of istioctl. */
import type { Context } from '../../context.ts';
import { printRows } from '../../context.ts';
import { EXIT, type ExitCode } from '../../exit-code.ts';
import { namespaceOf, waypointsIn } from '../../waypoint/cluster.ts';
import { programmed, revisionOf, trafficTypeOf } from '../../waypoint/gateway.ts';

interface Row {
  readonly namespace: string;
  readonly name: string;
  readonly revision: string;
  readonly trafficType: string;
  readonly programmed: string;
}

const COLUMNS = [
  { title: 'NAME', of: (row: Row) => row.name },
  { title: 'REVISION', of: (row: Row) => row.revision },
  { title: 'TRAFFIC TYPE', of: (row: Row) => row.trafficType },
  { title: 'PROGRAMMED', of: (row: Row) => row.programmed },
];
export const NAMESPACE_COLUMN = {
  title: 'NAMESPACE',
  of: (row: { readonly namespace: string }) => row.namespace,
};

export async function listWaypoints(context: Context): Promise<ExitCode> {
  const { client, options, signal } = context;
  const namespace = options.allNamespaces ? undefined : await namespaceOf(context);
  const rows = (await waypointsIn(client, namespace, signal)).map((gateway) => ({
    namespace: gateway.metadata.namespace ?? '',
    name: gateway.metadata.name,
    revision: revisionOf(gateway),
    trafficType: trafficTypeOf(gateway),
    programmed: programmed(gateway)?.status ?? 'Unknown',
  }));
  const columns = options.allNamespaces ? [NAMESPACE_COLUMN, ...COLUMNS] : COLUMNS;
  printRows(context, columns, rows, noWaypointsHere(namespace));
  return EXIT.ok;
}

/** Where others can be looked for is said too: the namespace may be the kubeconfig's, which nobody named. */
export function noWaypointsHere(namespace: string | undefined): string {
  const elsewhere = namespace === undefined ? '' : '; --namespace (-n) looks in another, -A in all of them';
  return noWaypoints(namespace) + elsewhere;
}

export function noWaypoints(namespace: string | undefined): string {
  return namespace === undefined ? 'no waypoints' : `no waypoints in namespace ${namespace}`;
}
