import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from '@jest/globals';
import { takesPods } from './api-nodes.ts';
import type { Run } from './command.ts';
import { ExistingProvider } from './existing/provider.ts';
import { KindProvider, kindConfig } from './kind/provider.ts';
import { LocalProvider } from './local/provider.ts';
import { blockPortCommand, type UpOptions } from './provider.ts';

const folder = mkdtempSync(join(tmpdir(), 'ambit-providers-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const options: UpOptions = {
  name: 'mesh',
  nodes: 2,
  ipFamily: 'ipv4',
  images: { hub: 'ambit.local', tag: 'e2e' },
};
const never = new AbortController().signal;
const silent = () => undefined;
const NODES = [
  { name: 'mesh-worker', addresses: ['172.18.0.3'] },
  { name: 'mesh-worker2', addresses: ['172.18.0.4'] },
];

/** Answers by the first words that match; records every command, without what it reads. */
function machine(answers: Readonly<Record<string, string | Error | number>> = {}, nodeImage?: string) {
  const commands: string[] = [];
  const run: Run = (command) => {
    const line = command.join(' ');
    commands.push(line);
    const answer = Object.entries(answers).find(([start]) => line.startsWith(start))?.[1] ?? '';
    if (answer instanceof Error) return Promise.reject(answer);
    const exitCode = typeof answer === 'number' ? answer : 0;
    return Promise.resolve({
      exitCode,
      stdout: typeof answer === 'string' ? answer : '',
      stderr: exitCode ? 'no' : '',
    });
  };
  const provider = new KindProvider({ folder, nodeImage, run, nodesOf: () => Promise.resolve(NODES) });
  return { commands, provider, run };
}

describe('local', () => {
  test.each(['', '.', '..', '../kept', 'a/b', 'A'])('nothing is removed for the name %j', async (name) => {
    const state = join(folder, 'state');
    mkdirSync(join(state, 'other'), { recursive: true });
    const provider = new LocalProvider({ cacheFolder: join(folder, 'cache'), stateFolder: state });
    await expect(provider.down(name, silent)).rejects.toThrow(/not a name for a cluster/);
    expect(readdirSync(state)).toEqual(['other']);
  });
});

describe('kind', () => {
  const gateway = { 'docker network inspect': 'fc00:f853::1 172.18.0.1 ' };

  test('a cluster is made, loaded, entered, and its workers are the nodes', async () => {
    const { commands, provider } = machine(gateway);
    const cluster = await provider.up(options, silent, never);
    await cluster.load(['/images/istiod.tar', '/images/echo.tar']);
    await cluster.nodeExec('mesh-worker', ['nft', 'list', 'ruleset']);
    expect(await cluster.nodes()).toEqual(NODES);
    expect(cluster.description).toMatchObject({
      outsideAddress: '172.18.0.1',
      kubeconfig: `${folder}/kind-mesh.conf`,
    });
    expect(commands).toEqual([
      'docker info --format {{.ServerVersion}}',
      'kind version',
      'kubectl version --client',
      'kind get clusters --quiet',
      `kind create cluster --name mesh --config - --wait 180s --kubeconfig ${folder}/kind-mesh.conf`,
      'docker network inspect kind --format {{range .IPAM.Config}}{{.Gateway}} {{end}}',
      'kind load image-archive /images/istiod.tar --name mesh',
      'kind load image-archive /images/echo.tar --name mesh',
      'docker exec --interactive mesh-worker nft list ruleset',
    ]);
  });

  test('nodes are of the image that was asked for', async () => {
    const { commands, provider } = machine({}, 'kindest/node:v1.33.4');
    await provider.up(options, silent, never);
    expect(commands).toContainEqual(
      expect.stringMatching(/^kind create .* --image kindest\/node:v1\.33\.4 /),
    );
  });

  test('the API server is taken from its kubelet and killed, and given back', async () => {
    const { commands, provider } = machine();
    const cluster = await provider.attach(options);
    commands.length = 0;
    await cluster.stopApiServer();
    await cluster.startApiServer();
    const exec = 'docker exec mesh-control-plane';
    const [there, away] = [
      '/etc/kubernetes/manifests/kube-apiserver.yaml',
      '/etc/kubernetes/kube-apiserver.yaml',
    ];
    expect(commands).toEqual([
      `${exec} sh -c mv ${there} ${away} && pkill -KILL -x kube-apiserver`,
      `${exec} mv ${away} ${there}`,
      `kubectl --kubeconfig ${folder}/kind-mesh.conf --request-timeout=2s get --raw /readyz`,
    ]);
  });

  test('a worker is added with all images, lets itself in, and is removed', async () => {
    const like = { Config: { Image: 'kindest/node:v1' }, HostConfig: { NetworkMode: 'kind' } };
    const networks = { Networks: { kind: { IPAddress: '172.18.0.5' } } };
    const { commands, provider } = machine({
      'docker ps': 'mesh-control-plane\nmesh-worker\nmesh-worker2\n',
      'docker inspect': JSON.stringify([{ ...like, NetworkSettings: networks }]),
      'docker exec mesh-worker cat': 'kind: JoinConfiguration\ndiscovery: {}\nnodeRegistration: {}\n',
    });
    await provider.up({ ...options, archives: Promise.resolve(['/images/echo.tar']) }, silent, never);
    const cluster = await provider.attach(options);
    commands.length = 0;
    expect(await cluster.addNode()).toBe('mesh-worker3');
    await cluster.removeNode('mesh-worker3');
    const kubectl = `kubectl --kubeconfig ${folder}/kind-mesh.conf`;
    expect(commands.filter((command) => !command.startsWith('docker inspect'))).toEqual([
      'docker ps --all --filter label=io.x-k8s.kind.cluster=mesh --format {{.Names}}',
      expect.stringMatching(/^docker run .* --name mesh-worker3 .* kindest\/node:v1$/),
      'docker exec mesh-worker3 systemctl is-active --quiet containerd',
      'kind load image-archive /images/echo.tar --name mesh --nodes mesh-worker3',
      'docker exec mesh-control-plane kubeadm token create',
      'docker exec mesh-worker cat /kind/kubeadm.conf',
      'docker exec --interactive mesh-worker3 cp /dev/stdin /kind/kubeadm.conf',
      'docker exec mesh-worker3 kubeadm join --config /kind/kubeadm.conf --skip-phases=preflight',
      `${kubectl} wait --for=condition=Ready node/mesh-worker3 --timeout=180s`,
      'docker rm --force --volumes mesh-worker3',
      `${kubectl} delete node mesh-worker3 --ignore-not-found --wait=false`,
      `${kubectl} delete pods --all-namespaces --field-selector=spec.nodeName=mesh-worker3 --grace-period=0 --force --wait=false`,
    ]);
  });

  test('a worker that does not get in is removed', async () => {
    const { commands, provider } = machine({ 'docker ps': 'mesh-worker\n', 'docker inspect': '[]' });
    await expect((await provider.attach(options)).addNode()).rejects.toThrow('no container mesh-worker');
    expect(commands).toContain('docker rm --force --volumes mesh-worker2');
  });

  test('what was begun is removed when it fails', async () => {
    const { commands, provider } = machine({ 'kind create': 1 });
    await expect(provider.up(options, silent, never)).rejects.toThrow('ended with 1: no');
    expect(commands.at(-1)).toBe(`kind delete cluster --name mesh --kubeconfig ${folder}/kind-mesh.conf`);
  });

  test('its kubeconfig goes with it', async () => {
    const { provider } = machine({ 'kind get kubeconfig': 'apiVersion: v1' });
    const { description } = await provider.attach({ ...options, name: 'gone' });
    expect(readFileSync(description.kubeconfig, 'utf8')).toBe('apiVersion: v1');
    await provider.down('gone', silent);
    expect(existsSync(description.kubeconfig)).toBe(false);
  });

  test('a cluster of that name is left alone', async () => {
    const { commands, provider } = machine({ 'kind get clusters': 'other\nmesh\n' });
    await expect(provider.up(options, silent, never)).rejects.toThrow('already');
    expect(commands.some((command) => command.startsWith('kind delete'))).toBe(false);
  });

  test.each([
    ['docker', { 'docker info': 1 }, 'Docker does not answer: no'],
    ['kind', { 'kind version': new Error('ENOENT') }, 'kind is not installed'],
    ['kubectl', { 'kubectl version': new Error('ENOENT') }, 'kubectl is not installed'],
  ])('without %s it says so', async (_, answers: Record<string, number | Error>, message) => {
    const { provider } = machine(answers);
    await expect(provider.up(options, silent, never)).rejects.toMatchObject({
      code: 'MACHINE',
      message: expect.stringContaining(message),
    });
  });

  test('kind is told of one control plane and a worker for each node', () =>
    expect(kindConfig({ nodes: 2, ipFamily: 'dual' })).toEqual({
      kind: 'Cluster',
      apiVersion: 'kind.x-k8s.io/v1alpha4',
      networking: { ipFamily: 'dual' },
      nodes: [{ role: 'control-plane' }, { role: 'worker' }, { role: 'worker' }],
    }));

  test('logs are kind’s own, the objects, and every pod’s', async () => {
    const { commands, provider } = machine({ 'kubectl --kubeconfig': '' });
    const target = join(folder, 'logs');
    await (await provider.attach(options)).logs(target);
    expect(commands).toContain(`kind export logs ${target} --name mesh`);
    expect(readdirSync(target).sort()).toEqual(['events.txt', 'objects.yaml', 'pods', 'pods.txt']);
  });
});

describe('existing', () => {
  const existing = (loadCommand?: string, kubeconfig: string | undefined = '/k') => {
    const { run, commands } = machine();
    return {
      commands,
      provider: new ExistingProvider({ kubeconfig, loadCommand, run, nodesOf: () => Promise.resolve(NODES) }),
    };
  };

  test('images are brought by the command that was given', async () => {
    const { commands, provider } = existing('scp "$1" node: && ssh node k3s ctr images import "$1"');
    const cluster = await provider.up(options, silent);
    await cluster.load(['/images/istiod.tar']);
    expect(commands).toEqual([
      'sh -c scp "$1" node: && ssh node k3s ctr images import "$1" load /images/istiod.tar',
    ]);
    expect(cluster.description.capabilities).toEqual(['load-images']);
  });

  test('what it cannot do is refused, and not left undone', async () => {
    const cluster = await existing().provider.attach(options);
    const refused = [
      cluster.load(['/images/istiod.tar']),
      cluster.nodeExec('node', ['true']),
      cluster.addNode(),
      cluster.removeNode('node'),
      cluster.stopApiServer(),
      cluster.startApiServer(),
    ];
    for (const result of await Promise.allSettled(refused))
      expect(result).toMatchObject({ status: 'rejected', reason: { code: 'PROVIDER' } });
  });

  test('too few nodes, or no kubeconfig, end it at once', async () => {
    await expect(existing().provider.up({ ...options, nodes: 3 }, silent)).rejects.toThrow(
      '2 nodes that take pods',
    );
    await expect(existing(undefined, '').provider.up(options, silent)).rejects.toMatchObject({
      code: 'MACHINE',
    });
  });
});

test('a port is blocked in the namespace of the pod that has the address', () => {
  const [shell, flag, script] = blockPortCommand('10.244.1.7', 15_008, 'block');
  expect([shell, flag]).toEqual(['sh', '-c']);
  expect(script).toContain('grep -qF " 10.244.1.7/"');
  expect(script).toContain('tcp dport 15008 drop');
  expect(blockPortCommand('10.244.1.7', 15_008, 'unblock')[2]).toContain('delete table inet block_15008');
});

test.each([
  ['a worker', {}, true],
  ['one that pods rather avoid', { taints: [{ key: 'slow', effect: 'PreferNoSchedule' }] }, true],
  [
    'a control plane',
    { taints: [{ key: 'node-role.kubernetes.io/control-plane', effect: 'NoSchedule' }] },
    false,
  ],
  [
    'one that is not ready',
    { taints: [{ key: 'node.kubernetes.io/not-ready', effect: 'NoExecute' }] },
    false,
  ],
  ['a cordoned one', { unschedulable: true }, false],
])('%s: whether it takes pods', (_, spec, takes) => expect(takesPods({ spec })).toBe(takes));
