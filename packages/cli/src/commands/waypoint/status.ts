/** `ambit waypoint status`: whether waypoints are ready, and what keeps them from it; waits until they are. */
import { gateways } from '@ambit/kube/resources/gateway';
import { type Context, printRows } from '../../context.ts';
import { NotFoundError } from '../../errors.ts';
import { EXIT, type ExitCode } from '../../exit-code.ts';
import { namespaceOf, untilProgrammed, waypointsIn } from '../../waypoint/cluster.ts';
import { isProgrammed, isWaypoint, programmed } from '../../waypoint/gateway.ts';
import { NAMESPACE_COLUMN, noWaypointsHere } from './list.ts';

interface Row {
  readonly namespace: string;
  readonly name: string;
  readonly status: string;
  readonly type: string;
  readonly reason: string;
  readonly message: string;
}

const COLUMNS = [
  NAMESPACE_COLUMN,
  { title: 'NAME', of: (row: Row) => row.name },
  { title: 'STATUS', of: (row: Row) => row.status },
  { title: 'TYPE', of: (row: Row) => row.type },
  { title: 'REASON', of: (row: Row) => row.reason },
  { title: 'MESSAGE', of: (row: Row) => row.message },
];

export async function waypointStatus(context: Context, [name]: readonly string[]): Promise<ExitCode> {
  const { client, options, signal } = context;
  const namespace = options.allNamespaces ? undefined : await namespaceOf(context);
  const found = await untilProgrammed(context, async () => {
    const all = await waypointsIn(client, namespace, signal);
    return name === undefined ? all : all.filter(({ metadata }) => metadata.name === name);
  });
  if (name !== undefined && found.length === 0) {
    const other = namespace && (await client.find(gateways, { namespace, name }, signal));
    throw new NotFoundError(
      other && !isWaypoint(other)
        ? `Gateway ${namespace}/${name} is no waypoint: its class is ${other.spec?.gatewayClassName}`
        : `there is no waypoint ${name}${namespace === undefined ? '' : ` in namespace ${namespace}`}`,
    );
  }
  const rows = found.map((gateway): Row => {
    const condition = programmed(gateway);
    return {
      namespace: gateway.metadata.namespace ?? '',
      name: gateway.metadata.name,
      status: condition?.status ?? 'Unknown',
      type: 'Programmed',
      reason: condition?.reason ?? '',
      message: condition?.message ?? 'istiod has not looked at it yet',
    };
  });
  printRows(context, COLUMNS, rows, noWaypointsHere(namespace));
  if (!options.wait || found.every(isProgrammed)) return EXIT.ok;
  context.warn(`not all waypoints are ready after ${options.timeoutMs / 1_000} s`);
  return EXIT.timeout;
}
