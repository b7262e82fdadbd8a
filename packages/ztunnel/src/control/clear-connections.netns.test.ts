import { once } from 'node:events';
import { createServer, Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { systemClock } from '@ambit/core/clock';
import { familyOf } from '@ambit/core/ip';
import { LogRoot, parseLogFilter, silentLogger } from '@ambit/core/log';
import { formatMetrics, MetricRegistry } from '@ambit/core/metrics';
import { FakeClock } from '@ambit/core/testing/fake-clock';
import { inboundClearConnections } from '@ambit/linux/clear-connections';
import { listTcpConnections, OPEN_STATES } from '@ambit/linux/sock-diag';
import { listenTcp, tcpSocket } from '@ambit/linux/sockets';
import { TestNamespaces, type TestNetns } from '@ambit/linux/testing/namespaces';
import { Interner } from '@ambit/model/intern';
import { readLocalMesh } from '@ambit/model/local-file';
import { MeshStore } from '@ambit/model/store';
import { ZdsServer } from '@ambit/zds/agent-side';
import { CLEAR_JUDGEMENT_DELAY_MS, CLEAR_LOOKS_MS } from '../limits.ts';
import { eventually, MESH, NEIGHBOUR_IP, POD, POD_IP, startProxiedPod } from '../testing/proxied-pod.ts';
import { ALICE_IP, BOB_IP, OUTSIDE_IP, type Place, WorkerNetwork } from '../testing/worker-network.ts';
import { ClearConnections, type ClearConnectionsOptions } from './clear-connections.ts';

const MARK = 0x539;
const APP = 9090;
const CLIENT_IP = '10.9.0.1';
const PROBE_IP = '169.254.7.127';
const WEB_IP = '10.9.0.2';
const WORKLOAD = `workloads: [{uid: web, name: web-0, namespace: shop, serviceAccount: web, trustDomain: td, workloadIps: [${WEB_IP}], protocol: HBONE, services: {}}]`;
const STRICT = `policies: [{name: strict, namespace: shop, scope: Namespace, action: Deny, dryRun: false, rules: [[[{notPrincipals: [!Presence []]}]]]}]`;
const [FIRST_LOOK_MS, SECOND_LOOK_MS] = CLEAR_LOOKS_MS;
const START_TIMEOUT_MS = 60_000;
/** For a test that starts a process, and then waits for it twice. */
const PROCESS_TEST_TIMEOUT_MS = 120_000;

/** A client and the program it reached. */
interface Pair {
  readonly client: Socket;
  readonly served: Socket;
  readonly ended: () => readonly (string | undefined)[];
}

class Stage implements Disposable {
  readonly mesh = new MeshStore({ nodeName: '' });
  readonly clock = new FakeClock();
  readonly registry = new MetricRegistry();
  readonly lines: string[] = [];
  readonly clear: ClearConnections;
  readonly #stack = new DisposableStack();
  readonly #namespaces = this.#stack.use(new TestNamespaces());
  readonly outside = this.#namespaces.create();
  readonly pod = this.#namespaces.create();

  constructor({
    missingPolicy = 'refuse',
    mode = 'keep',
  }: Partial<Pick<ClearConnectionsOptions, 'missingPolicy' | 'mode'>> = {}) {
    const { outside, pod } = this;
    outside.run('ip', 'link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', pod.path);
    for (const [netns, ips] of [
      [outside, [CLIENT_IP, PROBE_IP]],
      [pod, [WEB_IP]],
    ] as const) {
      for (const ip of ips) netns.run('ip', 'address', 'add', `${ip}/24`, 'dev', 'eth0');
      netns.run('ip', 'link', 'set', 'eth0', 'up');
    }
    pod.run('ip', 'route', 'add', `${PROBE_IP}/32`, 'dev', 'eth0');
    const destination = { write: (line: string) => void this.lines.push(line) };
    const filter = parseLogFilter('info');
    if (!filter) throw new Error('info is no filter');
    this.clear = this.#stack.use(
      new ClearConnections({
        mesh: this.mesh,
        mark: MARK,
        missingPolicy,
        mode,
        registry: this.registry,
        clock: this.clock,
        log: new LogRoot({ filter, format: 'json', destination }).scope('clear'),
      }),
    );
  }

  /** A connection to a program of the pod that listens on a port of its own. */
  async open(port: number, from: TestNetns, ip: string, to: string, mark = 0): Promise<Pair> {
    const listener = listenTcp({ netnsFd: this.pod.fd, ip: '::', port, mark, reusePort: true });
    const server = createServer().listen({ fd: listener.fd });
    this.#stack.defer(() => void server.close());
    const bind = { ip, port: 0, transparent: false };
    const client = new Socket({ fd: tcpSocket({ netnsFd: from.fd, family: familyOf(to), bind }) });
    const arrives = once(server, 'connection') as Promise<[Socket]>;
    client.connect(port, to);
    const [served] = await arrives;
    const codes: (string | undefined)[] = [];
    for (const socket of [client, served]) {
      socket.on('error', (error: NodeJS.ErrnoException) => codes.push(error.code)).resume();
      this.#stack.defer(() => void socket.destroy());
    }
    return { client, served, ended: () => codes };
  }

  tell(text: string): void {
    this.mesh.apply(readLocalMesh(text, 'test', new Interner()));
  }

  gauge(): readonly string[] {
    return formatMetrics(this.registry.collect())
      .split('\n')
      .filter((line) => line.startsWith('ambit_ztunnel_clear'));
  }

  [Symbol.dispose](): void {
    this.#stack.dispose();
  }
}

const RESET = new Set(['ECONNABORTED', 'ECONNRESET']);
const isCut = async ({ ended }: Pair) => await eventually('both ends are reset', () => ended().length === 2);

describe('connections that are older than enrolment', () => {
  let stage: Stage;
  beforeEach(() => {
    stage = new Stage();
  });
  afterEach(() => stage[Symbol.dispose]());

  test('go on while policy allows them, and are cut at both ends when it refuses', async () => {
    const { clear, clock, outside, pod } = stage;
    stage.tell(WORKLOAD);
    const old = await stage.open(APP, outside, CLIENT_IP, WEB_IP);
    const probe = await stage.open(APP + 1, outside, PROBE_IP, WEB_IP);
    const loopback = await stage.open(APP + 2, pod, '127.0.0.1', '127.0.0.1');
    const tunnel = await stage.open(APP + 3, outside, CLIENT_IP, WEB_IP, MARK);
    using _ = clear.watch(POD, pod.fd);
    clear.enrolled(POD.uid);
    expect(clear.reports()).toEqual([]);
    await clock.advance(FIRST_LOOK_MS);
    const report = {
      podUid: POD.uid,
      direction: 'inbound',
      src: `${CLIENT_IP}:${old.client.localPort}`,
      actualDst: `${WEB_IP}:${APP}`,
      protocol: 'CLEAR',
    };
    expect(clear.reports()).toEqual([report]);
    expect(stage.gauge()).toEqual([
      'ambit_ztunnel_clear_connections_cut_total 0',
      'ambit_ztunnel_clear_connections 1',
    ]);

    stage.tell(STRICT);
    await clock.advance(CLEAR_JUDGEMENT_DELAY_MS - 1);
    expect(clear.reports()).toEqual([report]);
    await clock.advance(1);
    await isCut(old);
    expect(new Set(old.ended())).toEqual(RESET);
    expect(clear.reports()).toEqual([]);
    expect(stage.gauge()).toEqual([
      'ambit_ztunnel_clear_connections_cut_total 1',
      'ambit_ztunnel_clear_connections 0',
    ]);
    expect(stage.lines.map((line) => JSON.parse(line))).toEqual([
      expect.objectContaining({
        pod: 'shop/web-0',
        local: report.actualDst,
        remote: report.src,
        reason: 'explicitly denied by: shop/strict',
      }),
    ]);
    await clock.advance(SECOND_LOOK_MS);
    expect([probe, loopback, tunnel].map(({ ended }) => ended())).toEqual([[], [], []]);
    expect(listTcpConnections(pod.fd).connections).toHaveLength(4);
  });

  test('are all cut where the operator says so, but probes, the pod’s own and the proxy’s', async () => {
    using cutting = new Stage({ mode: 'cut' });
    const { clear, clock, outside, pod } = cutting;
    const old = await cutting.open(APP, outside, CLIENT_IP, WEB_IP);
    const others = [
      await cutting.open(APP + 1, outside, PROBE_IP, WEB_IP),
      await cutting.open(APP + 2, pod, '127.0.0.1', '127.0.0.1'),
      await cutting.open(APP + 3, outside, CLIENT_IP, WEB_IP, MARK),
    ];
    using _ = clear.watch(POD, pod.fd);
    clear.enrolled(POD.uid);
    await clock.advance(FIRST_LOOK_MS);
    await isCut(old);
    await clock.advance(SECOND_LOOK_MS);
    expect(others.map(({ ended }) => ended())).toEqual([[], [], []]);
    expect(cutting.lines.map((line) => JSON.parse(line))).toEqual([
      expect.objectContaining({ reason: expect.stringContaining('AMBIT_CLEAR_CONNECTIONS=cut') }),
    ]);
  });

  test('that came in between the looks are found, later ones are not', async () => {
    const { clear, clock, outside, pod } = stage;
    stage.tell(`${WORKLOAD}\n${STRICT}`);
    using _ = clear.watch(POD, pod.fd);
    clear.enrolled(POD.uid);
    await clock.advance(FIRST_LOOK_MS);
    const between = await stage.open(APP, outside, CLIENT_IP, WEB_IP);
    await clock.advance(SECOND_LOOK_MS - FIRST_LOOK_MS);
    await isCut(between);
    const later = await stage.open(APP + 1, outside, CLIENT_IP, WEB_IP);
    stage.tell(STRICT);
    await clock.advance(60_000);
    expect([later.ended(), clear.reports()]).toEqual([[], []]);
    clear.enrolled(POD.uid);
    await clock.advance(FIRST_LOOK_MS);
    await isCut(later);
  });

  test('wait for a workload that is not known, and for a policy that has not arrived', async () => {
    const { clear, clock, outside, pod } = stage;
    const old = await stage.open(APP, outside, CLIENT_IP, WEB_IP);
    using _ = clear.watch(POD, pod.fd);
    clear.enrolled(POD.uid);
    await clock.advance(SECOND_LOOK_MS);
    stage.tell(WORKLOAD.replace('services:', 'authorizationPolicies: [shop/only-bob], services:'));
    await clock.advance(CLEAR_JUDGEMENT_DELAY_MS);
    expect([old.ended(), clear.reports().length]).toEqual([[], 1]);
    const allow = (ip: string) =>
      `policies: [{name: only-bob, namespace: shop, scope: WorkloadSelector, action: Allow, dryRun: false, rules: [[[{sourceIps: [${ip}/32]}]]]}]`;
    stage.tell(allow(CLIENT_IP));
    await clock.advance(CLEAR_JUDGEMENT_DELAY_MS);
    expect([old.ended(), clear.reports().length]).toEqual([[], 1]);
    stage.tell(allow('10.9.0.77'));
    await clock.advance(CLEAR_JUDGEMENT_DELAY_MS);
    await isCut(old);
    expect(stage.lines.join()).toContain('allow policies exist, but none allowed');
  });

  test('that end are forgotten', async () => {
    const { clear, clock, outside, pod } = stage;
    const old = await stage.open(APP, outside, CLIENT_IP, WEB_IP);
    using _ = clear.watch(POD, pod.fd);
    clear.enrolled(POD.uid);
    await clock.advance(FIRST_LOOK_MS);
    expect(clear.reports()).toHaveLength(1);
    old.client.destroy();
    old.served.destroy();
    await eventually('it is forgotten', () => clear.reports().length === 0);
  });

  test('are let be when the pod is let go, whatever comes after', async () => {
    const { clear, clock, outside, pod } = stage;
    stage.tell(WORKLOAD);
    const old = await stage.open(APP, outside, CLIENT_IP, WEB_IP);
    const watched = clear.watch(POD, pod.fd);
    clear.enrolled(POD.uid);
    await clock.advance(FIRST_LOOK_MS);
    expect(clear.reports()).toHaveLength(1);
    stage.tell(STRICT);
    watched[Symbol.dispose]();
    await clock.advance(60_000);
    clear.enrolled(POD.uid);
    await clock.advance(60_000);
    expect([old.ended(), clear.reports(), stage.lines]).toEqual([[], [], []]);
  });

  test('are not judged through a descriptor that another pod has taken over', async () => {
    const { clear, clock, outside, pod } = stage;
    stage.tell(`${WORKLOAD}\n${STRICT}`);
    const old = await stage.open(APP, outside, CLIENT_IP, WEB_IP);
    const replaced = clear.watch(POD, 9_999);
    using _ = clear.watch(POD, pod.fd);
    replaced[Symbol.dispose]();
    clear.enrolled(POD.uid);
    await clock.advance(FIRST_LOOK_MS);
    await isCut(old);
  });

  test('cannot be checked when the kernel does not answer, which is said', async () => {
    const { clear, clock } = stage;
    using _ = clear.watch(POD, 9_999);
    clear.enrolled(POD.uid);
    await clock.advance(FIRST_LOOK_MS);
    expect(stage.lines.map((line) => JSON.parse(line))).toEqual([
      expect.objectContaining({ level: 'warn', pod: 'shop/web-0', error: expect.stringContaining('EBADF') }),
    ]);
  });
});

test('what a data worker carries is not in clear, as the client or as itself', async () => {
  await using network = await WorkerNetwork.create();
  network.mesh(`
workloads:
  - {uid: a, name: alice-0, namespace: shop, serviceAccount: alice, trustDomain: td, workloadIps: [${ALICE_IP}], protocol: HBONE, services: {}}
  - {uid: b, name: bob-0, namespace: shop, serviceAccount: bob, trustDomain: td, workloadIps: [${BOB_IP}], protocol: HBONE, services: {}}`);
  await network.start('alice');
  await network.start('bob');
  for (const place of ['alice', 'bob', 'outside'] as const)
    network.serve(place, 8080, (socket) => void socket.pipe(socket));
  for (const [from, to] of [
    ['alice', BOB_IP],
    ['bob', ALICE_IP],
    ['outside', BOB_IP],
    ['bob', OUTSIDE_IP],
    ['bob', BOB_IP],
  ] as const)
    expect(await (await network.connect(from, to, 8080)).ask('there?', 6)).toContain('there?');
  const clear = (place: Place) =>
    inboundClearConnections(
      listTcpConnections(network.netns(place).fd, [...OPEN_STATES, 'listen']).connections,
      {
        isOfProxy: (socket) => socket.mark === MARK || [15_001, 15_006, 15_008].includes(socket.local.port),
        redirectedTo: new Set([15_001, 15_006]),
      },
    );
  expect([clear('alice'), clear('bob')]).toEqual([[], []]);
  expect(listTcpConnections(network.netns('bob').fd).connections.length).toBeGreaterThan(9);
});

test.each([
  ['cuts what is older than it, as its policy says', {}],
  ['cuts nothing in a pod that wants no redirection of what comes to it', { inboundBypassed: true }],
] as const)(
  'a ztunnel %s',
  async (_, told) => {
    const errors: (string | undefined)[] = [];
    const agent = async (path: string, pod: TestNetns) => {
      const { fd } = listenTcp({ netnsFd: pod.fd, ip: '0.0.0.0', port: APP });
      const server = createServer((socket) => {
        socket.on('error', (error: NodeJS.ErrnoException) => errors.push(error.code)).resume();
      }).listen({ fd });
      const client = new Socket().connect({ host: POD_IP, port: APP, localAddress: NEIGHBOUR_IP });
      client.on('error', (error: NodeJS.ErrnoException) => errors.push(error.code)).resume();
      await once(client, 'connect');
      const snapshot = () => [{ pod: { ...POD, ...told }, netnsFd: pod.fd }];
      const zds = new ZdsServer({ path, snapshot, clock: systemClock, log: silentLogger });
      await zds.start(AbortSignal.timeout(START_TIMEOUT_MS));
      return {
        [Symbol.asyncDispose]: async () => {
          client.destroy();
          server.close();
          await zds[Symbol.asyncDispose]();
        },
      };
    };
    await using proxied = await startProxiedPod({ env: { LOCAL_XDS: MESH }, agent });
    if ('inboundBypassed' in told) {
      await systemClock.sleep(FIRST_LOOK_MS + 500);
      expect(errors).toEqual([]);
      return;
    }
    await proxied.said(/connection in clear cut.*explicitly denied by: shop\/strict/);
    await eventually('both ends are reset', () => errors.length === 2);
    expect(new Set(errors)).toEqual(RESET);
  },
  PROCESS_TEST_TIMEOUT_MS,
);
