import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from '@jest/globals';
import { MIN_KUBERNETES } from '@ambit/cli/install/decide/checks';
import { applyValues, doubledVariables } from '@ambit/cli/install/decide/edits';
import { CHART_ONLY, VALUES } from '@ambit/cli/install/decide/value-table';
import { type ChosenValues, isProblem, mergeChosen, parseSet } from '@ambit/cli/install/decide/values';
import { readManifest } from '@ambit/cli/install/manifest';
import type { KubeObject } from '@ambit/kube/resource';
import { parse } from 'yaml';
import { CHART, chartValues } from '../generate/chart-reference.ts';
import { TOP } from '../generate/files.ts';
import { Helm, helm } from './helm.ts';

const BUILD_TIMEOUT_MS = 900_000;
const MANIFESTS = readManifest(readFileSync(join(TOP, 'deploy/manifests/ambit.yaml'), 'utf8'));
const { version } = JSON.parse(readFileSync(join(TOP, 'package.json'), 'utf8')) as { version: string };
const values = chartValues(readFileSync(join(CHART, 'values.yaml'), 'utf8'));

let program: Helm;
beforeAll(async () => {
  const found = await helm(process.env);
  if (!(found instanceof Helm)) throw new Error(found.missing);
  program = found;
}, BUILD_TIMEOUT_MS);

/** For each value of the table something else than its default, as `--set` takes it; several where one is not enough. */
const OTHER: Readonly<Record<string, readonly string[]>> = {
  'global.hub': ['registry.example/mesh'],
  'global.tag': ['v9'],
  'global.imagePullPolicy': ['Always'],
  'global.imagePullSecrets': ['{one,two}'],
  'global.platform': ['aks', 'eks', 'gke', 'k3d', 'k3s', 'kind', 'microk8s', 'minikube'],
  'global.network': ['north'],
  'global.multiCluster.clusterName': ['east'],
  'global.proxy.clusterDomain': ['example.local'],
  'global.resourceQuotas.pods': ['7'],
  'global.waypoint.image': ['registry.example/l7:1'],
  'global.waypoint.autoscaleCpu': ['900m'],
  'global.waypoint.podSecurity': ['privileged'],
  'meshConfig.trustDomain': ['example.org'],
  'meshConfig.rootNamespace': ['mesh-policies'],
  'istiod.image': ['registry.example/control:1'],
  'cni.image': ['agent'],
  'ztunnel.image': ['registry.example/proxy@sha256:0'],
  'istiod.trustedNodeAccounts': ['{a/b,c/d}'],
  'cni.excludeNamespaces': ['{kube-system,storage}'],
  'cni.cniBinDir': ['/opt/bin'],
  'cni.cniConfDir': ['/etc/net.d'],
  'cni.cniConfFileName': ['10-net.conflist'],
  'cni.cniNetnsDir': ['/run/netns'],
  'cni.istioOwnedCNIConfigFileName': ['01-mesh.conflist'],
  'ztunnel.caAddress': ['ca.example:15012'],
  'ztunnel.xdsAddress': ['xds.example:15012'],
  'ztunnel.dnsPolicy': ['Default'],
};
/** Lists of objects, which `--set` cannot write. */
const LISTS: Readonly<Record<string, string>> = {
  tolerations: '[{"key":"dedicated","operator":"Exists"}]',
  topologySpreadConstraints: '[{"maxSkew":1,"topologyKey":"<rack>"}]',
};
const BELOW: Readonly<Record<string, readonly string[]>> = {
  env: ['B_NAME=b', 'A_NAME=a,b'.replace(',', '\\,')],
  nodeSelector: ['disk=ssd'],
  podAnnotations: ['example\\.org/note=yes-please'],
  podLabels: ['team=mesh'],
  serviceAnnotations: ['example\\.org/note=x'],
  serviceAccountAnnotations: ['example\\.org/role=x'],
  resources: ['limits.cpu=2', 'limits.memory=1Gi', 'requests.cpu=null'],
  affinity: ['nodeAffinity.x=y'],
  seLinuxOptions: ['type=spc_t'],
};

interface Case {
  /** Arguments of Helm. */
  readonly helm: readonly string[];
  /** Arguments of `--set`. */
  readonly own: readonly string[];
}

function casesOf({ key, type, default: fallback }: (typeof VALUES)[number]): readonly Case[] {
  const last = key.slice(key.lastIndexOf('.') + 1);
  const set = (text: string): Case => ({ helm: ['--set', `${key}=${text}`], own: [`${key}=${text}`] });
  if (OTHER[key]) return OTHER[key].map(set);
  if (last === 'logLevel') return [set('debug')];
  if (last === 'priorityClassName') return [set('own-class'), set('')];
  if (type === 'flag') return [set(String(fallback !== true))];
  if (type === 'integer') return [set(String(Number(fallback) + 3))];
  if (type === 'amount') return [set('25%'), set('2')];
  if (LISTS[last]) return [{ helm: ['--set-json', `${key}=${LISTS[last]}`], own: [`${key}=${LISTS[last]}`] }];
  const below = BELOW[last]?.map((text) => `${key}.${text}`) ?? [];
  return [
    { helm: below.flatMap((text) => ['--set', text]), own: below.map((text) => text.replace('\\,', ',')) },
  ];
}

function chosenBy(sets: readonly string[]): ChosenValues {
  return sets.reduce<ChosenValues>((all, set) => {
    const one = parseSet(set);
    if (isProblem(one)) throw new Error(one.problem);
    return mergeChosen(all, one);
  }, {});
}

/** By kind and name. The checksum is of the template's text for Helm, and of its values for us. */
function byTitle(objects: readonly KubeObject[]): Readonly<Record<string, unknown>> {
  return Object.fromEntries(
    objects
      .map((object) => {
        const text = JSON.stringify(object).replace(/"checksum\/config":"[^"]*"/, '"checksum/config":""');
        return [`${object.kind} ${object.metadata.name}`, JSON.parse(text) as unknown] as const;
      })
      .sort(([a], [b]) => (a < b ? -1 : 1)),
  );
}

const valueAt = (tree: unknown, name: string): unknown => (tree as Readonly<Record<string, unknown>>)[name];

const checksumOf = (objects: readonly KubeObject[]) =>
  /"checksum\/config":"([^"]*)"/.exec(JSON.stringify(objects))?.[1];

describe('the values of ambit install', () => {
  test('are those of the chart, with the same defaults', () => {
    const own = [...VALUES.map(({ key }) => key), ...CHART_ONLY];
    expect(own.toSorted()).toEqual(values.map(({ path }) => path).toSorted());
    expect(new Set(own).size).toBe(own.length);
    const document = parse(readFileSync(join(CHART, 'values.yaml'), 'utf8')) as unknown;
    for (const row of VALUES)
      expect([row.key, row.key.split('.').reduce(valueAt, document)]).toEqual([row.key, row.default]);
  });

  test('the oldest Kubernetes is the chart’s', () => {
    const { kubeVersion } = parse(readFileSync(join(CHART, 'Chart.yaml'), 'utf8')) as { kubeVersion: string };
    expect(kubeVersion).toBe(`>=${MIN_KUBERNETES}-0`);
  });

  test('without any, the manifests stay as they are', () => {
    expect(applyValues(MANIFESTS, {}, version, () => 'other')).toEqual(MANIFESTS);
  });

  const cases = VALUES.flatMap((row) => casesOf(row).map((one) => [one.own.join(' '), one] as const));
  test('each has a case', () => {
    expect(cases.filter(([name]) => name === '')).toEqual([]);
  });

  test.each(cases)('%s does what it does in Helm', async (_, { helm: args, own }) => {
    const chosen = chosenBy(own);
    const applied = applyValues(MANIFESTS, chosen, version, (text) => `of ${text.length}`);
    const rendered = readManifest(await program.template(...args));
    expect(byTitle(applied)).toEqual(byTitle(rendered));
    expect(checksumOf(applied) === checksumOf(MANIFESTS)).toBe(
      checksumOf(rendered) === checksumOf(MANIFESTS),
    );
  });

  test.each([
    'istiod.env.TRUST_DOMAIN',
    'istiod.env.POD_NAME',
    'ztunnel.env.RUST_LOG',
    'ztunnel.env.NODE_NAME',
    'cni.env.AMBIENT_IPV6',
    'cni.env.AMBIT_LOG',
  ])('%s, which the chart sets, is refused by both', async (key) => {
    const name = key.slice(key.lastIndexOf('.') + 1);
    expect(doubledVariables(MANIFESTS, chosenBy([`${key}=x`]), version)).toEqual([key]);
    await expect(program.template('--set', `${key}=x`)).rejects.toThrow(
      `${key}: the chart sets ${name} itself, and a variable cannot be there twice; use the value that it comes from`,
    );
  });

  test.each([
    ['istiod.taint.enabled', 'istiod.env.PILOT_ENABLE_NODE_UNTAINT_CONTROLLERS'],
    ['ztunnel.resources.limits.cpu', 'ztunnel.env.ZTUNNEL_RESOURCE_CPU_LIMIT'],
  ])('one that comes with %s alone is taken without it', async (value, key) => {
    const sets = [`${key}=true`];
    expect(doubledVariables(MANIFESTS, chosenBy(sets), version)).toEqual([]);
    await program.template('--set', `${key}=true`);
    const both = [...sets, `${value}=true`];
    expect(doubledVariables(MANIFESTS, chosenBy(both), version)).toEqual([key]);
    await expect(program.template(...both.flatMap((set) => ['--set', set]))).rejects.toThrow(key);
  });

  test('many at once', async () => {
    const sets = [
      'global.tag=v2',
      'global.logAsJson=true',
      'global.network=north',
      'istiod.autoscaleEnabled=true',
      'istiod.taint.enabled=true',
      'istiod.env.X=1',
      'ztunnel.env.X=1',
      'ztunnel.resources.limits.cpu=2',
      'cni.ambient.shareHostNetworkNamespace=true',
      'global.resourceQuotas.enabled=true',
    ];
    const applied = applyValues(MANIFESTS, chosenBy(sets), version, () => '');
    const rendered = readManifest(await program.template(...sets.flatMap((set) => ['--set', set])));
    expect(byTitle(applied)).toEqual(byTitle(rendered));
  });
});
