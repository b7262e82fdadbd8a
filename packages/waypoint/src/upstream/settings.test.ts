import { expect, test } from '@jest/globals';
import type { AppProtocol } from '@ambit/model/service';
import type { ConnectionPool, Destination } from '../resources/destination-policy.ts';
import { upstreamVersion } from './settings.ts';

const destination = (pool: Partial<ConnectionPool> = {}): Destination =>
  ({ connectionPool: { http2Upgrade: 'default', useClientProtocol: false, ...pool } }) as Destination;

test.each<[string, AppProtocol | undefined, Partial<ConnectionPool>, '1.0' | '1.1' | '2', boolean, string]>([
  ['the port declares HTTP/2', 'HTTP2', {}, '1.1', false, '2'],
  ['the port declares gRPC', 'GRPC', {}, '1.1', false, '2'],
  ['the port declares HTTP', 'HTTP11', {}, '2', false, '1.1'],
  ['gRPC on a port that declares HTTP', 'HTTP11', {}, '2', true, '2'],
  ['gRPC-Web', 'HTTP11', {}, '1.1', true, '1.1'],
  ['nothing declared, HTTP/2', undefined, {}, '2', false, '2'],
  ['nothing declared, HTTP/1.0', undefined, {}, '1.0', false, '1.1'],
  ['the policy says HTTP/2', 'HTTP11', { http2Upgrade: 'always' }, '1.1', false, '2'],
  ['the policy says no upgrade', undefined, { http2Upgrade: 'never' }, '2', false, '1.1'],
  ['the policy says as the client', 'HTTP2', { useClientProtocol: true }, '1.1', false, '1.1'],
])('%s', (_, declared, pool, version, isGrpc, want) => {
  expect(upstreamVersion(declared, destination(pool), { version, isGrpc })).toBe(want);
});
