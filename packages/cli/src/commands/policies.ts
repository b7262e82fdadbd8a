/** `ambit policies`: what ztunnels enforce. A policy of the cluster that is not here binds nobody (yet), or a waypoint does. */
import type { KubeClient } from '@ambit/kube/client';
import { isNotFound, statusOf } from '@ambit/kube/errors';
import { gateways } from '@ambit/kube/resources/gateway';
import type { ConfigDump } from '../config-dump.ts';
import { byTexts, type Context, printRows } from '../context.ts';
import { EXIT, type ExitCode } from '../exit-code.ts';
import { MAX_OBJECTS_NAMED } from '../limits.ts';
import { isWaypoint } from '../waypoint/gateway.ts';

export interface PolicyRow {
  readonly namespace: string;
  readonly name: string;
  /** As kubectl prints it: `ALLOW`, `DENY`. */
  readonly action: string;
  readonly scope: string;
  readonly dryRun: boolean;
  readonly rules: number;
  /** Workloads that name it, for policies that select them. */
  readonly workloads: number | undefined;
}

const COLUMNS = [
  { title: 'NAMESPACE', of: (row: PolicyRow) => row.namespace },
  { title: 'POLICY', of: (row: PolicyRow) => row.name },
  { title: 'ACTION', of: (row: PolicyRow) => (row.dryRun ? `${row.action} (dry run)` : row.action) },
  { title: 'SCOPE', of: (row: PolicyRow) => row.scope },
  { title: 'RULES', of: (row: PolicyRow) => String(row.rules) },
  {
    title: 'BINDS',
    of: (row: PolicyRow) =>
      row.workloads === undefined
        ? 'everything in its scope'
        : `${row.workloads} ${row.workloads === 1 ? 'workload' : 'workloads'}`,
  },
];

export async function policies(context: Context): Promise<ExitCode> {
  const { ztunnels, options } = context;
  const dump = await ztunnels.configDump(await ztunnels.one(options.node));
  printRows(context, COLUMNS, policyRows(dump, options.namespace), 'no policies');
  if (options.output !== 'json') await tellOfWaypoints(context);
  return EXIT.ok;
}

/** What a policy asks of requests, and what it targets a waypoint with, no ztunnel has. */
async function tellOfWaypoints({ client, options, signal, warn }: Context): Promise<void> {
  const waypoints = (await waypointsThere(client, options.namespace, signal)).filter(isWaypoint);
  const commands = waypoints
    .slice(0, MAX_OBJECTS_NAMED)
    .map(
      ({ metadata: { namespace = '', name } }) => `"ambit waypoint policies -n ${namespace} --name ${name}"`,
    );
  const more = waypoints.length - commands.length;
  if (commands.length > 0)
    warn(`those of waypoints: ${commands.join(', ')}${more > 0 ? `, and of ${more} waypoints more` : ''}`);
}

async function waypointsThere(client: KubeClient, namespace: string | undefined, signal: AbortSignal) {
  try {
    return (await client.list(gateways, { namespace }, signal)).items;
  } catch (error) {
    if (isNotFound(error) || statusOf(error) === 403) return [];
    throw error;
  }
}

function policyRows(dump: ConfigDump, namespace: string | undefined): readonly PolicyRow[] {
  return dump.policies
    .filter((policy) => namespace === undefined || policy.namespace === namespace)
    .map((policy) => ({
      namespace: policy.namespace,
      name: policy.name,
      action: policy.action.toUpperCase(),
      scope: policy.scope,
      dryRun: policy.dryRun,
      rules: policy.rules.length,
      workloads:
        policy.scope === 'WorkloadSelector'
          ? dump.workloads.filter(({ policies: named }) =>
              named.includes(`${policy.namespace}/${policy.name}`),
            ).length
          : undefined,
    }))
    .sort(byTexts((row) => [row.namespace, row.name]));
}
