/**
 * What is looked at before anything is written: facts of the cluster in, sentences out. Any refusal means that nothing is
 * done, so a mesh is never half installed because of something that could have been known.
 */
import { GATEWAY_API_URL } from './gateway-api.ts';
import { compareVersions, minorsAhead } from './version.ts';
import type { ComponentName } from '../components.ts';

export type CheckOutcome =
  | { readonly kind: 'refusal'; readonly text: string }
  | { readonly kind: 'note'; readonly text: string };

/** An object that is in the place of one of ours, or plays the part of one. */
export interface ForeignObject {
  readonly title: string;
  readonly component: ComponentName;
  /** The Helm release that it belongs to. */
  readonly helmRelease: string | undefined;
  /** Part of Ambit all the same: installed with its chart. */
  readonly ambit: boolean;
}

export interface InstalledComponent {
  readonly component: ComponentName;
  readonly version: string;
}

export interface InstallFacts {
  readonly operation: 'install' | 'upgrade';
  /** `undefined`: the server would not say. */
  readonly kubernetesVersion: string | undefined;
  readonly version: string;
  readonly installed: readonly InstalledComponent[];
  readonly foreign: readonly ForeignObject[];
  /** `create daemonsets.apps in istio-system`: what the user may not do. */
  readonly forbidden: readonly string[];
  readonly gatewayApi: boolean;
  /** The cluster is the lab of the demo, which runs its own mesh from sources. */
  readonly lab: boolean;
  /** Images come from where the chart has them by default. */
  readonly defaultHub: boolean;
  /** The namespace is there, on its way out. */
  readonly namespaceTerminating: boolean;
  readonly linuxNodes: number | undefined;
  readonly selected: readonly ComponentName[];
  readonly allowDowngrade: boolean;
}

/** The oldest Kubernetes that has all that the manifests use; the chart says the same. */
export const MIN_KUBERNETES = '1.30.0';

const GATEWAY_API = `the Gateway API is not installed; waypoints need it: kubectl apply --server-side -f ${GATEWAY_API_URL}`;

/** Why nothing is installed into the lab, nor taken out of it. */
export const LAB =
  'this is the lab of "npm run demo", whose mesh runs from sources and is there already: "ambit status"; the installer is for clusters (docs/operate/install.md)';
/** Nobody publishes images under the chart's default name. */
export const DEFAULT_HUB =
  'images are to come from the default, global.hub=ambit, where no registry has any; unless every node holds them already, make them and say where they are: --set global.hub=REGISTRY/NAME (docs/operate/install.md, "Images")';

export function checkInstall(facts: InstallFacts): readonly CheckOutcome[] {
  if (facts.lab) return [refusal(LAB)];
  return [
    ...kubernetesVersion(facts),
    ...otherOwners(facts),
    ...installedVersions(facts),
    ...permissions(facts),
    ...(facts.namespaceTerminating
      ? [refusal('namespace istio-system is being deleted; run this again when it is gone')]
      : []),
    ...(facts.defaultHub && facts.installed.length === 0 ? [note(DEFAULT_HUB)] : []),
    ...(facts.gatewayApi ? [] : [note(GATEWAY_API)]),
    ...(facts.linuxNodes === 0 ? [note('no Linux node is there yet; ztunnel runs as soon as one is')] : []),
  ];
}

function kubernetesVersion({ kubernetesVersion: version }: InstallFacts): readonly CheckOutcome[] {
  if (version === undefined) return [note('the API server did not tell its version')];
  if (compareVersions(version, MIN_KUBERNETES) >= 0) return [];
  return [refusal(`Kubernetes ${version} is too old: ${MIN_KUBERNETES} or later is needed`)];
}

function otherOwners({ foreign, operation }: InstallFacts): readonly CheckOutcome[] {
  const chart = foreign.find(({ ambit, helmRelease }) => ambit && helmRelease !== undefined);
  if (chart)
    return [
      refusal(
        `Ambit is installed here by Helm (release ${chart.helmRelease}); ${operation} it with "helm upgrade ${chart.helmRelease}", or remove that release first`,
      ),
    ];
  const others = foreign.filter(({ ambit }) => !ambit);
  if (others.length === 0) return [];
  const names = others.map(
    ({ title, helmRelease }) => `${title}${helmRelease ? ` (Helm release ${helmRelease})` : ''}`,
  );
  return [
    refusal(
      `a live Istio, or something named as its parts, is here: ${names.join(', ')}; two meshes in one namespace would take each other's pods. ${migration(others)}`,
    ),
  ];
}

/** Each part of Ambit works with Istio's others, so a mesh moves over part by part. */
function migration(others: readonly ForeignObject[]): string {
  const release = (component: ComponentName) =>
    others.find((one) => one.component === component)?.helmRelease ?? `the release of ${component}`;
  const steps = (['ztunnel', 'cni', 'istiod'] as const)
    .filter((component) => others.some((one) => one.component === component))
    .map((component) => `remove ${release(component)}, then "ambit install --component ${component}"`);
  return `To move over one component at a time, each working with Istio's others: ${steps.join('; ')}; at last "ambit install" for the whole`;
}

function installedVersions(facts: InstallFacts): readonly CheckOutcome[] {
  const { installed, version, operation, selected, allowDowngrade } = facts;
  if (installed.length === 0)
    return operation === 'upgrade'
      ? [refusal('no Ambit is installed here; "ambit install" installs it')]
      : [];
  const newer = installed.filter((one) => compareVersions(one.version, version) > 0);
  if (newer.length > 0 && !allowDowngrade)
    return [
      refusal(
        `${newer.map((one) => `${one.component} ${one.version}`).join(', ')} is newer than this command's ${version}; use the newer command, or go back on purpose with "ambit upgrade --allow-downgrade"`,
      ),
    ];
  const older = installed.filter((one) => compareVersions(one.version, version) < 0);
  if (operation === 'install' && older.length > 0)
    return [
      refusal(
        `Ambit ${older[0]?.version} is installed; "ambit upgrade" takes it to ${version}, one component after another`,
      ),
    ];
  const skipped = older.filter((one) => Math.abs(minorsAhead(version, one.version) ?? 0) > 1);
  return [
    ...skipped
      .filter(({ component }) => component === 'istiod')
      .map((one) =>
        note(
          `this skips ${(minorsAhead(version, one.version) ?? 0) - 1} minor versions; node proxies of ${one.version} work with a control plane of ${version} only while the upgrade lasts`,
        ),
      ),
    ...skew(facts, selected),
  ];
}

/** A control plane is never older than the proxies that it serves. */
function skew(
  { installed, version }: InstallFacts,
  selected: readonly ComponentName[],
): readonly CheckOutcome[] {
  if (selected.includes('istiod')) return [];
  const istiod = installed.find(({ component }) => component === 'istiod');
  if (!istiod || compareVersions(istiod.version, version) >= 0) return [];
  return [
    refusal(
      `the control plane is ${istiod.version}, so ${selected.join(', ')} cannot become ${version} before it: upgrade istiod first`,
    ),
  ];
}

function permissions({ forbidden }: InstallFacts): readonly CheckOutcome[] {
  if (forbidden.length === 0) return [];
  const shown = forbidden.slice(0, MAX_FORBIDDEN_SHOWN).join(', ');
  const more =
    forbidden.length > MAX_FORBIDDEN_SHOWN ? ` and ${forbidden.length - MAX_FORBIDDEN_SHOWN} more` : '';
  return [
    refusal(
      `you may not ${shown}${more}; installing needs the rights of a cluster administrator (cluster-admin)`,
    ),
  ];
}

const MAX_FORBIDDEN_SHOWN = 5;

function refusal(text: string): CheckOutcome {
  return { kind: 'refusal', text };
}

function note(text: string): CheckOutcome {
  return { kind: 'note', text };
}
