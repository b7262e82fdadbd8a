/** `ambit waypoint routes`: the routes that a waypoint holds, and what it could not read of them. */
import { byTexts, type Context, printRows } from '../../context.ts';
import { EXIT, type ExitCode } from '../../exit-code.ts';
import type { DumpedRoute } from '../../waypoint/dump.ts';
import { replicasOf } from '../../waypoint/replicas.ts';

const COLUMNS = [
  { title: 'ROUTE', of: (row: DumpedRoute) => row.name },
  { title: 'OF', of: (row: DumpedRoute) => row.parents.join(',') },
  { title: 'RULES', of: (row: DumpedRoute) => String(row.rules) },
  { title: 'PROBLEM', of: (row: DumpedRoute) => row.unreadable },
];

/** All replicas are told the same; the first that answers will do. */
export async function waypointRoutes(context: Context): Promise<ExitCode> {
  const { name } = context.options.waypoint;
  const [replica] = await replicasOf(context, name, ['httpRoutes', 'streamRoutes']);
  const rows = [...(replica?.dump.routes ?? [])].sort(byTexts((row) => [row.name]));
  printRows(context, COLUMNS, rows, `waypoint ${name} has no routes`);
  return EXIT.ok;
}
