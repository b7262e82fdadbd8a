import { describe, expect, test } from '@jest/globals';
import { AppProtocol, LoadBalancingScope } from '@ambit/api/workload';
import type { ServicePort } from '@ambit/kube/resources/core';
import { appProtocolOf } from './app-protocol.ts';
import { usesWaypointForIngress } from './service.ts';
import { routingPreference } from './traffic-distribution.ts';

describe('appProtocolOf', () => {
  const cases: Record<string, readonly [Partial<ServicePort>, AppProtocol]> = {
    'the first word of the name': [{ name: 'HTTP-web' }, AppProtocol.HTTP11],
    'the whole name': [{ name: 'grpc' }, AppProtocol.GRPC],
    'https is TLS': [{ name: 'https' }, AppProtocol.TLS],
    'gRPC-Web is none of these': [{ name: 'grpc-web-x' }, AppProtocol.UNKNOWN],
    'appProtocol goes before the name': [{ name: 'http', appProtocol: 'tcp' }, AppProtocol.TCP],
    'its first word': [{ appProtocol: 'http2-x' }, AppProtocol.HTTP2],
    'Kubernetes’ own values': [{ appProtocol: 'kubernetes.io/wss' }, AppProtocol.TLS],
    'those are none in a name': [{ name: 'kubernetes.io/h2c' }, AppProtocol.UNKNOWN],
    'a port where the server speaks first': [{ port: 3306 }, AppProtocol.TCP],
    'the same, with an appProtocol that says nothing': [{ port: 3306, appProtocol: 'x' }, AppProtocol.TCP],
    'the same, with a name that says what it is': [{ port: 3306, name: 'mysql' }, AppProtocol.UNKNOWN],
    UDP: [{ name: 'http', protocol: 'UDP' }, AppProtocol.UNKNOWN],
  };
  test.each(Object.entries(cases))('%s', (_, [port, want]) =>
    expect(appProtocolOf({ port: 1, ...port })).toBe(want),
  );
});

describe('routingPreference', () => {
  const { NETWORK, REGION, ZONE, SUBZONE, NODE } = LoadBalancingScope;
  const zone = [NETWORK, REGION, ZONE];
  const node = [NETWORK, REGION, ZONE, SUBZONE, NODE];
  test.each([
    ['nothing', undefined, undefined, undefined, undefined],
    ['the field first', 'PreferClose', 'PreferSameNode', undefined, zone],
    ['then its own annotation, in any case', undefined, 'prefersamenode', 'PreferClose', node],
    ['then the namespace’s', undefined, undefined, 'PREFERSAMEZONE', zone],
    ['a field that is not known is as none', 'preferclose', undefined, 'PreferSameNode', node],
    ['an annotation that is not known keeps the namespace’s away', undefined, 'x', 'PreferClose', undefined],
    ['an empty one does not', undefined, '', 'PreferClose', zone],
  ])('%s', (_, field, own, inherited, want) =>
    expect(routingPreference(field, own, inherited)).toEqual(want),
  );
});

test('the label for ingress is read as Go reads a boolean, the object’s before the namespace’s', () => {
  const uses = (own?: string, inherited?: string) =>
    usesWaypointForIngress(own === undefined ? {} : { 'istio.io/ingress-use-waypoint': own }, {
      trafficDistribution: undefined,
      ingressUseWaypoint: inherited,
    });
  expect([uses('true'), uses('1'), uses('yes'), uses('x', 'true'), uses(undefined, 'T'), uses()]).toEqual([
    true,
    true,
    false,
    false,
    true,
    false,
  ]);
});
