import { describe, expect, test } from '@jest/globals';
import type { Pod } from '@ambit/kube/resources/core';
import { DEFAULT_SELECTORS, eligibility, type EligibilityRules, namespaceState } from './eligibility.ts';
import { type Plan, planFor, podIps, rulesFor } from './plan.ts';

const rules: EligibilityRules = {
  selectors: DEFAULT_SELECTORS,
  excludedNamespaces: new Set(['kube-system']),
};
const AMBIENT = { 'istio.io/dataplane-mode': 'ambient' };
const NONE = { 'istio.io/dataplane-mode': 'none' };

const pod = (
  over: { meta?: Partial<Pod['metadata']>; spec?: Pod['spec']; status?: Pod['status'] } = {},
): Pod => ({
  metadata: { name: 'web', namespace: 'shop', uid: 'u1', ...over.meta },
  spec: { ...over.spec },
  status: { phase: 'Running', podIPs: [{ ip: '10.0.0.1' }], ...over.status },
});

describe('eligibility', () => {
  const cases: Record<string, { pod: Pod; namespace: Record<string, string>; want: boolean }> = {
    'a labelled namespace enrols its pods': { pod: pod(), namespace: AMBIENT, want: true },
    'a pod may opt out': { pod: pod({ meta: { labels: NONE } }), namespace: AMBIENT, want: false },
    'a pod may opt in': { pod: pod({ meta: { labels: AMBIENT } }), namespace: {}, want: true },
    'without a label nothing happens': { pod: pod(), namespace: {}, want: false },
    'a host-network pod never': {
      pod: pod({ spec: { hostNetwork: true } }),
      namespace: AMBIENT,
      want: false,
    },
    'a pod with a sidecar never': {
      pod: pod({ meta: { annotations: { 'sidecar.istio.io/status': '{}' } } }),
      namespace: AMBIENT,
      want: false,
    },
    'an excluded namespace never': {
      pod: pod({ meta: { namespace: 'kube-system', labels: AMBIENT } }),
      namespace: AMBIENT,
      want: false,
    },
  };
  test.each(Object.entries(cases))('%s', (_, { pod: one, namespace, want }) => {
    expect(eligibility(one, namespace, rules).eligible).toBe(want);
  });

  test('the node file tells namespaces that enrol, that do not, and that have pods which do', () => {
    const state = (labels: Record<string, string>, pods: Pod[]) =>
      namespaceState('shop', labels, pods, rules);
    const one = pod({ meta: { labels: AMBIENT } });
    expect([state(AMBIENT, []), state({}, [pod()]), state({}, [one])]).toEqual([
      'enrolled',
      'outside',
      'mixed',
    ]);
  });
});

describe('planFor', () => {
  const yes = { eligible: true } as const;
  const no = { eligible: false, reason: 'no' } as const;
  const marked = pod({ meta: { annotations: { 'ambient.istio.io/redirection': 'enabled' } } });
  const pending = pod({ meta: { annotations: { 'ambient.istio.io/redirection': 'pending' } } });
  const ended = (meta = {}) => pod({ meta, status: { phase: 'Succeeded' } });
  const cases: Record<
    string,
    { pod: Pod | undefined; eligible: typeof yes | typeof no; held: boolean; want: Plan['action'] }
  > = {
    'a new pod of the mesh': { pod: pod(), eligible: yes, held: false, want: 'enrol' },
    'one that waits for its address': {
      pod: pod({ status: { podIPs: [] } }),
      eligible: yes,
      held: false,
      want: 'nothing',
    },
    'one that is held and marked': { pod: marked, eligible: yes, held: true, want: 'nothing' },
    'one that is marked and not held, after a restart': {
      pod: marked,
      eligible: yes,
      held: false,
      want: 'enrol',
    },
    'one that is held and not yet marked': { pod: pod(), eligible: yes, held: true, want: 'enrol' },
    'one whose label went': { pod: marked, eligible: no, held: true, want: 'release' },
    'one that another agent had begun with': { pod: pending, eligible: no, held: false, want: 'release' },
    'one that never belonged': { pod: pod(), eligible: no, held: false, want: 'nothing' },
    'a job that has ended': { pod: ended(marked.metadata), eligible: yes, held: true, want: 'forget' },
    'a job that ended before': { pod: ended(), eligible: yes, held: false, want: 'nothing' },
    'one that is gone': { pod: undefined, eligible: no, held: true, want: 'forget' },
    'one that was never there': { pod: undefined, eligible: no, held: false, want: 'nothing' },
  };
  test.each(Object.entries(cases))('%s', (_, { pod: one, eligible, held, want }) => {
    expect(planFor(one, eligible, held).action).toBe(want);
  });
});

test('a pod has its listed addresses, or its one address, in canonical form', () => {
  expect(
    podIps(pod({ status: { podIPs: [{ ip: '::ffff:10.0.0.1' }, { ip: 'FD00::1' }, { ip: 'x' }] } })),
  ).toEqual(['10.0.0.1', 'fd00::1']);
  expect(podIps({ metadata: { name: 'a' }, status: { podIP: '10.0.0.2' } })).toEqual(['10.0.0.2']);
});

test('annotations override the node, as far as they can be read', () => {
  const defaults = { ipv6: true, dnsCapture: true, probeSources: { v4: '1.1.1.1', v6: '::1' } };
  const annotated = (annotations: Record<string, string>) =>
    rulesFor(pod({ meta: { annotations } }), defaults);
  expect(annotated({ 'ambient.istio.io/dns-capture': 'false' }).dnsCapture).toBe(false);
  expect(annotated({ 'ambient.istio.io/dns-capture': 'perhaps' }).dnsCapture).toBe(true);
  expect(annotated({ 'ambient.istio.io/bypass-inbound-capture': 'T' }).bypassInbound).toBe(true);
  expect(annotated({ 'istio.io/reroute-virtual-interfaces': ' tap0, ,a;b' }).virtualInterfaces).toEqual([
    'tap0',
  ]);
});
