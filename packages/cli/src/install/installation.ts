/**
 * From options to what is to be installed, and what the cluster says about it: shared by install and upgrade.
 *
 * The values of an installation are kept in a ConfigMap of their own, so that a later install or upgrade starts from
 * what somebody chose and not from the defaults.
 */
import { createHash } from 'node:crypto';
import type { KubeObject } from '@ambit/kube/resource';
import { type ConfigMap, configMaps } from '@ambit/kube/resources/core';
import type { Options } from '../command-line.ts';
import type { Context } from '../context.ts';
import { InstallError, UsageError } from '../errors.ts';
import {
  forbiddenActions,
  foreignObjects,
  hasGatewayApi,
  installedComponents,
  kubernetesVersion,
  linuxNodes,
  liveObjects,
} from './cluster.ts';
import { COMPONENTS, type ComponentName } from './components.ts';
import { type CheckOutcome, checkInstall } from './decide/checks.ts';
import { isOfLab, stamped } from './decide/ownership.ts';
import { applyValues, doubledVariables } from './decide/edits.ts';
import { type ChosenValues, effective, mergeChosen } from './decide/values.ts';
import { type Part, partsOf, readManifest } from './manifest.ts';
import type { Shipped } from './shipped.ts';
import { readChosenValues } from './values-file.ts';

/** Where the values and the version of an installation are kept. */
const RECORD_NAME = 'ambit-installation';
const VALUES_KEY = 'values.json';
/** The manifests are rendered for this namespace; names and roles in them depend on it. */
const NAMESPACE = 'istio-system';
const HUB = 'global.hub';

export interface Target {
  readonly parts: readonly Part[];
  readonly values: ChosenValues;
  /** Of `values`, what this call did not say but an earlier one did. */
  readonly kept: ChosenValues;
  readonly selected: readonly ComponentName[];
  readonly version: string;
}

/** What a call asks for, which takes no cluster to be read and checked. */
export interface Choice {
  readonly selected: readonly ComponentName[];
  readonly values: ChosenValues;
}

/** @throws {@link UsageError} for arguments, and files that they name, which are wrong whatever the cluster is. */
export async function choiceOf(options: Options): Promise<Choice> {
  if (options.meshNamespace !== NAMESPACE)
    throw new UsageError(
      `this command installs into ${NAMESPACE} alone; for another namespace use the Helm chart (deploy/charts/ambit)`,
    );
  const selected = selectedComponents(options.components);
  return { selected, values: await readChosenValues(options.valuesFiles, options.set) };
}

/** @throws {@link UsageError} or {@link InstallError} */
export async function targetOf(context: Context, given: Shipped): Promise<Target> {
  const { options } = context;
  const { selected, values: chosen } = context.choice ?? (await choiceOf(options));
  const recorded = options.resetValues ? {} : await recordedValues(context);
  const values = mergeChosen(recorded, chosen);
  const manifest = readManifest(given.manifests);
  const [doubled] = doubledVariables(manifest, values, given.version);
  if (doubled !== undefined)
    throw new UsageError(
      `${doubled}: the chart sets ${doubled.slice(doubled.lastIndexOf('.') + 1)} itself, and a variable cannot be there twice; use the value that it comes from`,
    );
  const objects = applyValues(manifest, values, given.version, digestOf);
  const parts = partsOf(
    [...objects, recordOf(given, values)].map((object) => stamped(object, given.version)),
  );
  return {
    parts: parts.filter(({ component }) => component === 'base' || selected.includes(component)),
    values,
    kept: without(recorded, chosen),
    selected,
    version: given.version,
  };
}

function selectedComponents(names: readonly string[]): readonly ComponentName[] {
  const unknown = names.find((name) => !(COMPONENTS as readonly string[]).includes(name));
  if (unknown !== undefined)
    throw new UsageError(`--component is one of ${COMPONENTS.join(', ')}, not "${unknown}"`);
  return names.length === 0 ? COMPONENTS : COMPONENTS.filter((name) => names.includes(name));
}

function without(values: ChosenValues, others: ChosenValues): ChosenValues {
  return Object.fromEntries(Object.entries(values).filter(([key]) => !Object.hasOwn(others, key)));
}

function digestOf(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

function recordOf({ version }: Shipped, values: ChosenValues): KubeObject {
  return {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: RECORD_NAME, namespace: NAMESPACE },
    data: { version, [VALUES_KEY]: `${JSON.stringify(values, undefined, 2)}\n` },
  } as KubeObject;
}

/** What an earlier installation was told. */
export async function recordedValues({ client, options, signal }: Context): Promise<ChosenValues> {
  const at = { namespace: options.meshNamespace, name: RECORD_NAME };
  const record: ConfigMap | undefined = await client.find(configMaps, at, signal);
  const text = record?.data?.[VALUES_KEY];
  if (text === undefined) return {};
  try {
    const values = JSON.parse(text) as unknown;
    if (typeof values === 'object' && values !== null && !Array.isArray(values))
      return values as ChosenValues;
  } catch {
    // Said below.
  }
  throw new InstallError(
    `ConfigMap ${NAMESPACE}/${RECORD_NAME} holds no values that can be read; --reset-values goes on without them`,
  );
}

export interface Findings {
  readonly live: ReadonlyMap<string, KubeObject>;
  readonly outcomes: readonly CheckOutcome[];
  readonly installedVersions: ReadonlyMap<ComponentName, string>;
}

/** Reads the cluster and checks; writes nothing. */
export async function inspect(
  context: Context,
  target: Target,
  operation: 'install' | 'upgrade',
): Promise<Findings> {
  const { client, options, signal } = context;
  const { parts, selected } = target;
  const forbidden = await forbiddenActions(client, parts, ['get', 'list', 'create', 'patch'], signal);
  const readable = !forbidden.some((action) => action.startsWith('get'));
  const live = readable ? await liveObjects(client, parts, signal) : new Map<string, KubeObject>();
  const installed = readable ? await installedComponents(client, options.meshNamespace, signal) : [];
  const outcomes = checkInstall({
    operation,
    kubernetesVersion: await kubernetesVersion(client, signal),
    version: target.version,
    installed: installed.filter(({ component }) => component === 'istiod' || selected.includes(component)),
    foreign: readable ? await foreignObjects(client, parts, live, selected, signal) : [],
    forbidden,
    gatewayApi: !readable || (await hasGatewayApi(client, signal)),
    lab: [...live.values()].some(isOfLab),
    defaultHub: effective(target.values, HUB) === effective({}, HUB),
    namespaceTerminating: [...live.values()].some(
      ({ kind, metadata }) => kind === 'Namespace' && metadata.deletionTimestamp !== undefined,
    ),
    linuxNodes: await linuxNodes(client, signal),
    selected,
    allowDowngrade: options.allowDowngrade,
  });
  const installedVersions = new Map(installed.map(({ component, version }) => [component, version]));
  return { live, outcomes, installedVersions };
}
