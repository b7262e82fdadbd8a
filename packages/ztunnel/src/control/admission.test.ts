import { expect, test } from '@jest/globals';
import { namespacesAhead } from './admission.ts';

const NONE = { podNamespace: undefined, caAuthority: undefined };

test.each([
  [{ podNamespace: 'istio-system', caAuthority: 'istiod.istio-system.svc:15012' }, ['istio-system']],
  [
    { podNamespace: 'istio-system', caAuthority: 'istio-csr.cert-manager.svc.cluster.local:443' },
    ['istio-system', 'cert-manager'],
  ],
  [{ ...NONE, caAuthority: 'istiod.mesh:15012' }, ['mesh']],
  [{ ...NONE, caAuthority: 'istiod.mesh.svc' }, ['mesh']],
  [{ ...NONE, caAuthority: 'ca.internal.example.com:443' }, []],
  [{ podNamespace: 'mesh', caAuthority: '10.0.0.1:15012' }, ['mesh']],
  [{ ...NONE, caAuthority: '[fd00::1]:15012' }, []],
  [NONE, []],
])('%j: who would wait for themselves', (config, want) => {
  const aheadNamespaces = new Set(['kube-system', 'vault']);
  expect([...namespacesAhead({ ...config, aheadNamespaces })]).toEqual(['kube-system', 'vault', ...want]);
});
