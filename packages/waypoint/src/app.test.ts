import { type AddressInfo, connect, createServer } from 'node:net';
import { afterEach, describe, expect, test } from '@jest/globals';
import { type Clock, systemClock } from '@ambit/core/clock';
import { silentLogger } from '@ambit/core/log';
import { CA_SERVICE, type CaCaller, createCaService } from '@ambit/identity/ca-server';
import { createSelfSignedCa } from '@ambit/identity/self-signed-ca';
import { Server, ServerCredentials } from '@grpc/grpc-js';
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

  test('has its certificate as soon as the CA can be reached, whatever pause it makes between failures', async () => {
    const ca = use(await startCa('istiod.test', { refusedFirst: 2 }));
    // No pause of the certificate store ends here.
    const clock: Clock = {
      ...systemClock,
      after: (ms, run) => systemClock.after(ms < 100 ? ms : 3_600_000, run),
    };
    const env = {
      FAKE_CA: 'false',
      CA_ADDRESS: ca.address,
      CA_ROOT_CA: ca.rootsPem,
      ALT_CA_HOSTNAME: 'istiod.test',
      AUTH_TOKEN: 'good',
    };
    // It is ready with its certificate.
    const network = use(await startWaypoint({ env, clock }));
    const { body } = await network.page('admin', '/config_dump');
    expect(body).toContain('Available');
  });
});

/** A CA, and the way to it, on which some connections come to nothing. */
async function startCa(hostname: string, { refusedFirst }: { readonly refusedFirst: number }) {
  const authority = await createSelfSignedCa({ clock: systemClock });
  const { certificatePem, keys } = await authority.issueServer({ dnsNames: [hostname] });
  const server = new Server();
  server.addService(
    CA_SERVICE,
    createCaService<CaCaller>({
      authority,
      authenticate: () => Promise.resolve({ identities: [WAYPOINT_IDENTITY] }),
      authorize: () => Promise.resolve(),
      log: silentLogger,
    }),
  );
  const pair = {
    cert_chain: Buffer.from(certificatePem),
    private_key: Buffer.from(keys.privateKey.export({ format: 'pem', type: 'pkcs8' })),
  };
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', ServerCredentials.createSsl(null, [pair]), (error, bound) =>
      error ? reject(error) : resolve(bound),
    ),
  );
  let refused = 0;
  const relay = createServer((socket) => {
    socket.on('error', () => undefined);
    if (refused++ < refusedFirst) socket.destroy();
    else socket.pipe(connect(port, '127.0.0.1').on('error', () => undefined)).pipe(socket);
  });
  await new Promise<void>((resolve) => relay.listen(0, '127.0.0.1', resolve));
  return {
    address: `127.0.0.1:${(relay.address() as AddressInfo).port}`,
    rootsPem: authority.material.rootsPem.join(''),
    [Symbol.asyncDispose]: () => {
      server.forceShutdown();
      relay.close();
      return Promise.resolve();
    },
  };
}
