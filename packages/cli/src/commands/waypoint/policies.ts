/** `ambit waypoint policies`: the policies that a waypoint holds, what each is for, and what it could not read of them. */
import { byTexts, type Context, printRows } from '../../context.ts';
import { EXIT, type ExitCode } from '../../exit-code.ts';
import type { DumpedPolicy } from '../../waypoint/dump.ts';
import { replicasOf } from '../../waypoint/replicas.ts';

const COLUMNS = [
  { title: 'KIND', of: (row: DumpedPolicy) => row.kind },
  { title: 'POLICY', of: (row: DumpedPolicy) => row.key },
  { title: 'ACTION', of: (row: DumpedPolicy) => (row.dryRun ? `${row.action} (dry run)` : row.action) },
  { title: 'FOR', of: (row: DumpedPolicy) => row.targets.join(',') || 'its namespace' },
  { title: 'PROBLEM', of: (row: DumpedPolicy) => row.unreadable },
];

/** All replicas are told the same; the first that answers will do. */
export async function waypointPolicies(context: Context): Promise<ExitCode> {
  const { name } = context.options.waypoint;
  const [replica] = await replicasOf(context, name, [
    'authorizationPolicies',
    'requestAuthentications',
    'destinationPolicies',
    'telemetries',
  ]);
  const rows = [...(replica?.dump.policies ?? [])].sort(byTexts((row) => [row.kind, row.key]));
  printRows(context, COLUMNS, rows, `waypoint ${name} has no policies`);
  return EXIT.ok;
}
