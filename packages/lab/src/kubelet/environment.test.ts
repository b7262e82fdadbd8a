import { describe, expect, test } from '@jest/globals';
import type { Container, Pod } from '@ambit/kube/resources/core';
import { environmentOf, expand, sourcesOf } from './environment.ts';

const pod: Pod = {
  metadata: {
    name: 'web',
    namespace: 'shop',
    uid: 'u1',
    labels: { app: 'web' },
    annotations: { 'a/b': 'c' },
  },
  spec: { nodeName: 'node-a', serviceAccountName: 'web-sa' },
};
const api = { host: '10.96.0.1', port: 443 };
const sources = {
  pod,
  podIps: ['10.0.0.1', 'fd00::1'],
  hostIp: '172.18.0.11',
  cpus: 4,
  configMap: (name: string) => (name === 'app' ? { metadata: { name }, data: { KEY: 'value' } } : undefined),
  secret: (name: string) =>
    name === 'keys' ? { metadata: { name }, data: { PASS: 'c2VjcmV0' } } : undefined,
};
const envOf = (over: object) => environmentOf({ name: 'main', ...over } as Container, api, sources);
const field = (fieldPath: string) => ({ name: 'X', valueFrom: { fieldRef: { fieldPath } } });

describe('the environment of a container', () => {
  test('says where the API server is and who the pod is', () => {
    expect(envOf({})).toMatchObject({
      env: { KUBERNETES_SERVICE_HOST: '10.96.0.1', KUBERNETES_SERVICE_PORT: '443', HOSTNAME: 'web' },
    });
  });

  test.each([
    ['metadata.name', 'web'],
    ['metadata.namespace', 'shop'],
    ['metadata.uid', 'u1'],
    ["metadata.labels['app']", 'web'],
    ["metadata.annotations['a/b']", 'c'],
    ["metadata.labels['none']", ''],
    ['spec.nodeName', 'node-a'],
    ['spec.serviceAccountName', 'web-sa'],
    ['status.hostIP', '172.18.0.11'],
    ['status.podIP', '10.0.0.1'],
    ['status.podIPs', '10.0.0.1,fd00::1'],
  ])('%s is %j', (path, want) => {
    expect(envOf({ env: [field(path)] })).toMatchObject({ env: { X: want } });
  });

  test.each([
    { what: 'without a limit, what the node has', resources: {}, want: '4' },
    { what: 'a limit in thousandths, rounded up', resources: { limits: { cpu: '1500m' } }, want: '2' },
    { what: 'a limit', resources: { limits: { cpu: '3' } }, want: '3' },
  ])('CPUs are $what', ({ resources, want }) => {
    const env = [{ name: 'X', valueFrom: { resourceFieldRef: { resource: 'limits.cpu', divisor: '1' } } }];
    expect(envOf({ env, resources })).toMatchObject({ env: { X: want } });
  });

  test('whole ConfigMaps and Secrets come first, single keys and values over them', () => {
    const container = {
      name: 'main',
      envFrom: [{ configMapRef: { name: 'app' } }, { prefix: 'S_', secretRef: { name: 'keys' } }],
      env: [
        { name: 'ONE', valueFrom: { secretKeyRef: { name: 'keys', key: 'PASS' } } },
        { name: 'TWO', value: '$(KEY) and $(ONE)' },
      ],
    };
    expect(envOf(container)).toMatchObject({
      env: { KEY: 'value', S_PASS: 'secret', ONE: 'secret', TWO: 'value and secret' },
    });
    expect(sourcesOf(container as unknown as Container)).toEqual({ configMaps: ['app'], secrets: ['keys'] });
  });

  test.each([
    { what: 'ConfigMap gone', over: { envFrom: [{ configMapRef: { name: 'gone' } }] } },
    {
      what: 'key no of ConfigMap app',
      over: { env: [{ name: 'X', valueFrom: { configMapKeyRef: { name: 'app', key: 'no' } } }] },
    },
    {
      what: 'key no of Secret keys',
      over: { env: [{ name: 'X', valueFrom: { secretKeyRef: { name: 'keys', key: 'no' } } }] },
    },
  ])('$what missing is said', ({ what, over }) => {
    expect(envOf(over)).toEqual({ missing: what });
  });

  test.each([
    ['$(A)-$(B)', '1-$(B)'],
    ['$$(A)', '$(A)'],
    ['$A $', '$A $'],
  ])('%j becomes %j', (text, want) => {
    expect(expand(text, { A: '1' })).toBe(want);
  });
});
