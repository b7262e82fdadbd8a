import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { KubeObject } from '@ambit/kube/resource';
import type { Gateway } from '@ambit/kube/resources/gateway';
import { FakeCluster } from '../../testing/fake-cluster.ts';

const GATEWAYS = '/apis/gateway.networking.k8s.io/v1/gateways';
const CLASSES = '/apis/gateway.networking.k8s.io/v1/gatewayclasses';
const NAMESPACES = '/api/v1/namespaces';

let cluster: FakeCluster;

beforeEach(async () => {
  cluster = await FakeCluster.start();
  cluster.namespace('shop', { 'istio.io/dataplane-mode': 'ambient' });
  cluster.namespace('outside');
  cluster.api.put(CLASSES, {
    metadata: { name: 'istio-waypoint' },
    spec: { controllerName: 'istio.io/mesh-controller' },
  } as KubeObject);
});
afterEach(() => cluster[Symbol.asyncDispose]());

const find = (namespace: string, name: string) => cluster.api.find(GATEWAYS, namespace, name) as Gateway;
const labelsOf = (namespace: string) => cluster.api.find(NAMESPACES, '', namespace)?.metadata.labels ?? {};

interface Shown {
  readonly programmed?: 'True' | 'False';
  readonly labels?: Record<string, string>;
  readonly gatewayClassName?: string;
  readonly observedGeneration?: number;
}

function waypoint(namespace: string, name: string, over: Shown = {}): void {
  const { programmed, labels = {}, gatewayClassName = 'istio-waypoint', observedGeneration } = over;
  const condition = {
    type: 'Programmed',
    status: programmed,
    reason: programmed === 'True' ? 'Programmed' : 'AddressNotAssigned',
    message: programmed === 'True' ? 'assigned' : 'no instances found',
    ...(observedGeneration !== undefined && { observedGeneration }),
  };
  cluster.api.put(GATEWAYS, {
    metadata: { namespace, name, labels, generation: 2 },
    spec: { gatewayClassName },
    ...(programmed && { status: { conditions: [condition] } }),
  } as KubeObject);
}

/** istiod, as far as these commands see it: what is written is ready at once. */
function runWaypoints(): void {
  cluster.api.intercept = (method, path) => {
    const name = /\/gateways\/([^/]+)$/.exec(path)?.[1];
    if (method === 'GET' && name !== undefined && find('shop', name)) {
      const gateway = find('shop', name);
      const conditions = [{ type: 'Programmed', status: 'True', reason: 'Programmed', message: 'ok' }];
      return { status: 200, body: { ...gateway, status: { conditions } } };
    }
    return undefined;
  };
}

describe('waypoint apply', () => {
  test('writes a Gateway by server-side apply, and waits until it is ready', async () => {
    runWaypoints();
    expect(await cluster.run('waypoint', 'apply')).toEqual({
      code: 0,
      out: 'waypoint shop/waypoint is ready\n',
      err: '',
    });
    expect(find('shop', 'waypoint')).toMatchObject({
      apiVersion: 'gateway.networking.k8s.io/v1',
      kind: 'Gateway',
      spec: {
        gatewayClassName: 'istio-waypoint',
        listeners: [{ name: 'mesh', port: 15_008, protocol: 'HBONE' }],
      },
    });
    expect(find('shop', 'waypoint').metadata.labels).toBeUndefined();
    expect(cluster.api.requests.find((line) => line.startsWith('PATCH'))).toContain(
      '/namespaces/shop/gateways/waypoint?force=true&fieldManager=ambit',
    );
    expect(labelsOf('shop')).toEqual({ 'istio.io/dataplane-mode': 'ambient' });
  });

  test('says what it is for, of which revision, and labels the namespace', async () => {
    runWaypoints();
    const { code, out } = await cluster.run(
      ...[
        'waypoint',
        'apply',
        '-n',
        'shop',
        '--name',
        'gate',
        '--for',
        'all',
        '--revision',
        'blue',
        '--enroll-namespace',
      ],
    );
    expect([code, out]).toEqual([
      0,
      'waypoint shop/gate is ready\nnamespace shop labelled istio.io/use-waypoint=gate\n',
    ]);
    expect(find('shop', 'gate').metadata.labels).toEqual({
      'istio.io/waypoint-for': 'all',
      'istio.io/rev': 'blue',
    });
    expect(labelsOf('shop')['istio.io/use-waypoint']).toBe('gate');
  });

  test('one that does not become ready in time: what is known of it, and another exit code', async () => {
    waypoint('shop', 'waypoint', { programmed: 'False' });
    const { code, out, err } = await cluster.run('waypoint', 'apply', '--waypoint-timeout', '1s');
    expect([code, out]).toEqual([5, 'waypoint shop/waypoint applied\n']);
    expect(err).toMatch(/^ambit: not ready after 1 s: AddressNotAssigned: no instances found\n$/);
  });

  test('does not wait when told not to, and says so as JSON', async () => {
    const { code, out, err } = await cluster.run('waypoint', 'apply', '--no-wait', '-o', 'json');
    expect([code, err]).toEqual([0, '']);
    expect(JSON.parse(out)).toEqual({
      namespace: 'shop',
      name: 'waypoint',
      ready: false,
      namespaceEnrolled: false,
    });
  });

  test('in a namespace that is not in the mesh, or for what its services are not: a warning', async () => {
    const { code, err } = await cluster.run(
      ...['waypoint', 'apply', '-n', 'outside', '--for', 'workload', '--enroll-namespace', '--no-wait'],
    );
    expect(code).toBe(0);
    expect(err).toBe(
      'ambit: it takes no traffic to services (--for workload), so services of outside stay without it\n' +
        'ambit: namespace outside is not in the mesh, so nothing goes through it yet: ambit enroll outside\n',
    );
  });

  test('takes a namespace from another waypoint only when told to', async () => {
    cluster.namespace('shop', {
      'istio.io/use-waypoint': 'other',
      'istio.io/use-waypoint-namespace': 'infra',
    });
    const args = ['waypoint', 'apply', '--enroll-namespace', '--no-wait'];
    const refused = await cluster.run(...args);
    expect(refused).toEqual({
      code: 2,
      out: '',
      err: 'ambit: namespace shop uses waypoint infra/other already; --overwrite takes it over\n',
    });
    expect(find('shop', 'waypoint')).toBeUndefined();
    expect((await cluster.run(...args, '--overwrite')).code).toBe(0);
    // The fake server keeps what a merge patch removes as null.
    expect(labelsOf('shop')).toMatchObject({
      'istio.io/use-waypoint': 'waypoint',
      'istio.io/use-waypoint-namespace': null,
    });
  });

  const refusals: Record<string, { given?: () => void; args: string[]; code: number; err: string | RegExp }> =
    {
      'the name none': {
        args: ['--name', 'none'],
        code: 2,
        err: 'ambit: a waypoint cannot be called none: that is what those say who want no waypoint\n',
      },
      'a name that no Service can have': {
        args: ['--name', 'a.b'],
        code: 2,
        err: 'ambit: "a.b" cannot be the name of a waypoint: its Service is called so as well\n',
      },
      'a word that is no kind of traffic': {
        args: ['--for', 'pods'],
        code: 2,
        err: 'ambit: --for is service, workload, all, none, not "pods"\n',
      },
      'a timeout that is none': {
        args: ['--waypoint-timeout', 'soon'],
        code: 2,
        err: 'ambit: --waypoint-timeout wants a duration such as 30s (no unit: seconds), not "soon"\n',
      },
      'an option of other commands': {
        args: ['--timeout', '3s'],
        code: 2,
        err: 'ambit: waypoint apply takes no option --timeout; "ambit help waypoint apply" says more\n',
      },
      'a namespace that is not there': {
        args: ['-n', 'nowhere'],
        code: 1,
        err: 'ambit: there is no namespace nowhere\n',
      },
      'a Gateway of somebody else by that name': {
        given: () => waypoint('shop', 'waypoint', { gatewayClassName: 'istio' }),
        args: [],
        code: 2,
        err: 'ambit: Gateway shop/waypoint is there already, of class istio, not istio-waypoint; choose another --name\n',
      },
      'a cluster without the Gateway API': {
        given: () => {
          cluster.api.unknown.add(CLASSES);
          cluster.api.unknown.add(GATEWAYS);
        },
        args: [],
        code: 1,
        err: /^ambit: the Gateway API is not installed, and waypoints are Gateways: kubectl apply --server-side -f https:\/\/github\.com\/kubernetes-sigs\/gateway-api\/.*\n$/,
      },
      'a mesh without the class': {
        given: () => cluster.api.remove(CLASSES, '', 'istio-waypoint'),
        args: [],
        code: 1,
        err: /^ambit: there is no GatewayClass istio-waypoint, so nobody would run the waypoint: .*\n$/,
      },
    };
  test.each(Object.entries(refusals))(
    'refuses %s, and writes nothing',
    async (_, { given, args, code, err }) => {
      given?.();
      const ran = await cluster.run('waypoint', 'apply', ...args);
      expect(ran).toEqual({ code, out: '', err: typeof err === 'string' ? err : expect.stringMatching(err) });
      expect(cluster.api.requests.filter((line) => line.startsWith('PATCH'))).toEqual([]);
    },
  );
});

describe('waypoint generate', () => {
  test('prints what apply would write, without asking anybody', async () => {
    expect(
      (await cluster.run('waypoint', 'generate', '--name', 'gate', '--for', 'workload', '-n', 'shop')).out,
    ).toBe(
      `apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata:
  name: gate
  namespace: shop
  labels:
    istio.io/waypoint-for: workload
spec:
  gatewayClassName: istio-waypoint
  listeners:
    - name: mesh
      port: 15008
      protocol: HBONE
`,
    );
    const { out } = await cluster.run('waypoint', 'generate', '-o', 'json');
    expect(JSON.parse(out)).toMatchObject({ metadata: { name: 'waypoint' } });
    expect(cluster.api.requests).toEqual([]);
  });

  test('knows no tables', async () => {
    expect((await cluster.run('waypoint', 'generate', '-o', 'table')).err).toBe(
      'ambit: --output is yaml or json here, not "table"\n',
    );
  });
});

describe('waypoint list', () => {
  test('of the namespace, and of all', async () => {
    waypoint('shop', 'b', {
      programmed: 'True',
      labels: { 'istio.io/waypoint-for': 'all', 'istio.io/rev': 'blue' },
    });
    waypoint('shop', 'a');
    waypoint('shop', 'ingress', { gatewayClassName: 'istio' });
    waypoint('outside', 'c', { programmed: 'False' });
    expect((await cluster.run('waypoint', 'list')).out).toBe(`NAME   REVISION   TRAFFIC TYPE   PROGRAMMED
a      default    service        Unknown
b      blue       all            True
`);
    expect(
      (await cluster.run('waypoint', 'list', '-A')).out,
    ).toBe(`NAMESPACE   NAME   REVISION   TRAFFIC TYPE   PROGRAMMED
outside     c      default    service        False
shop        a      default    service        Unknown
shop        b      blue       all            True
`);
    expect(JSON.parse((await cluster.run('waypoint', 'list', '-n', 'outside', '-o', 'json')).out)).toEqual([
      { namespace: 'outside', name: 'c', revision: 'default', trafficType: 'service', programmed: 'False' },
    ]);
  });

  test('none is said on standard error', async () => {
    for (const command of ['list', 'status'])
      expect(await cluster.run('waypoint', command)).toEqual({
        code: 0,
        out: '',
        err: 'ambit: no waypoints in namespace shop; --namespace (-n) looks in another, -A in all of them\n',
      });
    expect((await cluster.run('waypoint', 'list', '-A')).err).toBe('ambit: no waypoints\n');
  });

  test('without the Gateway API: that is said', async () => {
    cluster.api.unknown.add(GATEWAYS);
    expect((await cluster.run('waypoint', 'list')).err).toContain('the Gateway API is not installed');
  });
});

describe('waypoint status', () => {
  test('waits for all, and says what keeps them', async () => {
    waypoint('shop', 'a', { programmed: 'True' });
    waypoint('shop', 'b', { programmed: 'False' });
    const { code, out, err } = await cluster.run('waypoint', 'status', '--waypoint-timeout', '1s');
    expect(out).toBe(`NAMESPACE   NAME   STATUS   TYPE         REASON               MESSAGE
shop        a      True     Programmed   Programmed           assigned
shop        b      False    Programmed   AddressNotAssigned   no instances found
`);
    expect([code, err]).toEqual([5, 'ambit: not all waypoints are ready after 1 s\n']);
    expect((await cluster.run('waypoint', 'status', '--no-wait')).code).toBe(0);
    expect((await cluster.run('waypoint', 'status', 'a')).code).toBe(0);
  });

  test('ends as soon as they are ready', async () => {
    waypoint('shop', 'b', { programmed: 'False' });
    const running = cluster.run('waypoint', 'status');
    await new Promise((resolve) => setTimeout(resolve, 300));
    waypoint('shop', 'b', { programmed: 'True' });
    expect((await running).code).toBe(0);
  });

  test('of an older object does not count', async () => {
    waypoint('shop', 'a', { programmed: 'True', observedGeneration: 1 });
    const { out } = await cluster.run('waypoint', 'status', '--no-wait', '-o', 'json');
    expect(JSON.parse(out)).toMatchObject([
      { status: 'Unknown', message: 'istiod has not looked at it yet' },
    ]);
  });

  test.each([
    ['missing', 'there is no waypoint missing in namespace shop'],
    ['ingress', 'Gateway shop/ingress is no waypoint: its class is istio'],
  ])('of %s', async (name, message) => {
    waypoint('shop', 'ingress', { gatewayClassName: 'istio' });
    expect(await cluster.run('waypoint', 'status', name)).toEqual({
      code: 1,
      out: '',
      err: `ambit: ${message}\n`,
    });
  });
});

describe('waypoint delete', () => {
  beforeEach(() => {
    waypoint('shop', 'a');
    waypoint('shop', 'b', { labels: { 'istio.io/rev': 'blue' } });
    waypoint('shop', 'ingress', { gatewayClassName: 'istio' });
  });
  const left = () => ['a', 'b', 'ingress'].filter((name) => find('shop', name) as unknown);

  test('by name; who still uses it is named', async () => {
    cluster.namespace('shop', { 'istio.io/use-waypoint': 'a' });
    cluster.namespace('outside', { 'istio.io/use-waypoint': 'a' });
    const { code, out, err } = await cluster.run('waypoint', 'delete', 'a');
    expect([code, out]).toEqual([0, 'waypoint shop/a deleted\n']);
    expect(err).toBe(
      'ambit: still labelled istio.io/use-waypoint, and now without a waypoint: namespace shop; to remove the label: kubectl label KIND NAME istio.io/use-waypoint-\n',
    );
    expect(left()).toEqual(['b', 'ingress']);
  });

  test('all of them, and no other Gateway', async () => {
    expect((await cluster.run('waypoint', 'delete', '--all')).out).toBe(
      'waypoint shop/a deleted\nwaypoint shop/b deleted\n',
    );
    expect(left()).toEqual(['ingress']);
    expect((await cluster.run('waypoint', 'delete', '--all')).err).toBe(
      'ambit: no waypoints in namespace shop\n',
    );
  });

  test('those of a revision', async () => {
    expect((await cluster.run('waypoint', 'delete', '--revision', 'blue')).out).toBe(
      'waypoint shop/b deleted\n',
    );
  });

  test.each([
    [[], 2, 'waypoint delete needs names, --all or --revision; "ambit help waypoint delete" says more'],
    [['a', '--all'], 2, 'waypoint delete takes names or --all, not both'],
    [['a', 'x'], 1, 'there is no waypoint x in namespace shop; nothing was deleted'],
    [['ingress'], 1, 'there is no waypoint ingress in namespace shop; nothing was deleted'],
  ])('%j deletes nothing', async (args, code, message) => {
    expect(await cluster.run('waypoint', 'delete', ...args)).toEqual({
      code,
      out: '',
      err: `ambit: ${message}\n`,
    });
    expect(left()).toEqual(['a', 'b', 'ingress']);
  });
});

describe('waypoint', () => {
  test('alone needs a word', async () => {
    expect(await cluster.run('waypoint')).toEqual({
      code: 2,
      out: '',
      err: 'ambit: waypoint needs one of apply, generate, list, status, endpoints, routes, policies, delete; "ambit help waypoint" says more\n',
    });
    expect((await cluster.run('waypoint', 'create')).err).toContain('unknown command "waypoint create"');
  });

  test('has help, as a group and each', async () => {
    for (const args of [
      ['help', 'waypoint'],
      ['waypoint', '-h'],
    ])
      expect((await cluster.run(...args)).out).toMatch(/^Usage: ambit waypoint COMMAND[\s\S]*waypoint apply/);
    for (const args of [
      ['help', 'waypoint', 'list'],
      ['waypoint', 'list', '--help'],
    ])
      expect((await cluster.run(...args)).out).toMatch(/^waypoint list: /);
  });
});
