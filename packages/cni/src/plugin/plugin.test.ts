import { describe, expect, test } from '@jest/globals';
import { type Clock, systemClock } from '@ambit/core/clock';
import { encodeNodeFile, type NamespaceState } from '../node-file.ts';
import { decodeEvent } from '../plugin-event.ts';
import { type AgentRequest, AgentSilentError } from './agent-client.ts';
import { runPlugin } from './plugin.ts';

const NOW_MS = 1_800_000_000_000;
const PREV_RESULT = {
  cniVersion: '1.0.0',
  interfaces: [{ name: 'eth0', sandbox: '/var/run/netns/x', mtu: 1450 }],
  ips: [{ address: '10.1.2.3/24', gateway: '10.1.2.1', interface: 0 }, { address: 'fd00::3/64' }],
  dns: {},
  'vendor.example/extra': [1.5, null],
};
const CONFIG = {
  cniVersion: '1.0.0',
  name: 'k8s-pod-network',
  type: 'istio-cni',
  cni_agent_run_dir: '/run/x',
  exclude_namespaces: ['kube-system'],
  pod_namespace: 'istio-system',
  prevResult: PREV_RESULT,
};
const ENV = {
  CNI_COMMAND: 'ADD',
  CNI_CONTAINERID: 'c1',
  CNI_NETNS: '/var/run/netns/cni-1',
  CNI_IFNAME: 'eth0',
  CNI_PATH: '/opt/cni/bin',
  CNI_ARGS: 'IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web-1;K8S_POD_UID=u-1',
};

interface Case {
  readonly env?: Record<string, string | undefined>;
  readonly config?: Record<string, unknown>;
  readonly stdin?: string;
  /** What the agent does; default: it is not there. */
  readonly agent?: (asked: AgentRequest) => { status: number; body: string };
  readonly namespaces?: Record<string, NamespaceState>;
  readonly nodeFile?: string;
}

async function run({ env = {}, config = {}, stdin, agent, namespaces, nodeFile }: Case) {
  const asked: AgentRequest[] = [];
  const logged: string[] = [];
  const file =
    nodeFile ??
    (namespaces &&
      encodeNodeFile({ writtenAtMs: NOW_MS - 7_200_000, namespaces: new Map(Object.entries(namespaces)) }));
  const { stdout, exitCode } = await runPlugin({
    env: { ...ENV, ...env },
    readStdin: () => Promise.resolve(stdin ?? JSON.stringify({ ...CONFIG, ...config })),
    askAgent: (request) => {
      asked.push(request);
      if (!agent) return Promise.reject(new AgentSilentError('nobody listens there'));
      return Promise.resolve(agent(request));
    },
    readFile: (path) => (path === '/run/x/ambit-node.json' ? file : undefined),
    clock: { ...systemClock, now: () => NOW_MS, ...hurriedClock() },
    log: (message) => logged.push(message),
  });
  return {
    exitCode,
    asked,
    logged,
    answer: stdout === '' ? undefined : (JSON.parse(stdout) as Record<string, unknown>),
  };
}

/** Time passes only by sleeping. */
function hurriedClock(): Pick<Clock, 'monotonicMs' | 'sleep'> {
  let nowMs = 0;
  return {
    monotonicMs: () => nowMs,
    sleep: (ms) => {
      nowMs += ms;
      return Promise.resolve();
    },
  };
}

const ok = () => ({ status: 200, body: '' });

describe('ADD', () => {
  test('tells the agent everything and passes the previous result on unchanged', async () => {
    const { answer, exitCode, asked } = await run({ agent: ok });
    expect([exitCode, answer]).toEqual([0, PREV_RESULT]);
    expect(asked).toHaveLength(1);
    expect(asked[0]).toMatchObject({
      socketPath: '/run/x/pluginevent.sock',
      path: '/cmdadd',
      timeoutMs: 5_000,
    });
    const body: unknown = JSON.parse(asked[0]?.body ?? '');
    expect(body).toEqual({
      Netns: '/var/run/netns/cni-1',
      PodName: 'web-1',
      PodNamespace: 'shop',
      IPs: [
        { Interface: 0, Address: { IP: '10.1.2.3', Mask: '////AA==' }, Gateway: '10.1.2.1' },
        { Interface: null, Address: { IP: 'fd00::3', Mask: '//////////8AAAAAAAAAAA==' }, Gateway: '' },
      ],
      PodUID: 'u-1',
      ContainerID: 'c1',
      Source: 'ambit',
    });
    expect(decodeEvent(body)).toMatchObject({ ips: ['10.1.2.3', 'fd00::3'], undecided: true, podUid: 'u-1' });
  });

  test.each(['0.3.1', '0.4.0', '1.0.0', '1.1.0'])(
    'without a previous result, version %s',
    async (cniVersion) => {
      const { answer, asked } = await run({ agent: ok, config: { cniVersion, prevResult: undefined } });
      expect(answer).toEqual({ cniVersion });
      expect(asked[0]?.body).toContain('"IPs":null');
    },
  );

  const passes: Record<string, Case> = {
    'the agent’s own pod': {
      env: { CNI_ARGS: 'K8S_POD_NAMESPACE=istio-system;K8S_POD_NAME=istio-cni-node-abcde' },
    },
    'an excluded namespace': { env: { CNI_ARGS: 'K8S_POD_NAMESPACE=kube-system;K8S_POD_NAME=dns' } },
    'no pod of Kubernetes': { env: { CNI_ARGS: '' } },
    'ambient switched off': { config: { ambient_enabled: false } },
    'a namespace known to be outside': { namespaces: { shop: 'outside' } },
  };
  test.each(Object.entries(passes))('%s passes without the agent', async (_, given) => {
    const { exitCode, answer } = await run(given);
    expect([exitCode, answer]).toEqual([0, PREV_RESULT]);
  });

  const refused: Record<string, Case & { readonly says: RegExp }> = {
    'an enrolled namespace': {
      namespaces: { shop: 'enrolled' },
      says: /^the node agent does not answer at \/run\/x\/pluginevent\.sock \(nobody listens there\), and namespace "shop" is enrolled in the mesh by \/run\/x\/ambit-node\.json, written 2 h ago: .*istio-cni-node/,
    },
    'a namespace with enrolled pods': { namespaces: { shop: 'mixed' }, says: /by their own label.*2 h ago/ },
    'an unknown namespace': { namespaces: { other: 'outside' }, says: /"shop" is not in .*written 2 h ago/ },
    'no file at all': { says: /there is no readable \/run\/x\/ambit-node\.json/ },
    'a file that is cut off': { nodeFile: '{"version":1,"writtenAtMs":1,"names', says: /no readable/ },
    'a file of another version': {
      nodeFile: '{"version":2,"writtenAtMs":1,"namespaces":{"shop":"outside"}}',
      says: /no readable/,
    },
    'a state that is not one': {
      nodeFile: '{"version":1,"writtenAtMs":1,"namespaces":{"shop":"open"}}',
      says: /no readable/,
    },
    'another pod of the agent’s name': {
      env: { CNI_ARGS: 'K8S_POD_NAMESPACE=shop;K8S_POD_NAME=istio-cni-node-x' },
      says: /no readable/,
    },
  };
  test.each(Object.entries(refused))('%s is refused without the agent', async (_, { says, ...given }) => {
    const { exitCode, answer } = await run(given);
    expect(answer).toMatchObject({ cniVersion: '1.0.0', code: 11, msg: expect.stringMatching(says) });
    expect(exitCode).toBe(1);
  });

  test('a pod of the mesh waits for an agent that is not there yet, one outside does not', async () => {
    const once = async (answerAfter: number, config = {}) => {
      let calls = 0;
      const { exitCode, asked } = await run({
        config,
        namespaces: { shop: 'enrolled' },
        agent: () => {
          calls += 1;
          if (calls <= answerAfter) throw new AgentSilentError('no such socket');
          return { status: calls === answerAfter + 1 ? 500 : 200, body: 'no ztunnel is connected' };
        },
      });
      return [exitCode, asked.length];
    };
    expect(await once(10)).toEqual([0, 12]);
    // After 0.1, 0.3, 0.7, 1.5 s, and then each 0.8 s.
    expect(await once(1_000)).toEqual([1, 15]);
    expect(await once(1_000, { ambit_agent_wait_ms: 1_000 })).toEqual([1, 4]);
    expect(await once(1_000, { ambit_agent_wait_ms: 'x' })).toEqual([1, 15]);
    expect((await run({ namespaces: { shop: 'outside' } })).asked).toHaveLength(1);
  });

  test('an agent that refuses is believed, whatever the file says', async () => {
    const agent = () => ({ status: 500, body: 'no ztunnel is connected' });
    const { answer, exitCode } = await run({ agent, namespaces: { shop: 'outside' } });
    expect(exitCode).toBe(1);
    expect(answer).toMatchObject({
      code: 11,
      msg: expect.stringMatching(/pod shop\/web-1 start: no ztunnel is connected/),
    });
    expect((await run({ agent: () => ({ status: 400, body: '' }) })).answer).toMatchObject({ code: 100 });
  });
});

describe('other commands', () => {
  test('VERSION', async () => {
    const { answer } = await run({ env: { CNI_COMMAND: 'VERSION', CNI_CONTAINERID: undefined } });
    expect(answer).toEqual({ cniVersion: '1.1.0', supportedVersions: ['0.3.1', '0.4.0', '1.0.0', '1.1.0'] });
  });

  test('CHECK asks the agent and answers with nothing', async () => {
    const { exitCode, answer, asked } = await run({ env: { CNI_COMMAND: 'CHECK' }, agent: ok });
    expect([exitCode, answer, asked[0]?.path]).toEqual([0, undefined, '/cmdcheck']);
    const failed = await run({
      env: { CNI_COMMAND: 'CHECK' },
      agent: () => ({ status: 500, body: 'not enrolled' }),
    });
    expect(failed.exitCode).toBe(1);
  });

  test('DEL and GC succeed without the agent', async () => {
    const gone = await run({ env: { CNI_COMMAND: 'DEL', CNI_NETNS: undefined } });
    expect([gone.exitCode, gone.answer]).toEqual([0, undefined]);
    expect(gone.logged[0]).toMatch(/was not told/);
    const config = {
      cniVersion: '1.1.0',
      'cni.dev/valid-attachments': [{ containerID: 'c9', ifname: 'eth0' }],
    };
    const collected = await run({ env: { CNI_COMMAND: 'GC' }, config, agent: ok });
    expect(collected.asked[0]).toMatchObject({ path: '/cmdgc', body: '{"ContainerIDs":["c9"]}' });
    expect(collected.exitCode).toBe(0);
  });

  test('STATUS fails only when no pod at all could start', async () => {
    const status = (given: Case) =>
      run({
        ...given,
        env: { CNI_COMMAND: 'STATUS' },
        config: { cniVersion: '1.1.0', prevResult: undefined },
      });
    expect((await status({ agent: ok })).exitCode).toBe(0);
    expect((await status({ namespaces: {} })).exitCode).toBe(0);
    expect((await status({})).answer).toMatchObject({ code: 50 });
    expect((await status({ agent: () => ({ status: 503, body: 'starting' }) })).answer).toMatchObject({
      code: 50,
    });
  });
});

describe('bad input', () => {
  const cases: Record<string, Case & { readonly code: number; readonly says: RegExp }> = {
    'no command': { env: { CNI_COMMAND: undefined }, code: 4, says: /CNI_COMMAND is missing/ },
    'an unknown command': { env: { CNI_COMMAND: 'UPDATE' }, code: 4, says: /"UPDATE"/ },
    'a missing variable': {
      env: { CNI_NETNS: undefined, CNI_IFNAME: '' },
      code: 4,
      says: /CNI_NETNS,CNI_IFNAME/,
    },
    'a container id with a slash': { env: { CNI_CONTAINERID: '../x' }, code: 4, says: /CNI_CONTAINERID/ },
    'arguments that are no pairs': { env: { CNI_ARGS: 'a' }, code: 4, says: /CNI_ARGS/ },
    'no input': { stdin: '', code: 6, says: /not JSON/ },
    'half a configuration': { stdin: '{"cniVersion":', code: 6, says: /not JSON/ },
    'a list': { stdin: '[]', code: 7, says: /not an object/ },
    'no name': { config: { name: undefined }, code: 7, says: /network name/ },
    'a previous result that is text': { config: { prevResult: 'x' }, code: 7, says: /prevResult/ },
    'no version': { config: { cniVersion: undefined }, code: 1, says: /incompatible/ },
    'a version from the future': { config: { cniVersion: '2.0.0' }, code: 1, says: /incompatible/ },
    'CHECK before 0.4.0': {
      env: { CNI_COMMAND: 'CHECK' },
      config: { cniVersion: '0.3.1' },
      code: 1,
      says: /CHECK/,
    },
    'STATUS before 1.1.0': { env: { CNI_COMMAND: 'STATUS' }, code: 1, says: /STATUS/ },
    'GC before 1.1.0': { env: { CNI_COMMAND: 'GC' }, code: 1, says: /GC/ },
    'CHECK without a previous result': {
      env: { CNI_COMMAND: 'CHECK' },
      config: { prevResult: undefined },
      code: 7,
      says: /prevResult/,
    },
  };
  test.each(Object.entries(cases))('%s', async (_, { code, says, ...given }) => {
    const { answer, exitCode, asked } = await run({ agent: ok, ...given });
    expect(answer).toMatchObject({ code, msg: expect.stringMatching(says), cniVersion: expect.any(String) });
    expect([exitCode, asked]).toEqual([1, []]);
  });
});

test.each([
  undefined,
  null,
  [],
  {},
  { PodName: 'a', PodNamespace: 'b' },
  { PodName: 'a', PodNamespace: 'b', Netns: 'c', IPs: [{}] },
])('no event: %j', (body) => expect(decodeEvent(body)).toBeUndefined());

test('an event of Istio’s plugin is read', () => {
  const body = {
    netns: '/n',
    podName: 'p',
    PODNAMESPACE: 's',
    IPs: [{ Address: { IP: '10.0.0.1', Mask: '////AA==' } }],
  };
  expect(decodeEvent(body)).toEqual({
    netns: '/n',
    podName: 'p',
    podNamespace: 's',
    ips: ['10.0.0.1'],
    undecided: false,
    podUid: '',
    containerId: '',
  });
});
