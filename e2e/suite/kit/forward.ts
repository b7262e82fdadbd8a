/** A port of a pod as a port of this machine's loopback, for clients that dial by themselves. */
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { pipeline } from 'node:stream';
import type { KubeClient } from '@ambit/kube/client';
import { type PodPort, portForward } from '@ambit/kube/port-forward';

const DIAL_TIMEOUT_MS = 30_000;

export interface Forwarded extends Disposable {
  readonly port: number;
}

export async function forwarded(client: KubeClient, to: PodPort): Promise<Forwarded> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => socket.destroy());
    socket.on('close', () => sockets.delete(socket));
    portForward(client, to, AbortSignal.timeout(DIAL_TIMEOUT_MS)).then(
      (stream) => pipeline(socket, stream, socket, () => socket.destroy()),
      () => socket.destroy(),
    );
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    [Symbol.dispose]: () => {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}
