import { realpathSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type EmbeddedApi, startEmbeddedApi } from './server.ts';
import { findKubectl, Kubectl, otherVersions } from './testing/kubectl.ts';
import { requester } from './testing/request.ts';

const found = findKubectl(process.env['PATH'] ?? '');
const inCi = process.env['CI'] === 'true';
/** The one on PATH, and the oldest that is installed beside it. */
const others = found ? otherVersions(found, realpathSync).toSorted() : [];
const binaries = found ? [found, ...others.slice(0, 1)] : [];

if (!found) {
  test('kubectl', () => {
    process.stderr.write('kubectl is not on PATH: its compatibility was NOT tested\n');
    expect(inCi).toBe(false);
  });
}

const MANIFEST = `
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop, labels: {app: web}}
spec:
  containers:
  - {name: c, image: "web:1", ports: [{containerPort: 80}], env: [{name: A, value: "1"}]}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {selector: {app: web}, ports: [{port: 80}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: api, namespace: shop}
spec:
  replicas: 2
  selector: {matchLabels: {app: api}}
  template:
    metadata: {labels: {app: api}}
    spec: {containers: [{name: a, image: "a:1"}, {name: b, image: "b:1"}]}
`;

const WIDGETS = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {plural: widgets, kind: Widget, shortNames: [wd]}
  versions:
  - name: v1
    served: true
    storage: true
    additionalPrinterColumns: [{name: Size, type: integer, jsonPath: .spec.size}]
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            properties: {size: {type: integer, description: How large it is.}}
`;

const compatibility = (binary: string) => () => {
  let folder: string;
  let api: EmbeddedApi;
  let kubectl: Kubectl;
  let echo: Server;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'embedded-'));
    echo = createServer((socket) => socket.pipe(socket));
    await new Promise<void>((done) => echo.listen(0, '127.0.0.1', done));
    const address = echo.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    api = await startEmbeddedApi({
      environment: {},
      kubeconfigPath: join(folder, 'kubeconfig'),
      podDialer: async () => connect(port, '127.0.0.1'),
      podLogs: async ({ name }, { container, tailLines }) =>
        Readable.from([`${name} ${container} ${tailLines}\n`]),
    });
    kubectl = new Kubectl(binary, api.kubeconfigPath, folder);
    await writeFile(join(folder, 'shop.yaml'), MANIFEST);
    expect(await kubectl.run(['apply', '-f', join(folder, 'shop.yaml')])).toMatchObject({ code: 0, err: '' });
  });

  afterAll(async () => {
    await api.stop();
    echo.close();
    await rm(folder, { recursive: true });
  });

  const ok = async (...args: string[]): Promise<string> => {
    const ran = await kubectl.run(args);
    expect(ran).toMatchObject({ code: 0 });
    return ran.out;
  };
  const fails = async (...args: string[]): Promise<string> => {
    const ran = await kubectl.run(args);
    expect(ran.code).not.toBe(0);
    return ran.err;
  };

  test('apply changes nothing the second time, and one field the third', async () => {
    expect(
      (await ok('apply', '-f', join(folder, 'shop.yaml')))
        .split('\n')
        .filter((line) => !line.endsWith('unchanged')),
    ).toEqual(['']);
    const path = join(folder, 'changed.yaml');
    await writeFile(path, MANIFEST.replace('"b:1"', '"b:2"').replace('replicas: 2', 'replicas: 3'));
    expect(await ok('apply', '-f', path)).toContain('deployment.apps/api configured');
    expect(
      await ok(
        'get',
        'deploy',
        'api',
        '-n',
        'shop',
        '-o',
        'jsonpath={.spec.replicas} {.spec.template.spec.containers[*].image}',
      ),
    ).toBe('3 a:1 b:2');
    await writeFile(path, MANIFEST.replace(', {name: b, image: "b:1"}', ''));
    await ok('apply', '-f', path);
    expect(
      await ok(
        'get',
        'deploy',
        'api',
        '-n',
        'shop',
        '-o',
        'jsonpath={.spec.template.spec.containers[*].image}',
      ),
    ).toBe('a:1');
  });

  test('apply refuses a field that is not there', async () => {
    const ran = await kubectl.run(
      ['apply', '-f', '-'],
      MANIFEST.replace('image: "web:1"', 'imagee: "web:1", image: "web:1"'),
    );
    expect(ran.err).toMatch(
      /unknown field "spec.containers\[0\].imagee"|ValidationError\(Pod.spec.containers\[0\]\): unknown field "imagee"/,
    );
  });

  test('apply --server-side owns and conflicts', async () => {
    const map = (value: string) =>
      `apiVersion: v1\nkind: ConfigMap\nmetadata: {name: ssa, namespace: shop}\ndata: {x: "${value}"}\n`;
    const apply = (manager: string, value: string) =>
      kubectl.run(['apply', '--server-side', '--field-manager', manager, '-f', '-'], map(value));
    expect((await apply('one', '1')).out).toContain('configmap/ssa serverside-applied');
    expect((await apply('two', '2')).err).toContain('conflict with "one": .data.x');
  });

  test('get shows tables, other formats, and what matches', async () => {
    expect(await ok('get', 'pods', '-n', 'shop')).toMatch(
      /^NAME +READY +STATUS +RESTARTS +AGE\nweb +0\/1 +Pending +0 +\d+s\n$/,
    );
    expect(await ok('get', 'all', '-A', '-o', 'name')).toContain('service/web');
    expect(
      await ok('get', 'pods', '-A', '-l', 'app=web', '--field-selector', 'metadata.name=web', '-o', 'name'),
    ).toBe('pod/web\n');
    expect(await ok('get', 'ns', 'shop', '-o', 'yaml')).toContain('kubernetes.io/metadata.name: shop');
    expect(await fails('get', 'pod', 'none', '-n', 'shop')).toContain(
      'Error from server (NotFound): pods "none" not found',
    );
    expect(await fails('get', 'nonsense')).toContain('the server doesn\'t have a resource type "nonsense"');
  });

  test('label and annotate set and take away', async () => {
    expect(await ok('label', 'ns', 'shop', 'istio.io/dataplane-mode=ambient')).toBe(
      'namespace/shop labeled\n',
    );
    expect(await ok('get', 'ns', '-l', 'istio.io/dataplane-mode=ambient', '-o', 'name')).toBe(
      'namespace/shop\n',
    );
    expect(await ok('label', 'ns', 'shop', 'istio.io/dataplane-mode-')).toBe('namespace/shop unlabeled\n');
    expect(await ok('annotate', 'pod', 'web', '-n', 'shop', 'a=b')).toMatch(/annotate/);
  });

  test('describe tells of pods, services, nodes, namespaces and deployments', async () => {
    await requester(api, api.adminToken)('POST', '/api/v1/nodes', { metadata: { name: 'n1' } });
    const described: readonly (readonly [kind: string, name: string, text: string])[] = [
      ['pod', 'web', 'Image:'],
      ['service', 'web', 'Selector:'],
      ['deployment', 'api', 'StrategyType:'],
      ['namespace', 'shop', 'Status:'],
      ['node', 'n1', 'Name:               n1'],
    ];
    for (const [kind, name, text] of described)
      expect(await ok('describe', kind, name, '-n', 'shop')).toContain(text);
  });

  test('explain knows fields of built-in and custom kinds', async () => {
    expect(await ok('explain', 'pod.spec.containers.ports')).toContain('containerPort');
    expect((await kubectl.run(['apply', '-f', '-'], WIDGETS)).code).toBe(0);
    await ok('wait', '--for=condition=Established', 'crd/widgets.example.com', '--timeout=5s');
    expect(await ok('explain', 'widget.spec.size')).toContain('How large it is.');
    const made = await kubectl.run(
      ['apply', '-f', '-'],
      'apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: w}\nspec: {size: 3}\n',
    );
    expect(made).toMatchObject({ code: 0, err: '' });
    expect(await ok('get', 'wd')).toMatch(/NAME +SIZE\nw +3\n/);
    const wrong = await kubectl.run(
      ['apply', '-f', '-'],
      'apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: w}\nspec: {size: big}\n',
    );
    expect(wrong.err).toMatch(/must be of type integer|invalid type/);
  });

  test('wait and watch see what happens', async () => {
    using watching = kubectl.start(['get', 'pods', '-n', 'shop', '-w']);
    const waiting = kubectl.run(['wait', '--for=condition=Ready', 'pod/web', '-n', 'shop', '--timeout=180s']);
    await sleep(500);
    const call = requester(api, api.adminToken);
    const status = {
      phase: 'Running',
      conditions: [{ type: 'Ready', status: 'True' }],
      containerStatuses: [{ name: 'c', ready: true, restartCount: 0, image: '', imageID: '' }],
    };
    await call(
      'PATCH',
      '/api/v1/namespaces/shop/pods/web/status',
      { status },
      'application/merge-patch+json',
    );
    expect(await waiting).toMatchObject({ out: 'pod/web condition met\n', err: '' });
    for (let i = 0; i < 500 && !/web +1\/1 +Running/.test(watching.output()); i++) await sleep(50);
    expect(watching.output()).toMatch(/web +1\/1 +Running/);
  });

  test('logs and port-forward reach the pod', async () => {
    expect(await ok('logs', 'web', '-n', 'shop', '--tail=5')).toBe('web c 5\n');
    const running = { status: { phase: 'Running' } };
    const path = '/api/v1/namespaces/shop/pods/web/status';
    await requester(api, api.adminToken)('PATCH', path, running, 'application/merge-patch+json');
    using forward = kubectl.start(['port-forward', '-n', 'shop', 'pod/web', ':80', '--address', '127.0.0.1']);
    for (let i = 0; i < 500 && !forward.output().includes('Forwarding from'); i++) await sleep(50);
    expect(forward.output()).toMatch(/Forwarding from 127.0.0.1:\d+/);
    const port = Number(/127\.0\.0\.1:(\d+)/.exec(forward.output())?.[1]);
    for (let i = 0; i < 3; i++) expect(await echoed(port, Buffer.alloc(300_000, `${i}`))).toBe(300_000);
  });

  test('auth can-i and create token answer', async () => {
    expect(await ok('auth', 'can-i', 'delete', 'nodes')).toBe('yes\n');
    const denied = await kubectl.run([
      'auth',
      'can-i',
      'get',
      'pods',
      '-n',
      'shop',
      '--as',
      'system:serviceaccount:shop:default',
    ]);
    expect(denied.out).toBe('no\n');
    expect(await ok('create', 'token', 'default', '-n', 'shop')).toMatch(/^[\w-]+\.[\w-]+\.[\w-]+\n?$/);
  });

  test('create, edit-like patches, scale and delete', async () => {
    await ok('create', 'configmap', 'made', '-n', 'shop', '--from-literal=a=b');
    await ok(
      'patch',
      'configmap',
      'made',
      '-n',
      'shop',
      '--type=json',
      '-p',
      '[{"op":"add","path":"/data/c","value":"d"}]',
    );
    await ok('patch', 'deploy', 'api', '-n', 'shop', '-p', '{"spec":{"paused":true}}');
    expect(await ok('get', 'cm', 'made', '-n', 'shop', '-o', 'jsonpath={.data}')).toBe('{"a":"b","c":"d"}');
    expect(await ok('scale', 'deploy', 'api', '-n', 'shop', '--replicas=5')).toContain('scaled');
    await ok('delete', 'configmap', 'made', '-n', 'shop');
    await ok('delete', '-f', join(folder, 'shop.yaml'), '--timeout=180s', '--ignore-not-found');
    expect(await fails('get', 'ns', 'shop')).toContain('NotFound');
  });
};

for (const binary of binaries) describe(basename(binary), compatibility(binary));

function echoed(port: number, data: Buffer): Promise<number> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1');
    let size = 0;
    socket.on('data', (chunk) => {
      size += chunk.length;
      if (size < data.length) return;
      socket.destroy();
      resolve(size);
    });
    socket.on('error', reject);
    socket.on('close', () => resolve(size));
    socket.write(data);
  });
}
