import { expect, test } from '@jest/globals';
import { namespacesAhead } from './admission.ts';

test.each([
  [{ podNamespace: 'istio-system', caAuthority: 'istiod.istio-system.svc:15012' }, ['istio-system']],
  [
    { podNamespace: 'istio-system', caAuthority: 'istio-csr.cert-manager.svc.cluster.local:443' },
    ['istio-system', 'cert-manager'],
  ],
  [{ podNamespace: undefined, caAuthority: 'ca.example.com:443' }, []],
  [{ podNamespace: 'mesh', caAuthority: '10.0.0.1:15012' }, ['mesh']],
  [{ podNamespace: undefined, caAuthority: undefined }, []],
])('%j: who would wait for themselves', (config, want) => {
  expect([...namespacesAhead(config)]).toEqual(['kube-system', ...want]);
});
