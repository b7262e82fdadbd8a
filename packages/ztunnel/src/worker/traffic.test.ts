import { describe, expect, test } from '@jest/globals';
import { accessLine, type AccessRecord } from './access-log.ts';
import { labelsOf, partyOfPeer, type Party, TRAFFIC_LABELS, type Traffic, UNKNOWN_PARTY } from './traffic.ts';
import { TrafficCounters } from './traffic-counters.ts';

const party = (name: string, over: Partial<Party> = {}): Party => ({
  ...UNKNOWN_PARTY,
  workload: name,
  instance: `${name}-1`,
  canonicalService: name,
  canonicalRevision: 'v1',
  namespace: 'shop',
  principal: `spiffe://cluster.local/ns/shop/sa/${name}`,
  cluster: 'Kubernetes',
  locality: { region: 'eu', zone: '' },
  ...over,
});

const traffic: Traffic = {
  reporter: 'source',
  source: party('web'),
  destination: party('api'),
  service: { hostname: 'api.shop.svc.cluster.local', namespace: 'shop', name: 'api' },
  mutualTls: true,
};

const named = (one: Traffic, flag: Parameters<typeof labelsOf>[1] = '-') =>
  Object.fromEntries(labelsOf(one, flag).map((value, index) => [TRAFFIC_LABELS[index], value]));

describe('labels', () => {
  test('every label has its value, and app and version follow the canonical names', () => {
    expect(labelsOf(traffic, '-')).toHaveLength(TRAFFIC_LABELS.length);
    expect(named(traffic)).toMatchObject({
      reporter: 'source',
      source_workload: 'web',
      source_app: 'web',
      source_version: 'v1',
      source_principal: 'spiffe://cluster.local/ns/shop/sa/web',
      destination_service: 'api.shop.svc.cluster.local',
      destination_service_name: 'api',
      destination_canonical_service: 'api',
      request_protocol: 'tcp',
      response_flags: '-',
      connection_security_policy: 'mutual_tls',
      source_region: 'eu',
      source_zone: 'unknown',
    });
  });

  test('what is not known is unknown, and its locality has no label', () => {
    const labels = named({ ...traffic, source: UNKNOWN_PARTY, service: undefined, mutualTls: false }, 'DENY');
    expect(labels).toMatchObject({
      source_workload: 'unknown',
      source_principal: 'unknown',
      destination_service: 'unknown',
      response_flags: 'DENY',
      connection_security_policy: 'unknown',
      source_region: '',
    });
  });

  test('a peer outside mesh state: the certificate says its namespace, whatever the baggage says', () => {
    const peer = partyOfPeer(
      { namespace: 'lies', workloadName: 'web' },
      'spiffe://cluster.local/ns/shop/sa/web',
    );
    expect([peer.namespace, peer.workload]).toEqual(['shop', 'web']);
    expect(partyOfPeer({ namespace: 'shop' }, undefined).namespace).toBe('shop');
  });
});

describe('counters', () => {
  const values = (counters: TrafficCounters, name: string) =>
    counters
      .report()
      .find((metric) => metric.name === name)
      ?.samples.map(({ labels, value }) => [labels[TRAFFIC_LABELS.indexOf('response_flags')], value]);

  test('a failed connection is opened without a flag, closed and failed with it, however often it is closed', () => {
    const counters = new TrafficCounters();
    const connection = counters.open(traffic);
    connection.addBytes(11, 22);
    connection.close('CONNECT');
    connection.close('-');
    expect(values(counters, 'istio_tcp_connections_opened')).toEqual([['-', 1]]);
    expect(values(counters, 'istio_tcp_connections_closed')).toEqual([['CONNECT', 1]]);
    expect(values(counters, 'istio_tcp_connections_failed')).toEqual([['CONNECT', 1]]);
    expect(values(counters, 'istio_tcp_received_bytes')).toEqual([['-', 11]]);
    expect(values(counters, 'istio_tcp_sent_bytes')).toEqual([['-', 22]]);
  });

  test('open sockets go up and down with their connections', () => {
    const counters = new TrafficCounters();
    const first = counters.open(traffic);
    counters.open(traffic);
    first.close('-');
    const gauge = counters.report().find((metric) => metric.name === 'istio_tcp_sockets_open');
    expect(gauge?.samples).toEqual([
      { labels: ['source'], value: 1 },
      { labels: ['destination'], value: 0 },
    ]);
  });

  test('between the same two parties, each service and each end has its own count', () => {
    const counters = new TrafficCounters();
    const inbound = { ...traffic, reporter: 'destination' } as const;
    const bare = { ...traffic, service: undefined };
    const inClear = { ...traffic, mutualTls: false };
    for (const one of [traffic, inbound, bare, traffic, inClear, inbound, traffic]) counters.open(one);
    const samples =
      counters.report().find((metric) => metric.name === 'istio_tcp_connections_opened')?.samples ?? [];
    const labelled = (one: Traffic) =>
      samples.find(({ labels }) => labels.join() === labelsOf(one, '-').join())?.value;
    expect([traffic, inbound, bare, inClear].map(labelled)).toEqual([3, 2, 1, 1]);
  });

  test('beyond the limit of series, connections are counted under labels that say nothing', () => {
    const counters = new TrafficCounters(2);
    for (let i = 0; i < 10; i++) counters.open({ ...traffic, source: party(`web-${i}`) }).close('-');
    const samples =
      counters.report().find((metric) => metric.name === 'istio_tcp_connections_opened')?.samples ?? [];
    expect(samples.map((sample) => [sample.labels[1], sample.value])).toEqual([
      ['web-0', 1],
      ['web-1', 1],
      ['unknown', 8],
    ]);
  });
});

describe('the access log', () => {
  const record: AccessRecord = {
    traffic,
    sourceAddress: '10.0.0.1:4242',
    destinationAddress: '10.0.0.2:15008',
    hboneAddress: '10.0.0.2:8080',
    direction: 'outbound',
    receivedBytes: 11,
    sentBytes: 22,
    durationMs: 2.7,
    policies: [],
    error: undefined,
  };

  test('text has tabs between its parts, and quotes only around strings', () => {
    expect(accessLine(record, 'plain', 'T').split('\t')).toEqual([
      'T',
      'info',
      'access',
      'connection complete',
      'src.addr=10.0.0.1:4242 src.workload="web-1" src.namespace="shop" src.identity="spiffe://cluster.local/ns/shop/sa/web" src.cluster="Kubernetes" dst.addr=10.0.0.2:15008 dst.hbone_addr=10.0.0.2:8080 dst.service="api.shop.svc.cluster.local" dst.workload="api-1" dst.namespace="shop" dst.identity="spiffe://cluster.local/ns/shop/sa/api" dst.cluster="Kubernetes" direction="outbound" bytes_sent=11 bytes_recv=22 duration="3ms"\n',
    ]);
  });

  test('inbound bytes are seen from the server, and a failure is an error with its reason', () => {
    const line = accessLine({ ...record, direction: 'inbound', error: 'said "no"' }, 'plain', 'T');
    expect(line).toContain('\terror\taccess\t');
    expect(line).toContain('bytes_sent=22 bytes_recv=11 duration="3ms" error="said \\"no\\""');
  });

  test('policies that refuse are named, many of them by their number', () => {
    const lineOf = (policies: readonly string[]) =>
      accessLine({ ...record, policies, error: 'no' }, 'plain', 'T');
    expect(lineOf(['shop/a', 'shop/b'])).toContain('duration="3ms" policies="shop/a, shop/b" error="no"');
    const many = Array.from({ length: 10 }, (_, i) => `shop/${i}`);
    expect(lineOf(many)).toContain('shop/6, shop/7 and 2 more" error');
  });

  test('what is not known is left out', () => {
    const bare = {
      ...record,
      traffic: { ...traffic, source: UNKNOWN_PARTY, service: undefined },
      hboneAddress: undefined,
    };
    const fields = JSON.parse(accessLine(bare, 'json', 'T')) as Record<string, unknown>;
    expect(Object.keys(fields)).not.toEqual(expect.arrayContaining(['src.workload']));
    expect(Object.keys(fields)).not.toEqual(expect.arrayContaining(['dst.service']));
    expect(fields).toMatchObject({ scope: 'access', 'src.addr': '10.0.0.1:4242', bytes_sent: 11 });
  });
});
