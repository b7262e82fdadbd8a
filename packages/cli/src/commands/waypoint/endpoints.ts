/** `ambit waypoint endpoints`: where a waypoint sends requests, and how each endpoint is doing, as each of its pods sees it. */
import { byTexts, type Context, printRows } from '../../context.ts';
import { EXIT, type ExitCode } from '../../exit-code.ts';
import type { DumpedDestination, DumpedEndpoint } from '../../waypoint/dump.ts';
import { type Replica, replicasOf } from '../../waypoint/replicas.ts';

interface Row {
  readonly pod: string;
  readonly destination: string;
  /** Empty: it has none. */
  readonly endpoint: string;
  readonly workload: string;
  readonly state: string;
  readonly requests: number;
  readonly connections: number;
}

const COLUMNS = [
  { title: 'WAYPOINT', of: (row: Row) => row.pod },
  { title: 'DESTINATION', of: (row: Row) => row.destination },
  { title: 'ENDPOINT', of: (row: Row) => row.endpoint },
  { title: 'WORKLOAD', of: (row: Row) => row.workload },
  { title: 'STATE', of: (row: Row) => row.state },
  { title: 'REQUESTS', of: (row: Row) => (row.endpoint === '' ? '' : String(row.requests)) },
  { title: 'CONNECTIONS', of: (row: Row) => (row.endpoint === '' ? '' : String(row.connections)) },
];

export async function waypointEndpoints(context: Context): Promise<ExitCode> {
  const { name } = context.options.waypoint;
  const replicas = await replicasOf(context, name, ['destinations']);
  const rows = replicas
    .flatMap(rowsOf)
    .sort(byTexts(({ destination, endpoint, pod }) => [destination, endpoint, pod]));
  printRows(context, COLUMNS, rows, `waypoint ${name} has sent nothing yet`);
  return EXIT.ok;
}

function rowsOf({ pod, dump }: Replica): readonly Row[] {
  return dump.destinations.flatMap((one) => {
    const { destination, port, subset, problem, endpoints } = one;
    const common = { pod, destination: `${destination}:${port}${subset === '' ? '' : ` ${subset}`}` };
    if (endpoints.length === 0) return [{ ...common, ...NO_ENDPOINT, state: problem || 'no endpoint' }];
    return endpoints.map((endpoint) => ({ ...common, ...rowOf(endpoint, one) }));
  });
}

const NO_ENDPOINT = { endpoint: '', workload: '', requests: 0, connections: 0 };

function rowOf(
  { endpoint, workload, requests, connections, waiting, ejected, failedHealthChecks }: DumpedEndpoint,
  { problem }: DumpedDestination,
): Omit<Row, 'pod' | 'destination'> {
  const states = [
    problem,
    ejected ? 'ejected: requests to it failed' : '',
    failedHealthChecks ? 'fails its health checks' : '',
    waiting > 0 ? `${waiting} wait for a connection` : '',
  ].filter((state) => state !== '');
  return { endpoint, workload, requests, connections, state: states.join(', ') || 'healthy' };
}
