/**
 * The API server of a sandbox, for a `kubectl` outside: the sandbox has no network in common with its surroundings, but a
 * folder. Inside, a socket in that folder leads to the API; outside, a port on loopback leads to the socket.
 */
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { connect, createServer, type NetConnectOpts, type Server, type Socket } from 'node:net';

const MAX_CONNECTIONS = 256;

/** Accepts at `at` and passes every connection on to `to`. */
export async function bridge(
  at: { readonly path: string } | { readonly host: string; readonly port: number },
  to: NetConnectOpts,
): Promise<Server> {
  const server = createServer({ allowHalfOpen: true }, (near) =>
    join(near, connect({ ...to, allowHalfOpen: true })),
  );
  server.maxConnections = MAX_CONNECTIONS;
  server.listen(at);
  await once(server, 'listening');
  return server;
}

function join(near: Socket, far: Socket): void {
  near.pipe(far).pipe(near);
  near.on('error', () => far.destroy());
  far.on('error', () => near.destroy());
  near.on('close', () => far.destroy());
  far.on('close', () => near.destroy());
}

/** A copy of the kubeconfig that leads to another port; for its owner alone. */
export function writeKubeconfigFor(port: number, from: string, to: string): void {
  const text = readFileSync(from, 'utf8').replaceAll(/server: .*/g, `server: https://127.0.0.1:${port}`);
  writeFileSync(to, text, { mode: 0o600 });
}
