/** `ambit policies`: what ztunnels enforce. A policy of the cluster that is not here binds nobody (yet). */
import type { ConfigDump } from '../config-dump.ts';
import { byTexts, type Context, printRows } from '../context.ts';
import { EXIT, type ExitCode } from '../exit-code.ts';

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
  return EXIT.ok;
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
