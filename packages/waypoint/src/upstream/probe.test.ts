import { expect, test } from '@jest/globals';
import { FakeClock } from '@ambit/core/testing/fake-clock';
import type { HealthCheck } from '../resources/destination-policy.ts';
import type { UpstreamEndpoint } from './endpoint.ts';
import type { HttpVersion, PoolWaiter } from './http-pool.ts';
import { UpstreamError } from './errors.ts';
import { probeOf } from './probe.ts';

const CHECK: HealthCheck = {
  kind: 'http',
  path: '/',
  intervalMs: 1_000,
  timeoutMs: 1_000,
  healthyThreshold: 1,
  unhealthyThreshold: 1,
};

test.each<[string, HealthCheck['kind'], HttpVersion, HttpVersion]>([
  ['a request as HTTP/1.1, where requests go so', 'http', '1.1', '1.1'],
  ['a request as HTTP/2, where requests go so', 'http', '2', '2'],
  ['a call of gRPC as HTTP/2', 'grpc', '1.1', '2'],
])('asks by %s', async (_, kind, version, want) => {
  const asked: HttpVersion[] = [];
  const endpoint = {
    activeRequests: 0,
    http: (by: HttpVersion) => {
      asked.push(by);
      return {
        acquire: (waiter: PoolWaiter) => {
          queueMicrotask(() => waiter.onFailed(new UpstreamError('UF', 'connection_failure', 'nobody')));
          return { [Symbol.dispose]: () => undefined };
        },
      };
    },
  } as unknown as UpstreamEndpoint;
  const probe = probeOf({
    connect: () => ({ [Symbol.dispose]: () => undefined }),
    clock: new FakeClock(),
    hostname: 'web.test',
    version: () => version,
  });
  expect(await probe(endpoint, { ...CHECK, kind }, new AbortController().signal)).toBe(false);
  expect(asked).toEqual([want]);
});
