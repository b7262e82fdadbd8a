import { describe, expect, test } from '@jest/globals';
import { nodeProblem } from './client-check.ts';

const identity = 'spiffe://td/ns/istio-system/sa/ztunnel';
const id = 'ztunnel~10.0.0.1~z-1.istio-system~istio-system.svc.cluster.local';

describe('nodeProblem', () => {
  const cases: Record<
    string,
    { identity?: string; id?: string; metadata?: Record<string, string>; fine: boolean }
  > = {
    'the namespace of the node id': { fine: true },
    'the namespace of the metadata': { id: 'x', metadata: { NAMESPACE: 'istio-system' }, fine: true },
    'metadata go before the id': { metadata: { NAMESPACE: 'shop' }, fine: false },
    'another namespace': { id: id.replaceAll('istio-system', 'shop'), fine: false },
    'a pod name with dots': { id: 'ztunnel~::1~z.1.istio-system~istio-system.svc.cluster.local', fine: true },
    'the same service account': { metadata: { SERVICE_ACCOUNT: 'ztunnel' }, fine: true },
    'another service account': { metadata: { SERVICE_ACCOUNT: 'web' }, fine: false },
    'an id that says nothing': { id: '', fine: false },
    'no identity': { identity: '', fine: false },
    'a waypoint that it is a pod of': { metadata: { GATEWAY_NAME: 'gate' }, fine: true },
    'a waypoint that it is no pod of': { metadata: { GATEWAY_NAME: 'other' }, fine: false },
    'a waypoint whose pods run as somebody else': {
      identity: 'spiffe://td/ns/istio-system/sa/web',
      metadata: { GATEWAY_NAME: 'gate' },
      fine: false,
    },
  };
  test.each(Object.entries(cases))('%s', (_, given) => {
    const problem = nodeProblem(
      given.identity ?? identity,
      {
        id: given.id ?? id,
        metadata: given.metadata ?? {},
      },
      (gateway, account) => gateway === 'istio-system/gate' && account === 'ztunnel',
    );
    expect(problem === undefined).toBe(given.fine);
  });
});
