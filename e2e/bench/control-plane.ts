/** A control plane on loopback, for proxies under test: serves one state, and certificates, to anybody. With TLS, as Istio's ztunnel wants it. */
import { AUTHORIZATION_TYPE_URL } from '@ambit/api/authorization';
import { ADDRESS_TYPE_URL } from '@ambit/api/workload';
import { systemClock } from '@ambit/core/clock';
import { silentLogger } from '@ambit/core/log';
import { CA_SERVICE, createCaService } from '@ambit/identity/ca-server';
import { createSelfSignedCa } from '@ambit/identity/self-signed-ca';
import { DeltaXdsServer, XDS_SERVER_OPTIONS } from '@ambit/xds/server';
import type { ServerObserver } from '@ambit/xds/server/client-stream';
import { MemoryFeed } from '@ambit/xds/testing/memory-feed';
import { Server, ServerCredentials } from '@grpc/grpc-js';

export interface ControlPlane extends AsyncDisposable {
  /** For XDS_ADDRESS and CA_ADDRESS. */
  readonly address: string;
  /** By which its certificate is verified. */
  readonly rootsPem: string;
}

export async function startControlPlane(
  addresses: Readonly<Record<string, Uint8Array>>,
  observer: ServerObserver = {},
): Promise<ControlPlane> {
  const feed = new MemoryFeed(ADDRESS_TYPE_URL);
  feed.set(addresses);
  const xds = new DeltaXdsServer({
    feeds: [feed, new MemoryFeed(AUTHORIZATION_TYPE_URL)],
    authenticate: () => Promise.resolve('bench'),
    observer,
    clock: systemClock,
    log: silentLogger,
  });
  const server = new Server(XDS_SERVER_OPTIONS);
  xds.addTo(server);
  const authority = await createSelfSignedCa({ clock: systemClock });
  const certificates = createCaService({
    authority,
    authenticate: () => Promise.resolve({ identities: [] }),
    authorize: () => Promise.resolve(),
    log: silentLogger,
  });
  server.addService(CA_SERVICE, certificates);
  const { certificatePem, keys } = await authority.issueServer({ dnsNames: ['localhost'] });
  const credentials = ServerCredentials.createSsl(null, [
    {
      cert_chain: Buffer.from(certificatePem),
      private_key: Buffer.from(keys.privateKey.export({ format: 'pem', type: 'pkcs8' })),
    },
  ]);
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  server.bindAsync('127.0.0.1:0', credentials, (error, port) => (error ? reject(error) : resolve(port)));
  const port = await promise;
  return {
    address: `https://localhost:${port}`,
    rootsPem: authority.material.rootsPem.join(''),
    [Symbol.asyncDispose]: async () => {
      xds[Symbol.dispose]();
      server.forceShutdown();
    },
  };
}
