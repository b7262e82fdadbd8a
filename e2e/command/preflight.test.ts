import { createServer } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { systemClock } from '@ambit/core/clock';
import { PlayedCluster } from './playing.ts';

/** On a busy machine each takes many seconds. */
jest.setTimeout(180_000);

const MERGE = 'application/merge-patch+json';

const NODE_INFO = {
  machineID: '',
  systemUUID: '',
  bootID: '',
  osImage: '',
  containerRuntimeVersion: '',
  kubeProxyVersion: '',
  operatingSystem: 'linux',
  architecture: 'amd64',
};

let cluster: PlayedCluster;
beforeEach(async () => {
  cluster = await PlayedCluster.start();
  for (const name of ['n1', 'n2']) {
    await cluster.request('POST', '/api/v1/nodes', {
      metadata: { name, labels: { 'kubernetes.io/os': 'linux' } },
    });
    const nodeInfo = { ...NODE_INFO, kubeletVersion: 'v1.33.5', kernelVersion: '6.1.0' };
    const status = { nodeInfo, conditions: [{ type: 'Ready', status: 'True' }] };
    const answer = await cluster.request('PATCH', `/api/v1/nodes/${name}/status`, { status }, MERGE);
    expect(answer.status).toBe(200);
  }
});
afterEach(() => cluster[Symbol.asyncDispose]());

/** Plays the DaemonSet controller and the kubelets: a pod for each node, until `signal` aborts. */
async function startPods(signal: AbortSignal, status: (node: string) => object): Promise<void> {
  while (!signal.aborted) {
    const { body } = await cluster.get('/apis/apps/v1/daemonsets');
    const items = body['items'] as unknown as readonly DaemonSet[];
    for (const { metadata, spec } of items)
      for (const node of ['n1', 'n2']) {
        const path = `/api/v1/namespaces/${metadata.namespace}/pods`;
        const { metadata: template, spec: pod } = spec.template;
        const made = { metadata: { ...template, name: `p-${node}` }, spec: { ...pod, nodeName: node } };
        const { status: code } = await cluster.request('POST', path, made);
        if (code === 201)
          await cluster.request('PATCH', `${path}/p-${node}/status`, { status: status(node) }, MERGE);
      }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

interface DaemonSet {
  readonly metadata: { readonly namespace: string };
  readonly spec: { readonly template: { readonly metadata: object; readonly spec: object } };
}

const RUNNING = (node: string) => ({
  phase: 'Running',
  podIP: node === 'n1' ? '10.0.1.1' : '10.0.2.1',
  conditions: [{ type: 'Ready', status: 'True' }],
});

async function preflight(status: (node: string) => object, reached: object, ...more: readonly string[]) {
  const server = createServer((request, response) => {
    const facts = {
      atMs: Date.now(),
      nftables: '',
      iptables: '',
      cniFolderProblem: '',
      cniConfigs: [{ file: '10-net.conflist', types: ['bridge'] }],
      probeSource: '10.0.1.254',
    };
    response.end(JSON.stringify(request.url === '/facts' ? facts : reached));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const done = new AbortController();
  const playing = startPods(done.signal, status);
  const { port } = server.address() as AddressInfo;
  const ran = await cluster.run(['preflight', ...more], {
    dial: () => Promise.resolve(connect(port, '127.0.0.1')),
  });
  done.abort();
  await playing;
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  return ran;
}

const namespaces = async () => {
  const { body } = await cluster.get('/api/v1/namespaces');
  const items = body['items'] as unknown as readonly {
    metadata: { name: string; deletionTimestamp?: string };
  }[];
  return items.filter(({ metadata }) => !metadata.deletionTimestamp).map(({ metadata }) => metadata.name);
};

test('looks at each node from a pod on it, and leaves nothing', async () => {
  const before = await namespaces();
  const { code, out, err } = await preflight(RUNNING, { '10.0.1.1': '', '10.0.2.1': '' });
  expect({ code, err }).toEqual({ code: 0, err: '' });
  expect(out).toContain('; 2 of 2 nodes looked at from inside.\n');
  expect(out).toContain('note     cluster  the Gateway API is not installed, which waypoints need\n');
  expect(out).toContain('0 errors, 0 warnings, 2 notes: nothing keeps the mesh from working.\n');
  expect(await namespaces()).toEqual(before);
});

test('what keeps the mesh from working is an error, with its fix, in the exit code too', async () => {
  const { code, out } = await preflight(RUNNING, { '10.0.1.1': '', '10.0.2.1': 'no answer within 3 s' });
  expect(code).toBe(4);
  expect(out).toContain(
    'error    n1       port 15008 of pods on n2 cannot be reached: no answer within 3 s\n',
  );
  expect(out).toMatch(/→ let TCP port 15008 through between nodes/);
});

test('as JSON: facts and findings', async () => {
  const { out } = await preflight(RUNNING, {}, '-o', 'json');
  expect(JSON.parse(out)).toMatchObject({
    nodes: [
      { name: 'n1', kernel: '6.1.0', probe: { kind: 'looked', probed: true, cniFolder: '/etc/cni/net.d' } },
      { name: 'n2' },
    ],
    findings: expect.arrayContaining([expect.objectContaining({ check: 'gateway-api', severity: 'note' })]),
  });
});

test('a node whose pod does not start is a warning that says why', async () => {
  const waiting = {
    phase: 'Pending',
    containerStatuses: [
      {
        name: 'preflight',
        image: 'x',
        imageID: '',
        ready: false,
        restartCount: 0,
        state: { waiting: { reason: 'CreateContainerError', message: 'no such folder' } },
      },
    ],
  };
  const { code, out } = await preflight(() => waiting, {}, '--timeout', '8s');
  // Of no node anything is known.
  expect(code).toBe(4);
  expect(out).toContain(
    'warning  n1       could not be looked at: waits: CreateContainerError, no such folder\n',
  );
  expect(await namespaces()).not.toContainEqual(expect.stringContaining('ambit-preflight'));
});

test('interrupted, it still takes away what it made', async () => {
  const interrupt = new AbortController();
  const ran = cluster.run(['preflight'], { signal: interrupt.signal });
  while (!(await namespaces()).some((name) => name.startsWith('ambit-preflight-')))
    await new Promise((resolve) => setTimeout(resolve, 20));
  interrupt.abort();
  expect(await ran).toMatchObject({ code: 1, err: 'ambit: interrupted\n' });
  expect(await namespaces()).not.toContainEqual(expect.stringContaining('ambit-preflight'));
});

describe('a namespace that is not of this run', () => {
  const labels = { 'ambit.mesh/preflight': 'true' };
  const ended = { 'ambit.mesh/preflight-until': new Date(Date.now() - 1_000).toISOString() };
  const make = async (name: string, annotations = {}) => {
    const { status } = await cluster.request('POST', '/api/v1/namespaces', {
      metadata: { name, labels, annotations },
    });
    expect(status).toBe(201);
  };

  test('is removed if it is what a run that was killed has left', async () => {
    await make('ambit-preflight-old', ended);
    await preflight(RUNNING, {});
    expect(await namespaces()).not.toContain('ambit-preflight-old');
  });

  test('stays if a run of somebody else is under way, or if it only has the label', async () => {
    await make('ambit-preflight-now', {
      'ambit.mesh/preflight-until': new Date(Date.now() + 60_000).toISOString(),
    });
    await make('ambit-preflight-odd', { 'ambit.mesh/preflight-until': 'soon' });
    await make('shop', ended);
    await preflight(RUNNING, {});
    expect(await namespaces()).toEqual(
      expect.arrayContaining(['ambit-preflight-now', 'ambit-preflight-odd', 'shop']),
    );
  });

  test('stays if pods of others are in it, and that is said', async () => {
    await make('ambit-preflight-old', ended);
    await cluster.request('POST', '/api/v1/namespaces/ambit-preflight-old/pods', {
      metadata: { name: 'web' },
      spec: { containers: [{ name: 'a', image: 'b' }] },
    });
    const { err } = await preflight(RUNNING, {});
    expect(err).toContain('namespace ambit-preflight-old is what an earlier preflight left');
    expect(await namespaces()).toContain('ambit-preflight-old');
  });

  test('stays if it has the very name that this run would have taken', async () => {
    const nowMs = 1_800_000_000_000;
    await make(`ambit-preflight-${nowMs.toString(36)}`);
    const { code, err } = await cluster.run(['preflight'], { clock: { ...systemClock, now: () => nowMs } });
    expect([code, err]).toEqual([1, expect.stringContaining('already exists')]);
    expect(await namespaces()).toContain(`ambit-preflight-${nowMs.toString(36)}`);
  });
});

test('where no node could be looked at, that is no success', async () => {
  for (const name of ['n1', 'n2']) {
    const status = { conditions: [{ type: 'Ready', status: 'False' }] };
    await cluster.request('PATCH', `/api/v1/nodes/${name}/status`, { status }, MERGE);
  }
  const { code, out } = await cluster.run(['preflight']);
  expect(code).toBe(4);
  expect(out).toContain('0 of 2 nodes looked at from inside (no Linux node is Ready)');
});

test('--no-probe starts nothing', async () => {
  const before = await cluster.snapshot();
  const { code, out } = await cluster.run(['preflight', '--no-probe']);
  expect(code).toBe(0);
  expect(out).toContain('0 of 2 nodes looked at from inside (told so (--no-probe)).\n');
  expect(await cluster.snapshot()).toEqual(before);
});
