import { describe, expect, test } from '@jest/globals';
import { meshFromFile, meshOf } from '@ambit/model/testing/mesh-file';
import type { MeshStore } from '@ambit/model/store';
import { handleWhy, type WhyAnswer } from './why.ts';

const routes = meshFromFile(new URL('../../../../model/src/decide/testdata/routes.yaml', import.meta.url));

const guarded = meshOf(`
workloads:
  - {uid: a, name: web, namespace: shop, serviceAccount: web, trustDomain: td, workloadIps: [10.0.0.1], protocol: HBONE, node: n1, services: {}}
  - {uid: b, name: cart, namespace: shop, serviceAccount: cart, trustDomain: td, workloadIps: [10.0.0.2], protocol: HBONE, node: n2, services: {shop/cart.shop.svc.cluster.local: {80: 8080}}}
  - {uid: c, name: spy, namespace: shop, serviceAccount: spy, trustDomain: td, workloadIps: [10.0.0.3], protocol: HBONE, node: n1, services: {}}
services:
  - {name: cart, namespace: shop, hostname: cart.shop.svc.cluster.local, vips: ["/10.1.0.1"], ports: {80: 8080}}
policies:
  - {name: web-only, namespace: shop, scope: Namespace, action: Allow, dryRun: false, rules: [[[{principals: [!Exact td/ns/shop/sa/web]}]]]}
`);

function ask(
  mesh: MeshStore,
  query: string,
  served: readonly string[] = [],
): { status: number; answer: WhyAnswer } {
  const { status, body } = handleWhy(new URLSearchParams(query), {
    mesh,
    serves: ({ name }) => served.includes(name),
    certificate: (identity) => ({ identity, state: 'Available', certificate: undefined }),
    options: {
      network: '',
      clusterDomain: 'cluster.local',
      nodeName: 'n1',
      version: 'test',
      illegalPorts: new Set([15001, 15006, 15008]),
      localhostApplicationTunnel: true,
      missingPolicy: 'refuse',
    },
  });
  return { status, answer: status === 200 ? JSON.parse(String(body)) : undefined };
}

const outcomes = ({ outbound, inbound }: WhyAnswer) =>
  [...outbound, ...inbound].map(({ step, outcome }) => `${step} ${outcome}`);

describe('/debug/why', () => {
  test('names every step of a connection that is allowed', () => {
    const { answer } = ask(guarded, 'source=shop/web&destination=cart:80', ['web']);
    expect(outcomes(answer)).toEqual([
      'source ok',
      'name ok',
      'route ok',
      'certificate ok',
      'inbound ok',
      'authorization ok',
    ]);
    expect(answer.source).toEqual({ workload: 'a', identity: 'spiffe://td/ns/shop/sa/web', served: true });
    expect(answer.destination).toEqual({ workload: 'b', address: '10.0.0.2:8080', served: false });
    expect(answer.inbound.at(-1)?.message).toBe('allowed by shop/web-only');
  });

  test('names the policy that refuses, and why it did not match', () => {
    const { answer } = ask(guarded, 'source=shop/spy&destination=10.1.0.1:80');
    expect(answer.inbound.at(-1)).toMatchObject({
      step: 'authorization',
      outcome: 'refuse',
      message: 'allow policies exist, but none allowed',
      detail: {
        policies: [{ policy: 'shop/web-only', failures: [{ rule: 0, clause: 0, failed: ['principals'] }] }],
      },
    });
  });

  const cases: Record<string, { query: string; want: string[] }> = {
    'an unknown source': { query: 'source=app/nobody&destination=10.0.0.2:80', want: ['source unknown'] },
    'an unknown name': {
      query: 'source=app/client&destination=example.com:80',
      want: ['source ok', 'name unknown'],
    },
    'an unknown address passes through': {
      query: 'source=app/client&destination=192.0.2.1:80',
      want: ['source ok', 'route ok'],
    },
    'a service without endpoints': {
      query: 'source=app/client&destination=10.1.0.5:80',
      want: ['source ok', 'route refuse'],
    },
    'a waypoint': {
      query: 'source=app/client&destination=10.1.0.7:80',
      want: ['source ok', 'route ok', 'certificate ok', 'inbound ok', 'authorization ok', 'waypoint unknown'],
    },
    'another network': {
      query: 'source=app/client&destination=10.1.0.18:80',
      want: ['source ok', 'route ok', 'certificate ok', 'inbound unknown'],
    },
    IPv6: {
      query: 'source=app/client&destination=[fd00::2]:7',
      want: ['source ok', 'route ok', 'certificate ok', 'inbound ok', 'authorization ok'],
    },
    'plain TCP': {
      query: 'source=app/client&destination=10.0.0.3:7',
      want: ['source ok', 'route ok', 'inbound ok', 'authorization ok'],
    },
  };
  test.each(Object.entries(cases))('%s', (_, { query, want }) => {
    expect(outcomes(ask(routes, query).answer)).toEqual(want);
  });

  test('a connection that nobody captured at its source proves nothing', () => {
    const { answer } = ask(guarded, 'captured=false&sourceIp=10.0.0.9&destination=10.0.0.2:8080', ['cart']);
    expect(outcomes(answer)).toEqual(['inbound ok', 'authorization refuse']);
    expect(answer.destination).toEqual({ workload: 'b', address: '10.0.0.2:8080', served: true });
    const reached = ask(guarded, 'captured=false&destination=10.0.0.2:15008').answer;
    expect(outcomes(reached)).toEqual(['inbound refuse']);
    expect(outcomes(ask(guarded, 'captured=false&destination=192.0.2.1:1').answer)).toEqual([
      'inbound unknown',
    ]);
  });

  test.each([
    '',
    'captured=false&destination=c',
    'source=a&destination=b:1',
    'source=a/b&destination=c',
    'source=a/b&destination=c:70000',
    'source=a/b/c&destination=d:1',
  ])('refuses %p', (query) => expect(ask(routes, query).status).toBe(400));
});
