/**
 * A preflight pod: answers its kubelet's probe, accepts on the mesh's port, and tells on loopback what it has found.
 *
 * What it tells and does goes through loopback alone, thus through a port-forward that the API server has allowed: other
 * pods can neither read it nor have it connect anywhere.
 */
import { createServer, type Server } from 'node:net';
import { HttpServer } from '@ambit/core/http-server';
import { parseIp } from '@ambit/core/ip';
import type { Logger } from '@ambit/core/log';
import { PREFLIGHT_MAX_PEERS } from '../limits.ts';
import { type FactsOptions, gatherFacts } from './facts.ts';
import { reach } from './reach.ts';

export interface PreflightPorts {
  /** For the kubelet, on the pod's addresses. */
  readonly probe: number;
  /** The port of the mesh between nodes, on the pod's addresses. */
  readonly mesh: number;
  /** On loopback. */
  readonly admin: number;
}

export const PREFLIGHT_PORTS: PreflightPorts = { probe: 15_021, mesh: 15_008, admin: 15_000 };

export interface PreflightOptions extends FactsOptions {
  readonly ports: PreflightPorts;
  readonly log: Logger;
}

export async function startPreflight(
  options: PreflightOptions,
  signal: AbortSignal,
): Promise<AsyncDisposable> {
  const { ports, log } = options;
  await using scope = new AsyncDisposableStack();
  let probeSource = '';
  const probe = new HttpServer({
    name: 'probe',
    hosts: ['0.0.0.0'],
    port: ports.probe,
    log,
    handler: ({ peerIp }) => {
      probeSource = peerIp ?? '';
      return { status: 200, body: 'ok\n' };
    },
  });
  const admin = new HttpServer({
    name: 'admin',
    hosts: ['127.0.0.1'],
    port: ports.admin,
    log,
    handler: async ({ path, query }) => {
      if (path === '/facts') return json(await gatherFacts(options, probeSource));
      if (path !== '/reach') return { status: 404, body: 'Not Found\n' };
      const peers = query.getAll('to').map(parseIp);
      const given = peers.filter((ip) => ip !== undefined);
      if (given.length !== peers.length || peers.length > PREFLIGHT_MAX_PEERS)
        return { status: 400, body: `want at most ${PREFLIGHT_MAX_PEERS} addresses\n` };
      return json(await reach(given, ports.mesh));
    },
  });
  for (const server of [probe, admin]) await scope.use(server).start(signal);
  const mesh = await listening(ports.mesh);
  scope.defer(() => new Promise<void>((resolve) => mesh.close(() => resolve())));
  return scope.move();
}

/** Says nothing: that it accepts is the answer. */
async function listening(port: number): Promise<Server> {
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.end();
    socket.destroySoon();
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '0.0.0.0', () => resolve());
  });
  return server;
}

function json(value: object) {
  return { status: 200, headers: { 'content-type': 'application/json' }, body: JSON.stringify(value) };
}
