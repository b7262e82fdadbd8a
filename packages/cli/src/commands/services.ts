/** `ambit services`: what can be reached by name, and how many healthy endpoints stand behind it. */
import type { ConfigDump } from '../config-dump.ts';
import { byTexts, type Context, printRows } from '../context.ts';
import { EXIT, type ExitCode } from '../exit-code.ts';
import { waypointName } from '../waypoint-name.ts';

export interface ServiceRow {
  readonly namespace: string;
  readonly name: string;
  readonly hostname: string;
  readonly vips: readonly string[];
  readonly ports: readonly number[];
  readonly waypoint: string;
  readonly healthyEndpoints: number;
  readonly endpoints: number;
}

const COLUMNS = [
  { title: 'NAMESPACE', of: (row: ServiceRow) => row.namespace },
  { title: 'SERVICE', of: (row: ServiceRow) => row.name },
  { title: 'ADDRESS', of: (row: ServiceRow) => row.vips.join(',') },
  { title: 'PORTS', of: (row: ServiceRow) => row.ports.join(',') },
  { title: 'WAYPOINT', of: (row: ServiceRow) => row.waypoint },
  { title: 'ENDPOINTS', of: (row: ServiceRow) => `${row.healthyEndpoints}/${row.endpoints}` },
];

export async function services(context: Context): Promise<ExitCode> {
  const { ztunnels, options } = context;
  const dump = await ztunnels.configDump(await ztunnels.one(options.node));
  printRows(context, COLUMNS, serviceRows(dump, options.namespace), 'no services');
  return EXIT.ok;
}

function serviceRows(dump: ConfigDump, namespace: string | undefined): readonly ServiceRow[] {
  const healthy = new Set(dump.workloads.filter(({ status }) => status === 'Healthy').map(({ uid }) => uid));
  return dump.services
    .filter((service) => namespace === undefined || service.namespace === namespace)
    .map((service) => ({
      namespace: service.namespace,
      name: service.name,
      hostname: service.hostname,
      vips: service.vips.map((vip) => vip.replace(/^\//, '')),
      ports: service.ports,
      waypoint: waypointName(dump, service.waypoint),
      healthyEndpoints: service.endpointUids.filter((uid) => healthy.has(uid)).length,
      endpoints: service.endpointUids.length,
    }))
    .sort(byTexts((row) => [row.namespace, row.name, row.hostname]));
}
