import { describe, expect, test } from '@jest/globals';
import type { PeerAuthentication } from '@ambit/kube/resources/security';
import { peerAuthenticationTitle, strictByOf } from './peer-authentication.ts';

const pod = { metadata: { namespace: 'shop', name: 'api-1', labels: { app: 'api' } } };
const peer = (key: string, mode: string | undefined, over: { app?: string; year?: number } = {}) => {
  const [namespace = '', name = ''] = key.split('/');
  const { app, year = 2020 } = over;
  return {
    metadata: { namespace, name, creationTimestamp: `${year}-01-01T00:00:00Z` },
    spec: {
      ...(app !== undefined && { selector: { matchLabels: { app } } }),
      ...(mode !== undefined && { mtls: { mode } }),
    },
  };
};

describe('the PeerAuthentication by which a pod is STRICT', () => {
  const cases: Record<string, [policies: readonly PeerAuthentication[], want: string | undefined]> = {
    'none is there': [[], undefined],
    "the mesh's": [[peer('root/mesh', 'STRICT')], 'root/mesh'],
    "the namespace's before the mesh's": [
      [peer('root/mesh', 'STRICT'), peer('shop/all', 'STRICT')],
      'shop/all',
    ],
    "the pod's own before the namespace's": [
      [peer('shop/all', 'STRICT'), peer('shop/api', 'STRICT', { app: 'api' })],
      'shop/api',
    ],
    'not one of other pods': [[peer('shop/db', 'STRICT', { app: 'db' })], undefined],
    'not one of the root namespace with a selector': [
      [peer('root/api', 'STRICT', { app: 'api' })],
      undefined,
    ],
    'the wider, where the narrower sets no mode': [
      [peer('root/mesh', 'STRICT'), peer('shop/all', 'UNSET'), peer('shop/api', undefined, { app: 'api' })],
      'root/mesh',
    ],
    'the oldest of those as narrow': [
      [peer('shop/new', 'STRICT', { year: 2024 }), peer('shop/old', 'STRICT', { year: 2021 })],
      'shop/old',
    ],
    'by none, where the narrowest says PERMISSIVE: the proxy knows another state': [
      [peer('root/mesh', 'STRICT'), peer('shop/all', 'PERMISSIVE')],
      undefined,
    ],
  };
  test.each(Object.entries(cases))('%s', (_, [policies, want]) => {
    expect(strictByOf(pod, policies, 'root')).toBe(want);
  });
});

test.each([
  ['root/istio_converted_static_strict', 'shop/all', 'PeerAuthentication shop/all (STRICT)'],
  ['root/istio_converted_static_strict', undefined, 'PeerAuthentication STRICT of the mesh or the namespace'],
  ['shop/converted_peer_authentication_db', 'shop/all', 'PeerAuthentication shop/db (by port)'],
  ['shop/strict', 'shop/all', undefined],
])('%s, STRICT by %s', (key, strictBy, want) => {
  expect(peerAuthenticationTitle(key, strictBy)).toBe(want);
});
