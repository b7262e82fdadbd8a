import { describe, expect, test } from '@jest/globals';
import { formatBaggage, parseBaggage } from './baggage.ts';
import { acceptFields, connectFields, fieldValues, forwardedHost } from './headers.ts';
import { proxyHeader } from './proxy-protocol.ts';
import { newTraceparent, traceIdOf } from './trace-context.ts';

const client = { ip: '10.0.0.1', port: 4242 };
const whole = {
  cluster: 'Kubernetes',
  namespace: 'shop',
  workloadType: 'deployment',
  workloadName: 'cart',
  service: 'cart',
  revision: 'v1',
  region: 'r',
  zone: 'z',
};

describe('baggage', () => {
  test('has its attributes in order and leaves out what is empty', () => {
    expect(formatBaggage(whole)).toBe(
      'k8s.cluster.name=Kubernetes,k8s.namespace.name=shop,k8s.deployment.name=cart,service.name=cart,service.version=v1,cloud.region=r,cloud.availability_zone=z',
    );
    expect(formatBaggage({ namespace: 'shop', service: '' })).toBe('k8s.namespace.name=shop');
  });

  const cases: Record<string, { values: string[]; want: object }> = {
    'comes back as it was': { values: [formatBaggage(whole)], want: whole },
    'over several headers': {
      values: ['k8s.namespace.name=a', 'k8s.job.name=b'],
      want: { namespace: 'a', workloadType: 'job', workloadName: 'b' },
    },
    'ignores what it does not know': {
      values: ['x=y,,=z,k8s.namespace.name=,k8s.thing.name=q,service.name'],
      want: {},
    },
    'ignores what is no name': { values: [`service.name=${'x'.repeat(300)}`], want: {} },
  };
  test.each(Object.entries(cases))('%s', (_, { values, want }) => expect(parseBaggage(values)).toEqual(want));
});

describe('CONNECT', () => {
  test('has exactly the fields that Istio sends', () => {
    const fields = connectFields({
      authority: '[fd00::1]:80',
      baggage: 'k8s.namespace.name=shop',
      client,
      host: 'cart.shop.svc.cluster.local',
      traceparent: `00-${'1'.repeat(32)}-${'2'.repeat(16)}-00`,
      sourceNetwork: undefined,
    });
    expect(fields.map(({ name, value }) => `${name}: ${value}`)).toEqual([
      ':method: CONNECT',
      ':authority: [fd00::1]:80',
      'baggage: k8s.namespace.name=shop',
      'forwarded: for="10.0.0.1:4242";host=cart.shop.svc.cluster.local',
      `traceparent: 00-${'1'.repeat(32)}-${'2'.repeat(16)}-00`,
    ]);
  });

  test('is answered with 200 and baggage', () => {
    expect(acceptFields('').map(({ value }) => value)).toEqual(['200']);
    expect(acceptFields('a=b').map(({ name }) => name)).toEqual([':status', 'baggage']);
  });

  test('says which service was called, quoted or not', () => {
    expect(forwardedHost(['forwarded', 'for="10.0.0.1:1";host=a.b'])).toBe('a.b');
    expect(forwardedHost(['forwarded', 'for=x;Host="a.b"'])).toBe('a.b');
    expect(forwardedHost(['forwarded', 'for=x'])).toBeUndefined();
    expect(forwardedHost([])).toBeUndefined();
    expect(fieldValues(['a', '1', 'b', '2', 'a', '3'], 'a')).toEqual(['1', '3']);
  });
});

test('a traceparent is new each time and well-formed', () => {
  const ids = new Set(Array.from({ length: 1_000 }, () => traceIdOf(newTraceparent())));
  expect(ids.size).toBe(1_000);
  expect(ids.has(undefined)).toBe(false);
  expect(traceIdOf('00-xyz')).toBeUndefined();
  expect(traceIdOf(`00-${'0'.repeat(32)}-${'1'.repeat(16)}-00`)).toBeUndefined();
});

describe('PROXY protocol', () => {
  const SIGNATURE = '0d0a0d0a000d0a515549540a';

  test('IPv4 with the identity', () => {
    const header = proxyHeader(client, { ip: '10.0.0.2', port: 80 }, 'spiffe://td');
    expect(header.toString('hex')).toBe(
      `${SIGNATURE}2111001a0a0000010a00000210920050d0000b${Buffer.from('spiffe://td').toString('hex')}`,
    );
  });

  test('addresses of two families become IPv6', () => {
    const header = proxyHeader(client, { ip: 'fd00::2', port: 80 }, undefined);
    expect(header.toString('hex')).toBe(
      `${SIGNATURE}21210024${'00'.repeat(10)}ffff0a000001fd00${'00'.repeat(13)}0210920050`,
    );
  });
});
