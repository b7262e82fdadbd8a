/** `ambit workloads`: who is in the mesh, as one ztunnel sees it. */
import type { ConfigDump } from '../config-dump.ts';
import { byTexts, type Context, printRows } from '../context.ts';
import { EXIT, type ExitCode } from '../exit-code.ts';
import { waypointName } from '../waypoint-name.ts';

export interface WorkloadRow {
  readonly namespace: string;
  readonly name: string;
  readonly address: string;
  readonly node: string;
  readonly protocol: string;
  readonly status: string;
  readonly waypoint: string;
  readonly identity: string;
}

const COLUMNS = [
  { title: 'NAMESPACE', of: (row: WorkloadRow) => row.namespace },
  { title: 'WORKLOAD', of: (row: WorkloadRow) => row.name },
  { title: 'ADDRESS', of: (row: WorkloadRow) => row.address },
  { title: 'NODE', of: (row: WorkloadRow) => row.node },
  { title: 'PROTOCOL', of: (row: WorkloadRow) => row.protocol },
  { title: 'STATUS', of: (row: WorkloadRow) => row.status },
  { title: 'WAYPOINT', of: (row: WorkloadRow) => row.waypoint },
];

export async function workloads(context: Context): Promise<ExitCode> {
  const { ztunnels, options } = context;
  const dump = await ztunnels.configDump(await ztunnels.one(options.node));
  printRows(context, COLUMNS, workloadRows(dump, options.namespace), 'no workloads');
  return EXIT.ok;
}

function workloadRows(dump: ConfigDump, namespace: string | undefined): readonly WorkloadRow[] {
  return dump.workloads
    .filter((workload) => namespace === undefined || workload.namespace === namespace)
    .map((workload) => ({
      namespace: workload.namespace,
      name: workload.name,
      address: workload.addresses.join(','),
      node: workload.node,
      protocol: workload.protocol,
      status: workload.status,
      waypoint: waypointName(dump, workload.waypoint),
      identity: `spiffe://${workload.trustDomain || 'cluster.local'}/ns/${workload.namespace}/sa/${workload.serviceAccount}`,
    }))
    .sort(byTexts((row) => [row.namespace, row.name, row.address]));
}
