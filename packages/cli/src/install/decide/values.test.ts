import { describe, expect, test } from '@jest/globals';
import { effective, isChosen, mergeChosen, parseSet, valuesOfDocument } from './values.ts';

describe('--set', () => {
  test.each<[string, object]>([
    ['global.hub=registry.example/mesh', { 'global.hub': 'registry.example/mesh' }],
    ['global.tag=1', { 'global.tag': '1' }],
    ['global.tag=', { 'global.tag': '' }],
    ['istiod.replicaCount=2', { 'istiod.replicaCount': 2 }],
    ['global.logAsJson=true', { 'global.logAsJson': true }],
    ['ztunnel.rollingMaxSurge=25%', { 'ztunnel.rollingMaxSurge': '25%' }],
    ['cni.excludeNamespaces={a,b}', { 'cni.excludeNamespaces': ['a', 'b'] }],
    ['cni.excludeNamespaces=a,b', { 'cni.excludeNamespaces': ['a', 'b'] }],
    ['istiod.env.A_B=c=d', { 'istiod.env': { A_B: 'c=d' } }],
    [
      'istiod.nodeSelector.kubernetes\\.io/arch=arm64',
      { 'istiod.nodeSelector': { 'kubernetes.io/arch': 'arm64' } },
    ],
    [
      'istiod.nodeSelector.kubernetes.io/arch=arm64',
      { 'istiod.nodeSelector': { 'kubernetes.io/arch': 'arm64' } },
    ],
    ['ztunnel.resources.limits.cpu=2', { 'ztunnel.resources': { limits: { cpu: 2 } } }],
    ['ztunnel.resources.requests.cpu=null', { 'ztunnel.resources': { requests: { cpu: null } } }],
    ['ztunnel.tolerations=[{"operator":"Exists"}]', { 'ztunnel.tolerations': [{ operator: 'Exists' }] }],
  ])('%s', (text, want) => expect(parseSet(text)).toEqual(want));

  test.each([
    ['global.hub', '--set wants KEY=VALUE, not "global.hub"'],
    ['=x', '--set wants KEY=VALUE, not "=x"'],
    ['global.hubb=x', 'there is no value global.hubb; did you mean global.hub?'],
    ['hub=x', 'there is no value hub; did you mean global.hub?'],
    ['pilot.replicaCount=2', 'there is no value pilot.replicaCount; did you mean istiod.replicaCount?'],
    ['istiod.replicaCount=two', 'istiod.replicaCount wants a whole number, not "two"'],
    ['istiod.replicaCount=-1', 'istiod.replicaCount wants a whole number, not -1'],
    ['global.logAsJson=yes', 'global.logAsJson is true or false, not "yes"'],
    ['global.platform=GKE', expect.stringContaining('global.platform is one of aks, eks, gke')],
    [
      'global.platform=openshift',
      'global.platform openshift needs objects that this command does not make; use the Helm chart for it (deploy/charts/ambit)',
    ],
    [
      'monitoring.labels.a=b',
      'monitoring.labels adds objects that this command does not make; use the Helm chart for it (deploy/charts/ambit)',
    ],
    [
      'cni.rollingMaxUnavailable=10 %',
      expect.stringContaining('wants a whole number or a share such as 25%'),
    ],
    ['istiod.env=x', 'istiod.env wants names and texts, as in istiod.env.NAME=TEXT, not "x"'],
  ])('%s is refused', (text, problem) => expect(parseSet(text)).toEqual({ problem }));
});

describe('a values file', () => {
  test('is read as for Helm', () => {
    const document = { global: { hub: 'h', proxy: { clusterDomain: 'd' } }, cni: { env: { A: 'b' } } };
    expect(valuesOfDocument(document)).toEqual({
      'global.hub': 'h',
      'global.proxy.clusterDomain': 'd',
      'cni.env': { A: 'b' },
    });
    expect(valuesOfDocument(null)).toEqual({});
  });

  test.each<[unknown, string]>([
    [[], 'want names and values, as in the values of the chart'],
    [{ global: 'x' }, 'there is no value global; did you mean global.hub?'],
    [{ global: { hub: 1 } }, 'global.hub wants text, not 1'],
    [
      { monitoring: { enabled: true } },
      expect.stringMatching(/^monitoring\.enabled adds objects/) as unknown as string,
    ],
    [{ cni: { env: { A: 1 } } }, 'cni.env wants names and texts, as in cni.env.NAME=TEXT, not {"A":1}'],
  ])('%j is refused', (document, problem) => expect(valuesOfDocument(document)).toEqual({ problem }));
});

test('later values win; maps and trees are joined', () => {
  const base = { 'global.hub': 'a', 'istiod.env': { A: '1', B: '2' }, 'ztunnel.tolerations': [1] };
  const over = { 'global.hub': 'b', 'istiod.env': { B: '3' }, 'ztunnel.tolerations': [2] };
  expect(mergeChosen(base, over)).toEqual({
    'global.hub': 'b',
    'istiod.env': { A: '1', B: '3' },
    'ztunnel.tolerations': [2],
  });
});

test('a tree stands over its default, and null takes out', () => {
  const values = { 'ztunnel.resources': { requests: { cpu: null }, limits: { memory: '1Gi' } } };
  expect(effective(values, 'ztunnel.resources')).toEqual({
    requests: { memory: '192Mi' },
    limits: { memory: '1Gi' },
  });
  expect(isChosen(values, 'ztunnel.resources')).toBe(true);
  expect(isChosen({ 'global.hub': 'ambit' }, 'global.hub')).toBe(false);
});
