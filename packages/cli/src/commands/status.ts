/**
 * `ambit status`: whether every part runs, in versions that go together, every node's ztunnel answers and every enrolled
 * pod is captured.
 *
 * What is not well is a sentence each, at the end, where people look; any of them makes the exit code 4.
 */
import { isNotFound, statusOf } from '@ambit/kube/errors';
import { namespaces, nodes, type Pod, pods } from '@ambit/kube/resources/core';
import type { DumpedCertificate } from '../config-dump.ts';
import { byTexts, type Context } from '../context.ts';
import { isIstiod, itemsOfAll } from '../control-plane.ts';
import { installedComponents } from '../install/cluster.ts';
import type { ComponentName } from '../install/components.ts';
import { compareVersions } from '../install/decide/version.ts';
import { podReasons, whyNoPod } from '../install/rollout.ts';
import { exemption, isCaptured, isEnrolled, isRunning } from '../enrolment.ts';
import { EXIT, type ExitCode } from '../exit-code.ts';
import { CERTIFICATE_LATE_SHARE } from '../limits.ts';
import { hasMesh, noMesh } from '../mesh-presence.ts';
import { isReady } from '../pod-ready.ts';
import { type ProxySync, syncByPod } from '../proxy-sync.ts';
import { type Column, table } from '../table.ts';
import { type WaypointRow, waypointRows } from '../waypoint/health.ts';

interface Component {
  readonly name: string;
  /** Empty where nobody has said it. */
  readonly version: string;
  readonly ready: number;
  readonly total: number;
}

type Sync = ProxySync['is'] | 'not connected' | '';

interface NodeRow {
  readonly node: string;
  readonly version: string;
  /** Whether it has what the control plane has for it; empty: nobody can say. */
  readonly sync: Sync;
  readonly podsUp: number;
  readonly podsPending: number;
  readonly certificates: number;
  readonly certificatesMissing: number;
  readonly workloads: number;
}

interface NamespaceRow {
  readonly namespace: string;
  readonly captured: number;
  readonly total: number;
}

interface Report {
  readonly components: readonly Component[];
  readonly nodes: readonly NodeRow[];
  readonly namespaces: readonly NamespaceRow[];
  readonly waypoints: readonly WaypointRow[];
  readonly problems: readonly string[];
}

/** Labels as Istio's charts set them. */
const COMPONENTS: readonly {
  readonly name: string;
  readonly component: ComponentName;
  readonly is: (pod: Pod) => boolean;
}[] = [
  { name: 'istiod', component: 'istiod', is: isIstiod },
  {
    name: 'istio-cni-node',
    component: 'cni',
    is: ({ metadata }) => metadata.labels?.['k8s-app'] === 'istio-cni-node',
  },
  {
    name: 'ztunnel',
    component: 'ztunnel',
    is: ({ metadata }) =>
      metadata.labels?.['app'] === 'ztunnel' ||
      (metadata.labels?.['app'] === undefined && metadata.name.startsWith('ztunnel')),
  },
];

export async function status(context: Context): Promise<ExitCode> {
  const report = await examine(context);
  if (context.options.output === 'json') context.print(`${JSON.stringify(report, undefined, 2)}\n`);
  else context.print(render(report));
  return report.problems.length === 0 ? EXIT.ok : EXIT.unknown;
}

async function examine(context: Context): Promise<Report> {
  const problems: string[] = [];
  const components = await examineComponents(context, problems);
  if (components.every(({ total }) => total === 0) && (await hasMesh(context)) === false) {
    const rows = await examineNamespaces(context, []);
    return {
      components: [],
      nodes: [],
      namespaces: rows,
      waypoints: [],
      problems: [noMesh(context.options.meshNamespace)],
    };
  }
  const nodeRows = await examineNodes(context, problems);
  problems.push(...skewProblems(components, nodeRows));
  const namespaceRows = await examineNamespaces(context, problems);
  const waypoints = await waypointRows(context, problems);
  return { components, nodes: nodeRows, namespaces: namespaceRows, waypoints, problems };
}

async function examineComponents(context: Context, problems: string[]): Promise<readonly Component[]> {
  const { client, options, signal } = context;
  const { items } = await client.list(pods, { namespace: options.meshNamespace }, signal);
  const versions = await workloadVersions(context);
  const rows: Component[] = [];
  for (const { name, component, is } of COMPONENTS) {
    const own = items.filter(is).filter(({ metadata }) => metadata.deletionTimestamp === undefined);
    const waiting = own.filter((pod) => !isReady(pod));
    const ready = own.length - waiting.length;
    if (own.length === 0)
      problems.push(
        `no pod of ${name} is in namespace ${options.meshNamespace}${await whyNoPod(context, component)}`,
      );
    else if (ready < own.length)
      problems.push(
        `${waiting.length} of ${own.length} pods of ${name} are not ready: ${await podReasons(context, waiting)}`,
      );
    rows.push({ name, version: versions.get(component) ?? '', ready, total: own.length });
  }
  return rows;
}

/** Whoever may not read workloads does without. */
async function workloadVersions({ client, options, signal }: Context): Promise<ReadonlyMap<string, string>> {
  try {
    const installed = await installedComponents(client, options.meshNamespace, signal);
    return new Map(installed.map(({ component, version }) => [component, version]));
  } catch (error) {
    if (statusOf(error) === 403) return new Map();
    throw error;
  }
}

/** A control plane is never older than what it serves. */
function skewProblems(components: readonly Component[], nodeRows: readonly NodeRow[]): readonly string[] {
  const { version: control = '' } = components.find(({ name }) => name === 'istiod') ?? {};
  const older = (version: string) => compareVersions(control, version) < 0;
  const say = (what: string, version: string) =>
    `${what} is ${version}, newer than its control plane ${control}; "ambit upgrade"`;
  return [
    ...components
      .filter(({ name, version }) => name === 'istio-cni-node' && older(version))
      .map(({ name, version }) => say(name, version)),
    ...nodeRows
      .filter(({ version }) => older(version))
      .map(({ node, version }) => say(`ztunnel on ${node}`, version)),
  ];
}

async function examineNodes(context: Context, problems: string[]): Promise<readonly NodeRow[]> {
  const { ztunnels } = context;
  const all = await ztunnels.all();
  const covered = new Set(all.map(({ node }) => node));
  for (const node of await nodeNames(context)) {
    if (!covered.has(node)) problems.push(`no ztunnel runs on node ${node}`);
  }
  const outcomes = await ztunnels.each(all, (one) => ztunnels.configDump(one));
  const clients = await itemsOfAll(context, '/debug/syncz');
  const syncs = clients && syncByPod(clients);
  const nowMs = context.clock.now();
  return outcomes.flatMap((outcome): readonly NodeRow[] => {
    if ('problem' in outcome) {
      problems.push(outcome.problem);
      return [];
    }
    const { answer, ztunnel } = outcome;
    const missing = answer.certificates.filter(({ state }) => state.startsWith('Unavailable'));
    for (const { identity, state } of missing) problems.push(`${ztunnel.node}: ${identity}: ${state}`);
    problems.push(...answer.certificates.flatMap((one) => lateProblem(ztunnel.node, one, nowMs)));
    const sync = syncs && (syncs.get(`${ztunnel.namespace}/${ztunnel.pod}`) ?? 'not connected');
    if (sync !== undefined) problems.push(...syncProblem(ztunnel.node, sync));
    const up = answer.pods.filter(({ state }) => state === 'Up').length;
    return [
      {
        node: ztunnel.node,
        version: answer.version,
        sync: sync === undefined ? '' : typeof sync === 'string' ? sync : sync.is,
        podsUp: up,
        podsPending: answer.pods.length - up,
        certificates: answer.certificates.length - missing.length,
        certificatesMissing: missing.length,
        workloads: answer.workloads.length,
      },
    ];
  });
}

/** What a ztunnel does not know it cannot do: policies that changed meanwhile are not in force on its node. */
function syncProblem(node: string, sync: ProxySync | 'not connected'): readonly string[] {
  if (sync === 'not connected')
    return [
      `${node}: its ztunnel is not connected to the control plane, and goes on with what it was told before`,
    ];
  switch (sync.is) {
    case 'current':
      return [];
    case 'behind':
      return [
        `${node}: its ztunnel has not taken for ${Math.round(sync.forMs / 1_000)} s what the control plane sent it`,
      ];
    case 'refusing':
      return [`${node}: its ztunnel refuses what the control plane sent it last: ${sync.message}`];
  }
}

/** A certificate that is long due to be renewed, before it expires and connections are refused. */
function lateProblem(
  node: string,
  { identity, validFrom, expires, state }: DumpedCertificate,
  nowMs: number,
) {
  const [fromMs, untilMs] = [Date.parse(validFrom), Date.parse(expires)];
  const lateMs = fromMs + (untilMs - fromMs) * CERTIFICATE_LATE_SHARE;
  // Whatever is not a time compares as false.
  if (state.startsWith('Unavailable') || !(nowMs > lateMs)) return [];
  return [`${node}: ${identity}: its certificate should have been renewed; it is good until ${expires}`];
}

/** A user who may not list nodes still gets the rest. */
async function nodeNames({ client, signal }: Context): Promise<readonly string[]> {
  try {
    return (await client.list(nodes, {}, signal)).items.map(({ metadata }) => metadata.name);
  } catch (error) {
    if (isNotFound(error) || statusOf(error) === 403) return [];
    throw error;
  }
}

async function examineNamespaces(context: Context, problems: string[]): Promise<readonly NamespaceRow[]> {
  const { client, signal } = context;
  const { items } = await client.list(namespaces, {}, signal);
  const rows = await Promise.all(
    items.map(async (namespace): Promise<readonly NamespaceRow[]> => {
      const { name } = namespace.metadata;
      const found = await client.list(pods, { namespace: name }, signal);
      const due = found.items.filter(isRunning).filter((pod) => exemption(pod, namespace) === undefined);
      const captured = due.filter(isCaptured).length;
      if (captured < due.length)
        problems.push(`${due.length - captured} of ${due.length} pods of ${name} are not captured`);
      return due.length > 0 || isEnrolled(namespace)
        ? [{ namespace: name, captured, total: due.length }]
        : [];
    }),
  );
  return rows.flat().sort(byTexts((row) => [row.namespace]));
}

/** A heading over nothing tells nobody anything. */
function tableOr<Row>(none: string, columns: readonly Column<Row>[], rows: readonly Row[]): string {
  return rows.length === 0 ? none : table(columns, rows);
}

function render(report: Report): string {
  const { components, namespaces: enrolled, problems } = report;
  if (components.length === 0) {
    const names = enrolled.map(({ namespace }) => namespace).join(', ');
    const labelled = names === '' ? '' : `; the label that would enrol them is on ${names}`;
    return `Not well: ${problems.join('; ')}${labelled}\n`;
  }
  const sections = [
    table(
      [
        { title: 'COMPONENT', of: (row: Component) => row.name },
        { title: 'VERSION', of: (row: Component) => row.version },
        { title: 'READY', of: (row: Component) => `${row.ready}/${row.total}` },
      ],
      report.components,
    ),
    tableOr(
      'No ztunnel says what it holds.\n',
      [
        { title: 'NODE', of: (row: NodeRow) => row.node },
        { title: 'ZTUNNEL', of: (row: NodeRow) => row.version },
        { title: 'CONTROL PLANE', of: (row: NodeRow) => row.sync },
        { title: 'PODS', of: (row: NodeRow) => `${row.podsUp}/${row.podsUp + row.podsPending}` },
        {
          title: 'CERTIFICATES',
          of: (row: NodeRow) => `${row.certificates}/${row.certificates + row.certificatesMissing}`,
        },
        { title: 'WORKLOADS KNOWN', of: (row: NodeRow) => String(row.workloads) },
      ],
      report.nodes,
    ),
    tableOr(
      'No namespace is enrolled; "ambit enroll NAMESPACE" takes one into the mesh.\n',
      [
        { title: 'ENROLLED NAMESPACE', of: (row: NamespaceRow) => row.namespace },
        { title: 'PODS CAPTURED', of: (row: NamespaceRow) => `${row.captured}/${row.total}` },
      ],
      report.namespaces,
    ),
    ...(report.waypoints.length === 0
      ? []
      : [
          table(
            [
              { title: 'WAYPOINT', of: (row: WaypointRow) => row.waypoint },
              { title: 'FOR', of: (row: WaypointRow) => row.trafficType },
              { title: 'READY', of: (row: WaypointRow) => `${row.ready}/${row.total}` },
              { title: 'PROGRAMMED', of: (row: WaypointRow) => row.programmed },
            ],
            report.waypoints,
          ),
        ]),
  ];
  const verdict =
    report.problems.length === 0
      ? 'The mesh is well.\n'
      : `Not well:\n${report.problems.map((problem) => `  ${problem}\n`).join('')}`;
  return [...sections, verdict].join('\n');
}
