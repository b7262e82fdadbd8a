import { describe, expect, test } from '@jest/globals';
import { agentConfigFrom, parseSelectors } from './config.ts';
import { DEFAULT_SELECTORS } from './decide/eligibility.ts';

test('an empty environment gives the defaults of the chart', () => {
  expect(agentConfigFrom({})).toMatchObject({
    dnsCapture: true,
    ipv6: true,
    selectors: DEFAULT_SELECTORS,
    excludedNamespaces: new Set(['kube-system']),
    runFolder: '/var/run/istio-cni',
    zdsSocket: '/var/run/ztunnel/ztunnel.sock',
  });
});

test('booleans are read loosely, addresses are not', () => {
  expect(agentConfigFrom({ AMBIENT_DNS_CAPTURE: 'yes', AMBIENT_IPV6: 'T' })).toMatchObject({
    dnsCapture: false,
    ipv6: true,
  });
  expect(() => agentConfigFrom({ HOST_PROBE_SNAT_IP: 'here' })).toThrow(
    'HOST_PROBE_SNAT_IP=here: want an IP address',
  );
});

test('an empty list of excluded namespaces excludes none', () => {
  expect(agentConfigFrom({ EXCLUDE_NAMESPACES: ' , ' }).excludedNamespaces).toEqual(new Set());
  expect(agentConfigFrom({ EXCLUDE_NAMESPACES: 'a, b' }).excludedNamespaces).toEqual(new Set(['a', 'b']));
});

describe('the enablement selector', () => {
  test('is read as the chart writes it', () => {
    const yaml = `
- podSelector:
    matchLabels: {istio.io/dataplane-mode: ambient}
- podSelector:
    matchExpressions: [{key: istio.io/dataplane-mode, operator: NotIn, values: [none]}]
  namespaceSelector:
    matchLabels: {istio.io/dataplane-mode: ambient}
`;
    expect(parseSelectors(yaml)).toEqual([
      {
        podSelector: { matchLabels: { 'istio.io/dataplane-mode': 'ambient' }, matchExpressions: [] },
        namespaceSelector: {},
      },
      {
        podSelector: {
          matchLabels: {},
          matchExpressions: [{ key: 'istio.io/dataplane-mode', operator: 'NotIn', values: ['none'] }],
        },
        namespaceSelector: { matchLabels: { 'istio.io/dataplane-mode': 'ambient' }, matchExpressions: [] },
      },
    ]);
    expect(parseSelectors('')).toBe(DEFAULT_SELECTORS);
  });
  test.each(['{', 'text', '- 7', '- podSelector: 7', '- podSelector: {matchExpressions: [{key: 1}]}'])(
    '%j is refused',
    (yaml) => {
      expect(parseSelectors(yaml)).toBeUndefined();
    },
  );
});
