import { expect, test } from '@jest/globals';
import { configFrom } from '@ambit/istiod-lite/config';
import { type RenderedFor, renderWaypoint } from '@ambit/istiod-lite/gateway/decide/render';
import { renderSettings } from '@ambit/istiod-lite/gateway/settings';
import { configFrom as waypointConfig } from '@ambit/waypoint/config';
import { variables } from '@ambit/waypoint/config/variables';

/** What istiod says of one container, as Kubernetes would. */
const POD: Readonly<Record<string, string>> = {
  'metadata.name': 'gate-1',
  'metadata.namespace': 'shop',
  'status.podIP': '10.0.0.1',
  'spec.serviceAccountName': 'gate',
  'spec.nodeName': 'n1',
};

interface Variable {
  readonly name: string;
  readonly value?: string;
  readonly valueFrom?: { readonly fieldRef: { readonly fieldPath: string } };
}

const gateway = {
  metadata: {
    namespace: 'shop',
    name: 'gate',
    annotations: { 'gateway.istio.io/name-override': 'other' },
  },
  spec: { gatewayClassName: 'istio-waypoint' },
};
const { deployment } = renderWaypoint(gateway, renderSettings(configFrom({}), '1'), {
  // With all that a class may ask for.
  gatewayClass: { metadata: { annotations: { 'ambient.istio.io/xfcc-include-client-identity': 'true' } } },
  network: 'n',
} as unknown as RenderedFor);
const { template } = deployment.spec as unknown as {
  readonly template: {
    readonly spec: { readonly containers: readonly { readonly env: readonly Variable[] }[] };
  };
};
const given = template.spec.containers[0]?.env ?? [];

test('a waypoint reads every variable that istiod gives it', () => {
  const known = new Set(Object.values(variables).map(({ env }) => env));
  expect(given.length).toBeGreaterThan(10);
  expect(given.map(({ name }) => name).filter((name) => !known.has(name))).toEqual([]);
});

test('and starts with them, knowing who it is', () => {
  const env = Object.fromEntries(
    given.map(({ name, value, valueFrom }) => [name, value ?? POD[valueFrom?.fieldRef.fieldPath ?? '']]),
  );
  const config = waypointConfig(env, { exists: () => true });
  expect(config).toMatchObject({
    network: 'n',
    xds: { authority: 'istiod.istio-system.svc:15012', tls: true },
  });
  expect(config.self).toMatchObject({
    gatewayName: 'gate',
    identity: 'spiffe://cluster.local/ns/shop/sa/gate',
    workloadUid: 'Kubernetes//Pod/shop/gate-1',
  });
  // Its Service is called as its Deployment is.
  expect(config.self.service).toContain('other.shop.svc.cluster.local');
});
