import { describe, expect, test } from '@jest/globals';
import type { Pod } from '@ambit/kube/resources/core';
import {
  type Destination,
  namesFinding,
  parseDestination,
  parseSource,
  podAt,
  podsNamed,
  serviceInHost,
} from './names.ts';

describe('a source', () => {
  test.each([
    ['web', { kind: 'name', namespace: undefined, name: 'web' }],
    ['shop/web-1', { kind: 'name', namespace: 'shop', name: 'web-1' }],
    ['10.0.0.1', { kind: 'ip', ip: '10.0.0.1' }],
    ['FD00::0001', { kind: 'ip', ip: 'fd00::1' }],
  ])('%s', (text, want) => expect(parseSource(text)).toEqual(want));

  test.each(['', '/', 'a/b/c', 'Web', 'shop/', '/web', 'web:80', '-x', 'a b', '10.0.0.1:80'])(
    'not %j',
    (text) => expect(() => parseSource(text)).toThrow('is not NAME, NAMESPACE/NAME or an IP address'),
  );
});

describe('a destination', () => {
  const name = (namespace: string | undefined, port?: number): Destination => ({
    kind: 'name',
    namespace,
    name: 'api',
    port,
  });
  test.each<[string, Destination]>([
    ['api', name(undefined)],
    ['api:80', name(undefined, 80)],
    ['shop/api:80', name('shop', 80)],
    ['10.0.0.1:80', { kind: 'ip', ip: '10.0.0.1', port: 80 }],
    ['10.0.0.1', { kind: 'ip', ip: '10.0.0.1', port: undefined }],
    ['[fd00::1]:80', { kind: 'ip', ip: 'fd00::1', port: 80 }],
    ['fd00::1', { kind: 'ip', ip: 'fd00::1', port: undefined }],
    ['[fd00::1]', { kind: 'ip', ip: 'fd00::1', port: undefined }],
    ['api.shop.svc.cluster.local:80', { kind: 'host', host: 'api.shop.svc.cluster.local', port: 80 }],
    ['example.com', { kind: 'host', host: 'example.com', port: undefined }],
  ])('%s', (text, want) => expect(parseDestination(text)).toEqual(want));

  test.each(['api:0', 'api:65536', '10.0.0.1:0', 'api:http', 'a/b/c:80', ':80', ''])('not %j', (text) =>
    expect(() => parseDestination(text)).toThrow(),
  );
});

test('the service in a host name', () => {
  expect(serviceInHost('api.shop')).toEqual({ name: 'api', namespace: 'shop' });
  expect(serviceInHost('api.shop.svc.cluster.local')).toEqual({ name: 'api', namespace: 'shop' });
  expect(serviceInHost('www.example.com')).toBeUndefined();
  expect(serviceInHost('api')).toBeUndefined();
});

const pod = (name: string, phase = 'Running', ip = '10.0.0.1', hostNetwork = false): Pod => ({
  metadata: { namespace: 'shop', name },
  spec: { hostNetwork },
  status: { phase, podIP: ip },
});

test('pods by name: the exact one, else those made from it, running ones first', () => {
  const all = [pod('web-0', 'Pending'), pod('web-1'), pod('website-1'), pod('batch')];
  expect(podsNamed('batch', all).map(({ metadata }) => metadata.name)).toEqual(['batch']);
  expect(podsNamed('web', all).map(({ metadata }) => metadata.name)).toEqual(['web-1', 'web-0']);
  expect(podsNamed('w', all)).toEqual([]);
});

test('pods by address: not those on the network of their node, nor those that ended', () => {
  const all = [pod('host', 'Running', '10.0.0.1', true), pod('old', 'Succeeded'), pod('web')];
  expect(podAt('10.0.0.1', all)?.metadata.name).toBe('web');
  expect(podAt('10.0.0.2', all)).toBeUndefined();
});

test('pods are found by their names and the beginnings of them', () => {
  expect(namesFinding(['web-7d4b9-x2x', 'web-7d4b9-abc', 'db'])).toEqual([
    'web',
    'web-7d4b9',
    'web-7d4b9-x2x',
    'web-7d4b9-abc',
    'db',
  ]);
});
