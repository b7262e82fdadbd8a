import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { linesWith } from './kit/access-log.ts';
import { jobs } from './kit/batch.ts';
import { lost, Rows, underLoad } from './kit/disturbance.ts';
import { EchoPod } from './kit/echo-pod.ts';
import { total } from './kit/metrics.ts';
import { echoJob, echoPod, MODE_LABEL } from './kit/objects.ts';
import { isEnrolled, type Space } from './kit/space.ts';
import { useSuite } from './kit/suite.ts';
import { eventually, throughout, until } from './kit/wait.ts';
import { PORTS } from '../echo/ports.ts';

const suite = useSuite('enrolment');
const rows = new Rows();
/** Longer than a proxy lets the connections of a pod that leaves go on. */
const LEAVE_MS = 7_000;
const QUIET_MS = 3_000;
const HOST_PORT_OFFSET = 21_000;

let live: Space;
let client: EchoPod;
let server: EchoPod;

/** Connections that both ends' proxies carried in tunnels so far. */
async function tunnelled(from: EchoPod, to: EchoPod): Promise<number> {
  const samples = await suite.mesh.metricsOf(from.node);
  return total(samples, 'istio_tcp_connections_opened_total', {
    reporter: 'source',
    source_workload: from.name,
    source_workload_namespace: from.namespace,
    destination_workload: to.name,
    connection_security_policy: 'mutual_tls',
  });
}

/**
 * When the first request on a new connection had its answer through tunnels, as the client's proxy wrote down: to ask for it
 * often while it is waited for would make it late.
 */
async function firstTunnelledMs(from: EchoPod, to: EchoPod, sinceMs: number): Promise<number> {
  const aheadMs = await from.clockAheadMs();
  const times = await eventually(
    'a line of the access log about a tunnel',
    async () =>
      linesWith(await suite.mesh.accessLogOf(from.node), {
        direction: 'outbound',
        'src.namespace': from.namespace,
        'src.workload': from.name,
        'dst.workload': to.name,
        'dst.hbone_addr': /./,
        error: '',
      })
        .map(({ atMs }) => atMs - aheadMs)
        .filter((atMs) => atMs >= sinceMs),
    (found) => found.length > 0,
  );
  return Math.min(...times);
}

beforeAll(async () => {
  live = await suite.space('live');
  ({ client, server } = await suite.pair(live));
});
afterAll(() => rows.print());

describe('a namespace with running pods', () => {
  test('is in clear at first', async () => {
    await client.eventuallyReaches({ host: live.host('server') });
    expect(await tunnelled(client, server)).toBe(0);
    rows.add('none, outside the mesh', await underLoad(client, live.host('server'), () => sleep(QUIET_MS)));
  });

  test('is labelled: connections go through tunnels, none is lost, no pod restarts', async () => {
    let beganMs = 0;
    const disturbed = await underLoad(client, live.host('server'), async () => {
      beganMs = Date.now();
      await live.label('ambient');
      await live.enrolled(true, 'client', 'server');
      await until('the first tunnel', async () => (await tunnelled(client, server)) > 0);
    });
    const firstMs = (await firstTunnelledMs(client, server, beganMs)) - beganMs;
    rows.add(
      'labelling a running namespace',
      disturbed,
      `first answer through a tunnel after ${firstMs.toFixed(0)} ms`,
    );
    expect([lost(disturbed), disturbed.held.reopened]).toEqual([[], 0]);
    expect((await live.pod('client')).metadata.uid).toBe(client.uid);
    expect((await live.pod('server')).metadata.uid).toBe(server.uid);
  });

  test('is used as before', async () => {
    const quiet = await underLoad(client, live.host('server'), () => sleep(QUIET_MS));
    rows.add('none, in the mesh', quiet);
    expect(lost(quiet)).toEqual([]);
  });

  test('a pod that starts now is in the mesh from its first connection', async () => {
    const [newcomer] = await live.run({
      name: 'newcomer',
      env: { FIRST_REQUEST: `http ${live.host('server')} ${PORTS.http}` },
    });
    expect(newcomer && (await newcomer.firstRequest())).toMatchObject({ ok: true });
    expect(isEnrolled(await live.pod('newcomer'))).toBe(true);
    if (newcomer) expect(await tunnelled(newcomer, server)).toBe(1);
  });

  test('the label is taken off: in clear again, none is lost', async () => {
    const disturbed = await underLoad(client, live.host('server'), async () => {
      await live.label(null);
      await live.enrolled(false, 'client', 'server', 'newcomer');
      await sleep(LEAVE_MS);
    });
    rows.add('un-labelling it', disturbed);
    expect([lost(disturbed), disturbed.held.reopened]).toEqual([[], 0]);
    const before = await tunnelled(client, server);
    await client.mustReach({ host: live.host('server') });
    expect(await tunnelled(client, server)).toBe(before);
    expect((await live.pod('client')).metadata.uid).toBe(client.uid);
  });

  test('one pod is taken in by its own label, and out of a namespace that is in', async () => {
    await suite.cluster.labelPod(client, { [MODE_LABEL]: 'ambient' });
    await live.enrolled(true, 'client');
    expect(isEnrolled(await live.pod('server'))).toBe(false);
    await client.mustReach({ host: live.host('server') });
    await live.label('ambient');
    await live.enrolled(true, 'server');
    await suite.cluster.labelPod(client, { [MODE_LABEL]: 'none' });
    await live.enrolled(false, 'client');
    expect((await client.mustReach({ host: live.host('server') })).server?.source).toBe(client.ip);
  });
});

describe('pods that stay outside', () => {
  test('a hostNetwork pod, though labelled, is untouched and reaches the mesh', async () => {
    await live.apply(
      echoPod(suite.cluster.file.images, {
        name: 'on-host',
        namespace: live.name,
        node: suite.nodes[0],
        hostNetwork: true,
        labels: { [MODE_LABEL]: 'ambient' },
        env: { PORT_OFFSET: String(HOST_PORT_OFFSET) },
        probes: {},
      }),
    );
    await live.ready('on-host');
    const pod = await live.pod('on-host');
    const asker = new EchoPod(suite.cluster, pod, PORTS.control + HOST_PORT_OFFSET);
    await asker.eventuallyReaches({ host: live.host('server') });
    await throughout('not enrolled', async () => !isEnrolled(await live.pod('on-host')), 2_000);
  });

  test('a namespace that the agent excludes is untouched, whatever its pods’ labels', async () => {
    const name = `e2e-excluded-${Math.random().toString(36).slice(2, 6)}`;
    const options = { name, namespace: 'kube-system', labels: { [MODE_LABEL]: 'ambient' } };
    const pod = echoPod(suite.cluster.file.images, options);
    await suite.applyForNow(pod);
    const get = () => suite.cluster.pod('kube-system', name);
    const ready = await eventually('it runs', get, ({ status }) => status?.phase === 'Running');
    await throughout('not enrolled', async () => !isEnrolled(await get()), 2_000);
    const asker = new EchoPod(suite.cluster, ready);
    await asker.eventuallyReaches({ host: live.host('server') });
    expect(await tunnelled(asker, server)).toBe(0);
  });
});

test('a Job in the mesh does its work and ends', async () => {
  await live.apply(
    echoJob(suite.cluster.file.images, {
      name: 'work',
      namespace: live.name,
      args: ['once', 'http', live.host('server'), String(PORTS.http)],
    }),
  );
  const job = await eventually(
    'the job ends',
    () => suite.cluster.client.get(jobs, { namespace: live.name, name: 'work' }),
    ({ status }) => (status?.succeeded ?? 0) + (status?.failed ?? 0) > 0,
    { timeoutMs: 150_000 },
  );
  expect(job.status).toMatchObject({ succeeded: 1 });
  const [worker] = await live.podsOf('work');
  expect(worker?.status?.phase).toBe('Succeeded');
});
