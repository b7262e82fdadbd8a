/**
 * `ambit preflight`: whether this cluster and each of its nodes can carry the mesh, and what to do where not.
 *
 * It asks the API, and looks at each node from a pod that it starts there for some seconds; without the right to do that,
 * or with `--no-probe`, the API alone. It changes nothing else, and may be run before and after an installation.
 */
import type { Context } from '../context.ts';
import { EXIT, type ExitCode } from '../exit-code.ts';
import { forbiddenActions } from '../install/cluster.ts';
import { effective } from '../install/decide/values.ts';
import { recordedValues } from '../install/installation.ts';
import { KINDS } from '../install/kinds.ts';
import { clusterFacts, nodeViews } from '../preflight/cluster.ts';
import { type NodeView, type PreflightFacts, TOLD_NOT_TO_PROBE } from '../preflight/decide/facts.ts';
import { type Finding, findingsOf } from '../preflight/decide/findings.ts';
import { cniFolderOf } from '../preflight/decide/platform.ts';
import { preflightDaemonSet, preflightNamespace, PREFLIGHT_NAME } from '../preflight/pods.ts';
import { probeNodes } from '../preflight/probe.ts';
import { printable } from '../table.ts';
import { MAX_SENTENCE_CHARS } from '../limits.ts';

const HUB = 'global.hub';

export async function preflight(context: Context): Promise<ExitCode> {
  const { options, print } = context;
  const cluster = await clusterFacts(context);
  const nodes = await nodeViews(context);
  const { views, notProbed } = await probed(context, nodes);
  const values = await recordedValues(context);
  const defaultHub = context.options.image === undefined && effective(values, HUB) === effective({}, HUB);
  const facts: PreflightFacts = { cluster, nodes: views, notProbed, defaultHub };
  const findings = findingsOf(facts);
  if (options.output === 'json') print(`${JSON.stringify({ ...facts, findings }, undefined, 2)}\n`);
  else print(textOf(facts, findings));
  const isBad = findings.some(({ severity }) => severity === 'error');
  const isBlind = options.probe && views.every(({ probe }) => probe?.kind !== 'looked');
  return isBad || isBlind ? EXIT.unknown : EXIT.ok;
}

async function probed(context: Context, nodes: readonly NodeView[]) {
  const { options } = context;
  const linux = nodes.filter(({ os, ready }) => os === 'linux' && ready);
  if (!options.probe) return { views: nodes, notProbed: TOLD_NOT_TO_PROBE };
  if (linux.length === 0) return { views: nodes, notProbed: 'no Linux node is Ready' };
  const namespace = `${PREFLIGHT_NAME}-${context.clock.now().toString(36)}`;
  const given = { namespace, ...(await settingsOf(context, linux[0]?.platform ?? '')) };
  const objects = [preflightNamespace(namespace, context.clock.now()), preflightDaemonSet(given)];
  const parts = objects.flatMap((object) => {
    const resource = KINDS.find(({ kind }) => kind === object.kind);
    return resource ? [{ resource, object, component: 'base' as const }] : [];
  });
  const forbidden = await forbiddenActions(context.client, parts, ['create', 'delete'], context.signal);
  if (forbidden.length > 0) return { views: nodes, notProbed: `you may not ${forbidden.join(', ')}` };
  const found = await probeNodes(
    context,
    linux.map(({ name }) => name),
    given,
  );
  return { views: nodes.map((node) => ({ ...node, probe: found.get(node.name) })), notProbed: undefined };
}

/** As the installation has them; the image is the one that was told, else that of the installation or of this version. */
async function settingsOf(context: Context, platform: string) {
  const { version } = await context.shipped();
  const values = await recordedValues(context);
  const text = (key: string) => String(effective(values, key));
  const name = text('cni.image');
  const own = name.includes('/') ? name : `${text(HUB)}/${name}:${text('global.tag') || version}`;
  return {
    image: context.options.image ?? own,
    imagePullPolicy: text('global.imagePullPolicy') || undefined,
    cniFolder: text('cni.cniConfDir') || cniFolderOf(text('global.platform') || platform),
  };
}

function textOf({ nodes, notProbed, cluster }: PreflightFacts, findings: readonly Finding[]): string {
  const looked = nodes.filter(({ probe }) => probe?.kind === 'looked').length;
  const head = `Kubernetes ${cluster.version ?? 'of unknown version'}; ${looked} of ${nodes.length} nodes looked at from inside${notProbed === undefined ? '' : ` (${notProbed})`}.\n`;
  const count = (severity: Finding['severity']) => findings.filter((one) => one.severity === severity).length;
  const counted = (['error', 'warning', 'note'] as const).map(
    (severity) => `${count(severity)} ${severity}${count(severity) === 1 ? '' : 's'}`,
  );
  const blocked =
    count('error') === 0 ? 'nothing keeps the mesh from working' : 'errors keep the mesh from working';
  const verdict = `${counted.join(', ')}: ${blocked}.\n`;
  if (findings.length === 0) return `${head}\nNothing stands in the way.\n`;
  const width = Math.max(...findings.map(({ where }) => where.length));
  const rows = findings.map(({ severity, where, text, fix }) => {
    const first = `${severity.padEnd(SEVERITY_CHARS)}  ${printable(where).padEnd(width)}  `;
    const more = fix === '' ? '' : `${' '.repeat(first.length)}→ ${printable(fix, MAX_SENTENCE_CHARS)}\n`;
    return `${first}${printable(text, MAX_SENTENCE_CHARS)}\n${more}`;
  });
  return `${head}\n${rows.join('')}\n${verdict}`;
}

const SEVERITY_CHARS = 'warning'.length;
