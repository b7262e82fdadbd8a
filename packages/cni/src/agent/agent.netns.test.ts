import { execFileSync } from 'node:child_process';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { systemClock, systemRandom } from '@ambit/core/clock';
import { silentLogger } from '@ambit/core/log';
import { AccessSource } from '@ambit/kube/access';
import { KubeClient } from '@ambit/kube/client';
import type { KubeObject } from '@ambit/kube/resource';
import { FakeApiServer } from '@ambit/kube/testing/fake-api-server';
import { closeFd } from '@ambit/linux/descriptors';
import { TestNamespaces, type TestNetns } from '@ambit/linux/testing/namespaces';
import type { ZdsPod } from '@ambit/zds/messages';
import { ZdsClient } from '@ambit/zds/proxy-side';
import { decodeNodeFile } from '../node-file.ts';
import { askAgent } from '../plugin/agent-client.ts';
import { runPlugin } from '../plugin/plugin.ts';
import { ZTUNNEL_MARK } from '../rules/constants.ts';
import { renderHostNftRemoval } from '../rules/render-host.ts';
import { Peers } from '../testing/peers.ts';
import { type Agent, startAgent } from './app.ts';
import { agentConfigFrom } from './config.ts';

const PODS = '/api/v1/pods';
const NAMESPACES = '/api/v1/namespaces';
const AMBIENT = { 'istio.io/dataplane-mode': 'ambient' };
const OUTSIDE = '10.9.0.1';
const POD = '10.9.0.2';
const APP = 8080;

let folder: string;
let namespaces: TestNamespaces;
let peers: Peers;
let outside: TestNetns;
let pod: TestNetns;
let api: FakeApiServer;
let client: KubeClient;
let scope: AsyncDisposableStack;
let agent: Agent | undefined;
/** Of Kubernetes, in namespace shop. */
let events: unknown[];

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'ambit-agent-'));
  scope = new AsyncDisposableStack();
  namespaces = new TestNamespaces();
  peers = new Peers();
  outside = namespaces.create();
  pod = namespaces.create();
  outside.run('ip', 'link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', pod.path);
  for (const [netns, ip] of [
    [outside, OUTSIDE],
    [pod, POD],
  ] as const) {
    netns.run('ip', 'addr', 'add', `${ip}/24`, 'dev', 'eth0');
    netns.run('ip', 'link', 'set', 'eth0', 'up');
  }
  peers.listen('outside', outside.fd, APP);
  peers.listen('app', pod.fd, APP);
  mkdirSync(join(folder, 'var/run'), { recursive: true });
  mkdirSync(join(folder, 'proc'));
  symlinkSync(dirname(pod.path), join(folder, 'var/run/netns'));

  api = new FakeApiServer();
  const server = new URL(await api.start());
  const access = { server, tls: {}, headers: {}, namespace: 'default' };
  client = new KubeClient(new AccessSource(() => Promise.resolve(access), systemClock));
  events = [];
  api.intercept = (method, path, body) =>
    takeEvent(method, path, body) ?? mergeStatusPatch(method, path, body);
  putNamespace('shop');
  putNamespace('istio-system');
});

afterEach(async () => {
  await agent?.[Symbol.asyncDispose]();
  agent = undefined;
  await scope.disposeAsync();
  client[Symbol.dispose]();
  await api[Symbol.asyncDispose]();
  await peers[Symbol.asyncDispose]();
  namespaces[Symbol.dispose]();
  rmSync(folder, { recursive: true, force: true });
  execFileSync('nft', ['-f', '-'], { input: renderHostNftRemoval() });
});

function takeEvent(method: string, path: string, body: unknown) {
  if (method !== 'POST' || path !== '/api/v1/namespaces/shop/events') return undefined;
  events.push(body);
  return { status: 201, body };
}

/** What the API server does with a merge patch of annotations on `pods/status`. */
function mergeStatusPatch(method: string, path: string, body: unknown) {
  const [, namespace = '', name = ''] = /namespaces\/([^/]+)\/pods\/([^/]+)\/status$/.exec(path) ?? [];
  if (method !== 'PATCH' || name === '') return undefined;
  const known = api.find(PODS, namespace, name);
  if (!known) return { status: 404, body: { reason: 'NotFound' } };
  const patch = (body as KubeObject).metadata.annotations ?? {};
  const annotations = Object.fromEntries(
    Object.entries({ ...known.metadata.annotations, ...patch }).filter(([, value]) => value !== null),
  );
  return { status: 200, body: api.put(PODS, { ...known, metadata: { ...known.metadata, annotations } }) };
}

function putNamespace(name: string, labels: Record<string, string> = {}): void {
  api.put(NAMESPACES, { metadata: { name, labels } });
}

function putPod(ip: string | undefined = POD, labels: Record<string, string> = {}): void {
  const status = { phase: 'Running', podIPs: ip === '' ? [] : [{ ip }] };
  const metadata = { name: 'web', namespace: 'shop', uid: 'u-1', labels };
  api.put(PODS, { metadata, spec: { nodeName: 'n1', serviceAccountName: 'web' }, status } as KubeObject);
}

function mark(redirection: string | undefined): void {
  const known = api.find(PODS, 'shop', 'web');
  const annotations = redirection === undefined ? {} : { 'ambient.istio.io/redirection': redirection };
  if (known) api.put(PODS, { ...known, metadata: { ...known.metadata, annotations } });
}

const annotation = () =>
  api.find(PODS, 'shop', 'web')?.metadata.annotations?.['ambient.istio.io/redirection'];

async function start(env: Record<string, string> = {}): Promise<Agent> {
  const config = agentConfigFrom({
    NODE_NAME: 'n1',
    POD_NAMESPACE: 'istio-system',
    AMBIT_HOST_ROOT: folder,
    CNI_AGENT_RUN_DIR: join(folder, 'run'),
    ZTUNNEL_UDS_ADDRESS: join(folder, 'ztunnel.sock'),
    AMBIT_CNI_PLUGIN_SOURCE: '',
    AMBIT_HEALTH_PORT: '0',
    MONITORING_PORT: '0',
    ...env,
  });
  const deps = { client, clock: systemClock, random: systemRandom, log: silentLogger };
  agent = await startAgent(config, deps, AbortSignal.timeout(120_000));
  return agent;
}

interface FakeZtunnel {
  readonly served: Map<string, ZdsPod>;
  refuses: string | undefined;
  /** Serves pods, and lets none in. */
  bars: string | undefined;
}

/** Opens the proxy's ports in each pod's namespace, as ztunnel does, and forwards nothing. */
async function ztunnel(): Promise<FakeZtunnel> {
  const fake: FakeZtunnel = { served: new Map(), refuses: undefined, bars: undefined };
  const proxies = new Map<string, Peers>();
  const zds = new ZdsClient({
    path: join(folder, 'ztunnel.sock'),
    clock: systemClock,
    random: systemRandom,
    log: silentLogger,
    handler: {
      add: (one, netnsFd) => {
        try {
          if (fake.refuses !== undefined) throw new Error(fake.refuses);
          const proxy = new Peers();
          proxies.set(one.uid, proxy);
          for (const [name, port] of [
            ['outbound', 15_001],
            ['inbound', 15_006],
            ['hbone', 15_008],
          ] as const)
            proxy.listen(name, netnsFd, port, { mark: ZTUNNEL_MARK });
          fake.served.set(one.uid, one);
          return proxy.listenUdp('dns', netnsFd, '127.0.0.1', 15_053, ZTUNNEL_MARK, 30);
        } catch (error) {
          return Promise.reject(error as Error);
        } finally {
          closeFd(netnsFd);
        }
      },
      redirected: () => undefined,
      admit: () => (fake.bars === undefined ? Promise.resolve() : Promise.reject(new Error(fake.bars))),
      remove: async (uid) => {
        fake.served.delete(uid);
        await proxies.get(uid)?.[Symbol.asyncDispose]();
      },
    },
  });
  scope.defer(async () => {
    await zds.drain();
    for (const proxy of proxies.values()) await proxy[Symbol.asyncDispose]();
  });
  await zds.start(AbortSignal.timeout(120_000));
  return fake;
}

async function eventually(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  for (let left = 2_500; !(await holds()); left -= 1) {
    if (left === 0) throw new Error(`never: ${what}`);
    await systemClock.sleep(10);
  }
}

/** The plugin, as a runtime would call it for the pod. */
async function add(): Promise<{ exitCode: number; said: string }> {
  const env = {
    CNI_COMMAND: 'ADD',
    CNI_CONTAINERID: 'c1',
    CNI_NETNS: join('/var/run/netns', pod.path.slice(dirname(pod.path).length + 1)),
    CNI_IFNAME: 'eth0',
    CNI_PATH: '/opt/cni/bin',
    CNI_ARGS: 'K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web;K8S_POD_UID=u-1',
  };
  const config = {
    cniVersion: '1.0.0',
    name: 'net',
    type: 'istio-cni',
    cni_agent_run_dir: join(folder, 'run'),
    ambit_agent_wait_ms: 0,
    prevResult: { cniVersion: '1.0.0', ips: [{ address: `${POD}/24` }] },
  };
  const { exitCode, stdout } = await runPlugin({
    env,
    readStdin: () => Promise.resolve(JSON.stringify(config)),
    askAgent,
    readFile: () => undefined,
    clock: systemClock,
    log: () => undefined,
  });
  return { exitCode, said: stdout };
}

const metrics = async () => await (await fetch(`http://[::1]:${agent?.metricsPort}/metrics`)).text();
/** The API server has a mark before the agent has heard so, and counts. */
const counts = (line: string) => eventually(line, async () => (await metrics()).includes(line));
const onNode = (...command: readonly [string, ...string[]]) =>
  execFileSync(command[0], command.slice(1), { encoding: 'utf8' });

const isClear = async () =>
  (await peers.whoAnswers(pod.fd, OUTSIDE, APP)) === 'outside' &&
  (await peers.whoAnswers(outside.fd, POD, APP)) === 'app';
const isCaptured = async () =>
  (await peers.whoAnswers(pod.fd, OUTSIDE, APP)) === 'outbound' &&
  (await peers.whoAnswers(outside.fd, POD, APP)) === 'inbound';

test('a namespace is labelled and unlabelled: its running pods come and go, and no connection is reset', async () => {
  putPod();
  const proxy = await ztunnel();
  await start();
  const old = [await peers.connect(pod.fd, OUTSIDE, APP), await peers.connect(outside.fd, POD, APP)];
  const echoes = (line: string) => Promise.all(old.map((one) => one.echoes(line)));
  await eventually('ztunnel is connected', async () => (await metrics()).includes('ztunnel_connected 1'));
  expect([annotation(), await isClear()]).toEqual([undefined, true]);

  putNamespace('shop', AMBIENT);
  await eventually('the pod is marked', () => annotation() === 'enabled');
  const names = { workloadName: 'web', canonicalName: 'web', canonicalRevision: 'latest' };
  expect([...proxy.served.values()]).toEqual([
    { uid: 'u-1', name: 'web', namespace: 'shop', serviceAccount: 'web', names, waitsOutside: true },
  ]);
  await counts('ambit_cni_enrolments_total{way="label"} 1');
  expect(events).toEqual([]);
  expect(await isCaptured()).toBe(true);
  await echoes('in the mesh');
  await counts('ambit_cni_clear_connections 2');

  const captured = await peers.connect(pod.fd, OUTSIDE, APP);
  putNamespace('shop');
  await eventually('the mark is gone', () => annotation() === undefined);
  expect(await isClear()).toBe(true);
  await systemClock.sleep(2_500);
  await captured.echoes('served to its end');
  expect([proxy.served.size, await isClear()]).toEqual([1, true]);
  captured.socket.destroy();
  await eventually('ztunnel let go', () => proxy.served.size === 0);
  await eventually(
    'nothing is left',
    () => !/istio|0x111/.test(pod.run('nft', 'list', 'ruleset') + pod.run('ip', 'rule')),
  );
  await echoes('out of the mesh');
});

test('a DNS client that asks from one port all the time has every answer as its pod comes and leaves', async () => {
  await peers.listenUdp('outside', outside.fd, OUTSIDE, 53);
  putPod();
  const proxy = await ztunnel();
  await start();
  const before = await peers.keepAskingUdp(pod.fd, { ip: POD, port: 42_001 }, OUTSIDE, 53);
  await systemClock.sleep(100);
  putNamespace('shop', AMBIENT);
  await eventually('the pod is marked', () => annotation() === 'enabled');
  const within = await peers.keepAskingUdp(pod.fd, { ip: POD, port: 42_002 }, OUTSIDE, 53);
  await systemClock.sleep(200);
  putNamespace('shop');
  await eventually('ztunnel let go', () => proxy.served.size === 0);
  await eventually('nothing is left', () => !pod.run('nft', 'list', 'tables').includes('istio'));
  await systemClock.sleep(100);
  const answered = (by: readonly string[]) => ({
    answers: Object.fromEntries(by.map((name) => [name, expect.any(Number) as unknown])),
    errors: [],
    unanswered: 0,
  });
  expect(await within()).toEqual(answered(['dns', 'outside']));
  // Conntrack was new to the pod, and took the first question after the rules for a new one.
  expect(await before()).toEqual(answered(['dns', 'outside']));
});

test('a pod that is wanted again while it leaves turns round', async () => {
  putNamespace('shop', AMBIENT);
  putPod();
  const proxy = await ztunnel();
  await start();
  await eventually('the pod is marked', () => annotation() === 'enabled');
  const captured = await peers.connect(pod.fd, OUTSIDE, APP);
  putNamespace('shop');
  await eventually('the mark is gone', () => annotation() === undefined);
  putNamespace('shop', AMBIENT);
  await eventually('the pod is marked again', () => annotation() === 'enabled');
  await systemClock.sleep(2_500);
  await captured.echoes('still there');
  expect([proxy.served.size, await isCaptured(), annotation()]).toEqual([1, true, 'enabled']);
});

test('a pod that starts is enrolled before its programs run', async () => {
  putNamespace('shop', AMBIENT);
  putPod('');
  await start();
  const refused = await add();
  expect(refused).toMatchObject({ exitCode: 1, said: expect.stringContaining('no ztunnel is connected') });
  expect(await isClear()).toBe(true);
  const proxy = await ztunnel();
  await eventually('the plugin is let through', async () => (await add()).exitCode === 0);
  expect([proxy.served.size, annotation(), await isCaptured()]).toEqual([1, 'enabled', true]);
  await counts('ambit_cni_enrolments_total{way="plugin"} 1');
  expect(events).toEqual([]);
});

const UNCERTIFIED = 'no certificate for spiffe://td/ns/shop/sa/web: nobody there';

test('a pod that starts waits until the proxy lets it in', async () => {
  putNamespace('shop', AMBIENT);
  putPod('');
  const proxy = await ztunnel();
  proxy.bars = UNCERTIFIED;
  await start();
  await eventually('the proxy is asked', async () => (await add()).said.includes(UNCERTIFIED));
  expect(await isClear()).toBe(true);
  // Whatever else happens to the pod, it is served until the plugin asks again: longer than a way out of the mesh takes.
  putPod('', { changed: 'meanwhile' });
  await systemClock.sleep(2_800);
  expect([proxy.served.size, annotation(), await metrics()]).toEqual([
    1,
    undefined,
    expect.stringContaining('ambit_cni_refused_pods 1'),
  ]);
  proxy.bars = undefined;
  expect(await add()).toMatchObject({ exitCode: 0 });
  expect([annotation(), await isCaptured(), await metrics()]).toEqual([
    'enabled',
    true,
    expect.stringContaining('ambit_cni_refused_pods 0'),
  ]);
});

test('a sandbox that is made anew waits, though its pod was in the mesh before', async () => {
  putNamespace('shop', AMBIENT);
  putPod('');
  mark('enabled');
  const proxy = await ztunnel();
  proxy.bars = UNCERTIFIED;
  await start();
  await eventually('the proxy is asked', async () => (await add()).said.includes(UNCERTIFIED));
  expect(await isClear()).toBe(true);
});

test('a pod that started while nobody asked about it is enrolled late, and that is said', async () => {
  putNamespace('shop', AMBIENT);
  putPod();
  await ztunnel();
  await start();
  await eventually('the pod is marked', () => annotation() === 'enabled');
  expect(await isCaptured()).toBe(true);
  await eventually('it is said', () => events.length > 0);
  expect(events).toEqual([
    expect.objectContaining({
      type: 'Warning',
      reason: 'EnrolledLate',
      involvedObject: expect.objectContaining({ kind: 'Pod', name: 'web', namespace: 'shop', uid: 'u-1' }),
      source: { component: 'istio-cni-node', host: 'n1' },
    }),
  ]);
  await counts('ambit_cni_enrolments_total{way="late"} 1');
});

test('nobody but root may hand a namespace to the mesh', async () => {
  await start();
  const mode = (path: string) => (statSync(join(folder, path)).mode & 0o777).toString(8);
  expect([mode('run'), mode('run/pluginevent.sock')]).toEqual(['750', '600']);
});

test('a pod outside the mesh starts without ztunnel, and is found when it is enrolled later', async () => {
  putPod('');
  await start();
  expect(await add()).toMatchObject({ exitCode: 0 });
  expect(await isClear()).toBe(true);
  const reported = JSON.parse(readFileSync(join(folder, 'run/ambit-pods.json'), 'utf8')) as unknown;
  expect(reported).toMatchObject({ 'u-1': { containerId: 'c1' } });
  await ztunnel();
  rmSync(join(folder, 'var/run/netns'));
  symlinkSync(dirname(pod.path), join(folder, 'var/run/elsewhere'));
  putPod(POD, AMBIENT);
  await systemClock.sleep(200);
  expect(annotation()).toBeUndefined();
  symlinkSync(dirname(pod.path), join(folder, 'var/run/netns'));
  await eventually('it is enrolled', () => annotation() === 'enabled');
});

test('as long as the API server has not told of namespaces, no pod passes as outside the mesh', async () => {
  putNamespace('shop', AMBIENT);
  putPod('');
  const gate = Promise.withResolvers<void>();
  api.beforeList = () => gate.promise;
  const starting = start();
  await eventually('the plugin is answered', async () => {
    const socketPath = join(folder, 'run/pluginevent.sock');
    return (
      (await askAgent({ socketPath, path: '/status', body: '{}', timeoutMs: 1_000 }).catch(() => undefined))
        ?.status === 503
    );
  });
  const waiting = add();
  await systemClock.sleep(300);
  gate.resolve();
  await starting;
  expect(await waiting).toMatchObject({ exitCode: 1, said: expect.stringContaining('no ztunnel') });
});

test('a restarted agent takes up what is enrolled, and running connections do not notice', async () => {
  putNamespace('shop', AMBIENT);
  putPod();
  const proxy = await ztunnel();
  const first = await start();
  await eventually('the pod is marked', () => annotation() === 'enabled');
  const captured = await peers.connect(pod.fd, OUTSIDE, APP);
  expect(captured.name).toBe('outbound');
  await first[Symbol.asyncDispose]();
  expect([await isCaptured(), annotation()]).toEqual([true, 'enabled']);
  await captured.echoes('without an agent');

  pod.nft('delete table inet istio-ambient-raw');
  await start();
  await eventually('rules are put right', () =>
    pod.run('nft', 'list', 'tables').includes('istio-ambient-raw'),
  );
  await captured.echoes('with the next one');
  expect([await isCaptured(), proxy.served.size]).toEqual([true, 1]);
});

/** The mark is gone, and redirects with it; the rest would take two seconds at least. */
async function beginRelease(config: Record<string, string> = {}): Promise<Agent> {
  putNamespace('shop', AMBIENT);
  putPod();
  const releasing = await start(config);
  await eventually('the pod is marked', () => annotation() === 'enabled');
  putNamespace('shop');
  await eventually('the mark is gone', () => annotation() === undefined);
  await systemClock.sleep(100);
  expect(rulesIn(pod)).toMatch(/istio/i);
  return releasing;
}

const rulesIn = (netns: TestNetns) =>
  ['nft list ruleset', 'iptables-legacy-save', 'ip rule']
    .map((command) => netns.run(...(command.split(' ') as [string, ...string[]])))
    .join('');
const OF_THE_MESH = /istio-|ISTIO_|0x111/;

test.each(['nft', 'iptables-nft', 'iptables-legacy'])(
  'a release that its agent has not ended is ended by the next, with %s',
  async (program) => {
    const config = program === 'nft' ? {} : { FORCE_IPTABLES_BINARY: program };
    const proxy = await ztunnel();
    const first = await beginRelease(config);
    const captured = proxy.served.size;
    await first[Symbol.asyncDispose]();
    await start(config);
    expect([captured, await isClear(), annotation()]).toEqual([1, true, undefined]);
    await eventually('ztunnel let go', () => proxy.served.size === 0);
    await eventually('nothing is left', () => !OF_THE_MESH.test(rulesIn(pod)));
    expect(await isClear()).toBe(true);
  },
);

test('an agent that nobody comes after ends the releases that it has begun', async () => {
  const proxy = await ztunnel();
  const ending = await beginRelease();
  await ending.leave(AbortSignal.timeout(120_000));
  expect(rulesIn(pod)).not.toMatch(OF_THE_MESH);
  expect([proxy.served.size, await isClear()]).toEqual([0, true]);
});

test('an agent that another comes after leaves it the releases that it has begun', async () => {
  api.put('/apis/apps/v1/daemonsets', { metadata: { namespace: 'istio-system', name: 'istio-cni-node' } });
  await ztunnel();
  const ending = await beginRelease();
  await ending.leave(AbortSignal.timeout(120_000));
  expect(rulesIn(pod)).toMatch(OF_THE_MESH);
});

test('a proxy that cannot serve a pod leaves it as it was, until it can', async () => {
  putPod();
  const proxy = await ztunnel();
  proxy.refuses = 'port 15001 is taken';
  await start();
  putNamespace('shop', AMBIENT);
  await systemClock.sleep(500);
  expect([annotation(), await isClear(), pod.run('nft', 'list', 'tables')]).toEqual([undefined, true, '']);
  await eventually('it is said why', () => events.length > 0);
  await systemClock.sleep(1_500);
  expect(events).toEqual([
    expect.objectContaining({
      type: 'Warning',
      reason: 'EnrolmentFailed',
      message: expect.stringContaining('port 15001 is taken'),
    }),
  ]);
  proxy.refuses = undefined;
  await eventually('the pod is marked', () => annotation() === 'enabled');
});

test('a pod that the proxy does not let in yet goes on in clear, and is told why, until it does', async () => {
  putPod();
  const proxy = await ztunnel();
  proxy.bars = UNCERTIFIED;
  await start();
  putNamespace('shop', AMBIENT);
  await eventually('it is said why', () => events.length > 0);
  expect([proxy.served.size, annotation(), await isClear(), pod.run('nft', 'list', 'tables')]).toEqual([
    1,
    undefined,
    true,
    '',
  ]);
  expect(events).toEqual([
    expect.objectContaining({
      reason: 'EnrolmentFailed',
      message: expect.stringContaining(UNCERTIFIED),
    }),
  ]);
  // The kubelet's probes of it are left alone, as those of any pod outside.
  expect(onNode('nft', 'list', 'ruleset')).not.toContain(`${POD} comment`);
  proxy.bars = undefined;
  await eventually('the pod is marked', () => annotation() === 'enabled');
  expect(onNode('nft', 'list', 'ruleset')).toContain(`${POD} comment "u-1"`);
});

test('a pod that is in the mesh stays in it with a new agent, whether the proxy would let it in or not', async () => {
  putNamespace('shop', AMBIENT);
  putPod();
  const proxy = await ztunnel();
  const first = await start();
  await eventually('the pod is marked', () => annotation() === 'enabled');
  await first[Symbol.asyncDispose]();
  pod.nft('delete table inet istio-ambient-raw');
  proxy.bars = UNCERTIFIED;
  await start();
  await eventually('rules are put right', () =>
    pod.run('nft', 'list', 'tables').includes('istio-ambient-raw'),
  );
  const failures = events.filter((event) => JSON.stringify(event).includes('EnrolmentFailed'));
  expect([await isCaptured(), proxy.served.size, failures]).toEqual([true, 1, []]);
});

test('a pod that is deleted is forgotten, on the node too', async () => {
  putNamespace('shop', AMBIENT);
  putPod();
  const proxy = await ztunnel();
  await start();
  await eventually('the pod is marked', () => annotation() === 'enabled');
  const host = () => onNode('nft', 'list', 'ruleset');
  expect(host()).toContain(`${POD} comment "u-1"`);
  api.remove(PODS, 'shop', 'web');
  await eventually('ztunnel let go', () => proxy.served.size === 0);
  await eventually('no probe address is left', () => !host().includes(POD));
});

test('the node file tells the plugin of later', async () => {
  putNamespace('bank', AMBIENT);
  putPod(POD, AMBIENT);
  await start();
  const file = decodeNodeFile(readFileSync(join(folder, 'run/ambit-node.json'), 'utf8'));
  expect(Object.fromEntries(file?.namespaces ?? [])).toEqual({
    bank: 'enrolled',
    shop: 'mixed',
    'istio-system': 'outside',
  });
});

test.each(['kept', 'removed'])(
  'an agent that ends: plugin and host rules are %s, enrolled pods stay so',
  async (fate) => {
    if (fate === 'kept')
      api.put('/apis/apps/v1/daemonsets', {
        metadata: { namespace: 'istio-system', name: 'istio-cni-node' },
      });
    const list = { cniVersion: '1.0.0', name: 'net', plugins: [{ type: 'ptp' }] };
    const [source, bin, net] = ['source', 'bin', 'net.d'].map((name) => join(folder, name)) as [
      string,
      string,
      string,
    ];
    for (const directory of [source, net]) mkdirSync(directory);
    writeFileSync(join(source, 'istio-cni'), 'plugin');
    writeFileSync(join(net, '10-net.conflist'), JSON.stringify(list));
    putNamespace('shop', AMBIENT);
    putPod();
    await ztunnel();
    const config = { AMBIT_CNI_PLUGIN_SOURCE: source, AMBIT_CNI_BIN_DIR: bin, MOUNTED_CNI_NET_DIR: net };
    const ending = await start(config);
    await eventually('the pod is marked', () => annotation() === 'enabled');
    const types = () =>
      (JSON.parse(readFileSync(join(net, '10-net.conflist'), 'utf8')) as typeof list).plugins.map(
        ({ type }) => type,
      );
    expect([ending.pending(), types(), readdirSync(bin)]).toEqual([[], ['ptp', 'istio-cni'], ['istio-cni']]);

    await ending.leave(AbortSignal.timeout(120_000));
    await ending[Symbol.asyncDispose]();
    const kept = fate === 'kept';
    expect([types(), readdirSync(bin)]).toEqual(kept ? [['ptp', 'istio-cni'], ['istio-cni']] : [['ptp'], []]);
    expect(onNode('nft', 'list', 'ruleset').includes('istio-ambient-nat')).toBe(kept);
    expect([annotation(), await isCaptured()]).toEqual(['enabled', true]);
  },
);

test('what is missing is named', async () => {
  await expect(start({ NODE_NAME: '' })).rejects.toThrow(/NODE_NAME/);
});
