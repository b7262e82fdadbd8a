import { expect, test } from '@jest/globals';
import { componentOf } from '../components.ts';
import { KINDS } from '../kinds.ts';
import { type Removal, removalOrder } from './removal.ts';

function removal(kind: string, name: string): Removal {
  const resource = KINDS.find((one) => one.kind === kind);
  if (!resource) throw new Error(`no kind ${kind}`);
  const object = { kind, metadata: { name } };
  return { resource, object, component: componentOf(object), title: `${kind} ${name}` };
}

const ALL = [
  removal('Namespace', 'istio-system'),
  removal('CustomResourceDefinition', 'x.security.istio.io'),
  removal('ClusterRole', 'istio-cni'),
  removal('ServiceAccount', 'istio-cni'),
  removal('Secret', 'istio-ca-secret'),
  removal('Deployment', 'istiod'),
  removal('DaemonSet', 'ztunnel'),
  removal('DaemonSet', 'istio-cni-node'),
  removal('ValidatingWebhookConfiguration', 'istio-validator-istio-system'),
];

test('admission, agent, proxy, control plane, and then what they needed', () => {
  const { removed, kept } = removalOrder(ALL, { crds: false, purge: false });
  expect(removed.map(({ title }) => title)).toEqual([
    'ValidatingWebhookConfiguration istio-validator-istio-system',
    'DaemonSet istio-cni-node',
    'DaemonSet ztunnel',
    'Deployment istiod',
    'ClusterRole istio-cni',
    'ServiceAccount istio-cni',
  ]);
  expect(kept.map(({ title }) => title)).toEqual([
    'Namespace istio-system',
    'CustomResourceDefinition x.security.istio.io',
    'Secret istio-ca-secret',
  ]);
});

test('kinds, key and namespace go when they are named, the namespace last', () => {
  const { removed, kept } = removalOrder(ALL, { crds: true, purge: true });
  expect(kept).toEqual([]);
  expect(removed.slice(-3).map(({ title }) => title)).toEqual([
    'ServiceAccount istio-cni',
    'CustomResourceDefinition x.security.istio.io',
    'Namespace istio-system',
  ]);
});
