import { beforeAll, expect, test } from '@jest/globals';
import { blockPortCommand } from '../cluster/provider.ts';
import { linesWith } from './kit/access-log.ts';
import type { EchoPod } from './kit/echo-pod.ts';
import { total } from './kit/metrics.ts';
import type { Space } from './kit/space.ts';
import { useSuite } from './kit/suite.ts';
import { eventually } from './kit/wait.ts';

const suite = useSuite('blocked');
const TUNNEL_PORT = 15_008;

let space: Space;
let client: EchoPod;
let server: EchoPod;

beforeAll(async () => {
  space = await suite.space('app', 'ambient');
  ({ client, server } = await suite.pair(space));
  await space.enrolled(true, 'client', 'server');
});

/**
 * What a NetworkPolicy does that lets in the application's port and forgets the tunnel's. The network of provider `local`
 * (the reference plugins ptp and portmap) enforces none, so an object of that kind would block nothing here: the rule is
 * made as a network plugin that does would make it.
 */
async function block(action: 'block' | 'unblock'): Promise<void> {
  const machine = await suite.cluster.needs('node-exec');
  const { exitCode, stderr } = await machine.nodeExec(
    server.node,
    blockPortCommand(server.ip, TUNNEL_PORT, action),
  );
  expect([exitCode, stderr]).toEqual([0, '']);
}

async function blockedCount(): Promise<number> {
  return total(await suite.mesh.metricsOf(client.node), 'istio_tcp_connections_failed_total', {
    reporter: 'source',
    source_workload_namespace: space.name,
    response_flags: 'NETWORK_POLICY',
  });
}

test('a block of the tunnel’s port fails the connection, and log and metrics say what to look at', async () => {
  await block('block');
  const outcome = await client.ask({ host: space.host('server'), timeoutMs: 25_000 });
  expect(outcome).toMatchObject({ ok: false });
  const [line] = await eventually(
    'the line of it',
    async () =>
      linesWith(await suite.mesh.accessLogOf(client.node), {
        direction: 'outbound',
        'src.namespace': space.name,
        error: /15008/,
      }),
    (lines) => lines.length > 0,
  );
  expect(line?.fields['error']).toContain('maybe a NetworkPolicy is blocking HBONE port 15008');
  expect(await blockedCount()).toBeGreaterThanOrEqual(1);

  await block('unblock');
  await client.eventuallyReaches({ host: space.host('server') });
});

test('so they do when the tunnel was open already', async () => {
  await client.settledOn({ host: space.host('server') });
  // Each of the proxy's workers has its own.
  for (let each = 0; each < 12; each++) await client.mustReach({ host: space.host('server') });
  const before = await blockedCount();
  await block('block');
  const outcome = await client.ask({ host: space.host('server'), timeoutMs: 25_000 });
  expect(outcome).toMatchObject({ ok: false });
  const lines = await eventually(
    'the line of it',
    async () =>
      linesWith(await suite.mesh.accessLogOf(client.node), {
        direction: 'outbound',
        'src.namespace': space.name,
        error: /has gone silent/,
      }),
    (found) => found.length > 0,
  );
  expect(lines[0]?.fields['error']).toContain('maybe a NetworkPolicy is blocking HBONE port 15008 now');
  expect(await blockedCount()).toBeGreaterThan(before);

  await block('unblock');
  await client.eventuallyReaches({ host: space.host('server') });
});
