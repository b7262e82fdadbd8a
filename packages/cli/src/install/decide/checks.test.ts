import { describe, expect, test } from '@jest/globals';
import {
  type CheckOutcome,
  checkInstall,
  DEFAULT_HUB,
  type ForeignObject,
  type InstallFacts,
} from './checks.ts';

const facts = (over: Partial<InstallFacts>): InstallFacts => ({
  operation: 'install',
  kubernetesVersion: 'v1.34.4',
  version: '0.2.0',
  installed: [],
  foreign: [],
  forbidden: [],
  gatewayApi: true,
  lab: false,
  defaultHub: false,
  namespaceTerminating: false,
  linuxNodes: 2,
  selected: ['base', 'istiod', 'cni', 'ztunnel'],
  allowDowngrade: false,
  ...over,
});

const all = (version: string) =>
  (['istiod', 'cni', 'ztunnel'] as const).map((component) => ({ component, version }));

const foreign = (over: Partial<ForeignObject>): ForeignObject => ({
  title: 'DaemonSet istio-system/ztunnel',
  component: 'ztunnel',
  helmRelease: undefined,
  ambit: false,
  ...over,
});

describe('what is looked at before anything is written', () => {
  const cases: Record<
    string,
    { over: Partial<InstallFacts>; want: readonly [CheckOutcome['kind'], string][] }
  > = {
    'a fresh cluster': { over: {}, want: [] },
    'the lab of the demo, which brings its own': {
      over: { lab: true, forbidden: ['create pods'] },
      want: [
        [
          'refusal',
          'this is the lab of "npm run demo", whose mesh runs from sources and is there already: "ambit status"; the installer is for clusters (docs/operate/install.md)',
        ],
      ],
    },
    'images from where nobody has put any': {
      over: { defaultHub: true },
      want: [['note', DEFAULT_HUB]],
    },
    'over an installation they have been found somewhere': {
      over: { defaultHub: true, installed: all('0.2.0') },
      want: [],
    },
    'the same version again': { over: { installed: all('0.2.0') }, want: [] },
    'a cluster that is too old': {
      over: { kubernetesVersion: 'v1.29.9-eks-1' },
      want: [['refusal', 'Kubernetes v1.29.9-eks-1 is too old: 1.30.0 or later is needed']],
    },
    'a server that hides its version is only noted': {
      over: { kubernetesVersion: undefined },
      want: [['note', 'the API server did not tell its version']],
    },
    'without the Gateway API there is a note': {
      over: { gatewayApi: false },
      want: [
        [
          'note',
          expect.stringMatching(
            /^the Gateway API is not installed; waypoints need it: kubectl /,
          ) as unknown as string,
        ],
      ],
    },
    'without nodes there is a note': {
      over: { linuxNodes: 0 },
      want: [['note', 'no Linux node is there yet; ztunnel runs as soon as one is']],
    },
    'nodes that may not be seen are no reason for anything': { over: { linuxNodes: undefined }, want: [] },
    'a namespace on its way out': {
      over: { namespaceTerminating: true },
      want: [['refusal', 'namespace istio-system is being deleted; run this again when it is gone']],
    },
    'what may not be done is named, a few of it': {
      over: { forbidden: ['create a', 'create b', 'create c', 'create d', 'create e', 'create f'] },
      want: [
        [
          'refusal',
          'you may not create a, create b, create c, create d, create e and 1 more; installing needs the rights of a cluster administrator (cluster-admin)',
        ],
      ],
    },
    'beside a live Istio: refused, with the way over': {
      over: {
        foreign: [
          foreign({ helmRelease: 'ztunnel' }),
          foreign({ title: 'Deployment istio-system/istiod', component: 'istiod', helmRelease: 'istiod' }),
        ],
      },
      want: [
        [
          'refusal',
          'a live Istio, or something named as its parts, is here: DaemonSet istio-system/ztunnel (Helm release ztunnel), Deployment istio-system/istiod (Helm release istiod); two meshes in one namespace would take each other\'s pods. To move over one component at a time, each working with Istio\'s others: remove ztunnel, then "ambit install --component ztunnel"; remove istiod, then "ambit install --component istiod"; at last "ambit install" for the whole',
        ],
      ],
    },
    'installed with the chart: Helm goes on with it': {
      over: { foreign: [foreign({ ambit: true, helmRelease: 'mesh' })] },
      want: [
        [
          'refusal',
          'Ambit is installed here by Helm (release mesh); install it with "helm upgrade mesh", or remove that release first',
        ],
      ],
    },
    'over an older version: upgrade': {
      over: { installed: all('0.1.0') },
      want: [
        [
          'refusal',
          'Ambit 0.1.0 is installed; "ambit upgrade" takes it to 0.2.0, one component after another',
        ],
      ],
    },
    'over a newer version': {
      over: { installed: all('0.3.0') },
      want: [
        [
          'refusal',
          'istiod 0.3.0, cni 0.3.0, ztunnel 0.3.0 is newer than this command\'s 0.2.0; use the newer command, or go back on purpose with "ambit upgrade --allow-downgrade"',
        ],
      ],
    },
    'going back on purpose': {
      over: { operation: 'upgrade', installed: all('0.3.0'), allowDowngrade: true },
      want: [],
    },
    'upgrading what is not there': {
      over: { operation: 'upgrade' },
      want: [['refusal', 'no Ambit is installed here; "ambit install" installs it']],
    },
    'upgrading by one minor version': { over: { operation: 'upgrade', installed: all('0.1.9') }, want: [] },
    'upgrading over several is noted once': {
      over: { operation: 'upgrade', version: '0.4.0', installed: all('0.1.0') },
      want: [
        [
          'note',
          'this skips 2 minor versions; node proxies of 0.1.0 work with a control plane of 0.4.0 only while the upgrade lasts',
        ],
      ],
    },
    'a proxy newer than its control plane': {
      over: { operation: 'upgrade', installed: all('0.1.0'), selected: ['ztunnel'] },
      want: [
        [
          'refusal',
          'the control plane is 0.1.0, so ztunnel cannot become 0.2.0 before it: upgrade istiod first',
        ],
      ],
    },
    'a version that is none is let pass': {
      over: { operation: 'upgrade', installed: all('unknown') },
      want: [],
    },
  };

  test.each(Object.entries(cases))('%s', (_, { over, want }) => {
    expect(checkInstall(facts(over)).map(({ kind, text }) => [kind, text])).toEqual(want);
  });
});
