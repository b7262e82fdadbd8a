import { afterEach, describe, expect, test } from '@jest/globals';
import { type Backend, httpBackend, startNode } from './testing/backend.ts';
import { hostnameOf, identityOf, startWaypoint, WAYPOINT_IDENTITY } from './testing/waypoint-network.ts';

const open: AsyncDisposable[] = [];
afterEach(async () => {
  for (const thing of open.splice(0).reverse()) await thing[Symbol.asyncDispose]();
});

function use<T extends AsyncDisposable>(thing: T): T {
  open.push(thing);
  return thing;
}

const echo = (ip: string): Promise<Backend> =>
  httpBackend(ip, (request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      response.setHeader('x-backend', ip);
      response.end(
        JSON.stringify({
          method: request.method,
          url: request.url,
          headers: request.headers,
          body: Buffer.concat(chunks).toString(),
        }),
      );
    });
  });

describe('a waypoint', () => {
  test('carries requests of a tunnel to an endpoint behind another, and shows each who it is', async () => {
    const backend = use(await echo('127.0.0.2'));
    const node = use(await startNode('127.0.0.2', identityOf('web-0'), 0));
    const network = use(await startWaypoint({ hbonePort: node.port }));
    network.service({ name: 'web', vip: '10.9.0.1' });
    network.endpoint({ name: 'web-0', service: 'web', ip: '127.0.0.2', port: backend.port, tunnelled: true });
    const client = await network.client();
    const response = await client.request('10.9.0.1:80', {
      method: 'POST',
      path: '/a?b=c',
      headers: { host: 'shop.test', 'x-envoy-peer-metadata': 'secret' },
      body: 'hello',
    });
    expect([response.status, response.headers['x-backend']]).toEqual([200, '127.0.0.2']);
    expect(response.headers['x-envoy-upstream-service-time']).toMatch(/^\d+$/);
    const { headers, ...seen } = JSON.parse(response.body);
    expect(seen).toEqual({ method: 'POST', url: '/a?b=c', body: 'hello' });
    expect(headers).toMatchObject({ host: 'shop.test', 'x-forwarded-proto': 'http' });
    expect(headers['x-request-id']).toMatch(/^[0-9a-f-]{36}$/);
    expect(headers['x-envoy-peer-metadata']).toBeUndefined();
    expect([node.carried, [...node.peers]]).toEqual([[`127.0.0.2:${backend.port}`], [WAYPOINT_IDENTITY]]);
    expect(hostnameOf('web')).toBe('web.shop.svc.cluster.local');
  });
});
