/** Real sockets on loopback for tests: a server of transports, and what makes client transports. */
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { acceptHandles } from '../transport/native.ts';
import { PlainTransport } from '../transport/plain-transport.ts';

export interface TransportServer extends AsyncDisposable {
  readonly port: number;
  readonly accepted: readonly PlainTransport[];
}

/** Listens on loopback; each connection is a transport. */
export async function listenTransports(
  onTransport: (transport: PlainTransport) => void,
): Promise<TransportServer> {
  const server: Server = createServer({ allowHalfOpen: true });
  const accepted: PlainTransport[] = [];
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  acceptHandles(
    server,
    (handle) => {
      const transport = new PlainTransport(handle);
      accepted.push(transport);
      onTransport(transport);
    },
    () => undefined,
  );
  return {
    port: (server.address() as AddressInfo).port,
    accepted,
    async [Symbol.asyncDispose]() {
      for (const transport of accepted) transport.destroy();
      server.close();
      await Promise.resolve();
    },
  };
}

/** A connected transport. */
export function connectTransport(port: number): Promise<PlainTransport> {
  return new Promise((resolve, reject) => {
    const transport: PlainTransport = new PlainTransport({ to: { ip: '127.0.0.1', port } }, (error) => {
      if (error) reject(error);
      else resolve(transport);
    });
  });
}
