import { describe, expect, test } from '@jest/globals';
import type { WaypointFields, WaypointResources } from '@ambit/api/waypoint';
import { httpBackend } from '../testing/backend.ts';
import { testScope } from '../testing/scope.ts';
import { until } from '../testing/until.ts';
import {
  hostnameOf,
  NAMESPACE,
  type NetworkOptions,
  startWaypoint,
  type WaypointNetwork,
} from '../testing/waypoint-network.ts';

type Policy = NonNullable<WaypointFields<WaypointResources['DestinationPolicy']>['policy']>;

const use = testScope();
const WEB = '10.9.0.1:80';

async function network(policy: Policy, options: NetworkOptions = {}): Promise<WaypointNetwork> {
  const made = use(
    await startWaypoint({
      ...options,
      before: (controlPlane) =>
        controlPlane.set('DestinationPolicy', `DestinationRule/${NAMESPACE}/web`, {
          origin: { kind: 'DestinationRule', namespace: NAMESPACE, name: 'web', createdMs: 1n },
          hostname: hostnameOf('web'),
          policy,
        }),
    }),
  );
  made.service({ name: 'web', vip: '10.9.0.1' });
  return made;
}

/** Values by name and labels. */
async function metrics(made: WaypointNetwork): Promise<ReadonlyMap<string, number>> {
  const { body } = await made.page('stats', '/metrics');
  expect(body).toMatch(/# EOF\n$/);
  const samples = body.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(
    samples.map((line) => {
      const [, name = '', value = ''] = /^(.*) (\S+)$/.exec(line) ?? [];
      return [name, Number(value)];
    }),
  );
}

const of = (metric: string, more = '') =>
  `ambit_waypoint_${metric}{destination="${hostnameOf('web')}",port="80"${more}}`;

describe('metrics of destinations', () => {
  test('count ejections and retries', async () => {
    const good = use(await httpBackend('127.0.0.2', (_, response) => response.end()));
    const bad = use(
      await httpBackend('127.0.0.3', (_, response) => {
        response.statusCode = 503;
        response.end();
      }),
    );
    const made = await network({
      outlierDetection: { consecutive5xx: 1, baseEjectionMs: 60_000, maxEjectionPercent: 100 },
    });
    for (const [i, { ip, port }] of [good, bad].entries())
      made.endpoint({ name: `web-${i}`, service: 'web', ip, port });
    const client = await made.client();
    await until(async () => (await client.request(WEB)).status === 503, 'the bad endpoint answers');
    const now = await metrics(made);
    expect(now.get(of('endpoints', ',state="healthy"'))).toBe(1);
    expect(now.get(of('endpoints', ',state="ejected"'))).toBe(1);
    expect(now.get(of('ejections_total', ',reason="consecutive-5xx"'))).toBe(1);
    expect(now.get(of('retries_total'))).toBe(0);
    expect(now.get(of('destination_in_use', ',what="requests"'))).toBe(0);
    expect(now.get(of('destination_limit', ',what="retries"'))).toBe(1_024);
  });

  test('count what circuit breakers refuse, and retries that the budget does', async () => {
    const held: (() => void)[] = [];
    const slow = use(await httpBackend('127.0.0.2', (_, response) => held.push(() => response.end())));
    const made = await network({ connectionPool: { maxRequests: 1 } });
    made.endpoint({ name: 'web-0', service: 'web', ip: slow.ip, port: slow.port });
    const client = await made.client();
    const first = client.request(WEB);
    await until(() => held.length === 1, 'the request is there');
    expect((await client.request(WEB)).status).toBe(503);
    const now = await metrics(made);
    expect(now.get(of('destination_in_use', ',what="requests"'))).toBe(1);
    expect(now.get(of('destination_refused_total', ',what="requests"'))).toBe(1);
    expect(now.get('ambit_waypoint_in_use{what="requests"}')).toBe(1);
    for (const end of held) end();
    expect((await first).status).toBe(200);
  });

  test('count health checks', async () => {
    const sick = use(
      await httpBackend('127.0.0.2', (_, response) => {
        response.statusCode = 500;
        response.end();
      }),
    );
    const made = await network({ healthCheck: { path: '/ready', intervalMs: 1_000, timeoutMs: 1_000 } });
    made.endpoint({ name: 'web-0', service: 'web', ip: sick.ip, port: sick.port });
    const client = await made.client();
    await client.request(WEB);
    await until(
      async () => ((await metrics(made)).get(of('health_checks_total', ',result="failed"')) ?? 0) > 0,
      'it is checked',
    );
    expect((await metrics(made)).get(of('endpoints', ',state="failing_health_checks"'))).toBe(1);
  });
});

test('metrics of the process count what is turned away, and why', async () => {
  const held: (() => void)[] = [];
  const slow = use(await httpBackend('127.0.0.2', (_, response) => held.push(() => response.end())));
  const made = await network({}, { env: { AMBIT_MAX_REQUESTS: '1' } });
  made.endpoint({ name: 'web-0', service: 'web', ip: slow.ip, port: slow.port });
  const client = await made.client();
  const first = client.request(WEB);
  await until(() => held.length === 1, 'the request is there');
  expect((await client.request(WEB)).status).toBe(503);
  for (let i = 0; i < 2; i++) {
    const now = await metrics(made);
    expect(now.get('ambit_waypoint_refused_total{what="requests",reason="full"}')).toBe(1);
    expect(now.get('ambit_waypoint_limit{what="requests"}')).toBe(1);
    expect(now.get('ambit_waypoint_loop_busy_seconds_total')).toBeGreaterThan(0);
  }
  for (const end of held) end();
  await first;
});
