import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { KubeObject } from '@ambit/kube/resource';
import { whyAnswer, BATCH, ONLY_WEB } from '../testing/answers.ts';
import { FakeCluster, type Pages } from '../testing/fake-cluster.ts';

const CAPTURED = { annotations: { 'ambient.istio.io/redirection': 'enabled' } };
const AMBIENT = { 'istio.io/dataplane-mode': 'ambient' };

let cluster: FakeCluster;

/** Two nodes; batch and web on the first, api on the second; an outsider in a namespace of its own. */
beforeEach(async () => {
  cluster = await FakeCluster.start();
  cluster.node('node-1');
  cluster.node('node-2');
  cluster.namespace('istio-system');
  cluster.namespace('shop', AMBIENT);
  cluster.namespace('outside');
  cluster.pod('shop', 'batch-1', { ...CAPTURED, ip: '10.0.1.1' });
  cluster.pod('shop', 'web-1', { ...CAPTURED, ip: '10.0.1.2' });
  cluster.pod('shop', 'api-1', {
    ...CAPTURED,
    ip: '10.0.2.1',
    node: 'node-2',
    ports: [{ containerPort: 8080 }],
  });
  cluster.pod('outside', 'stranger', { ip: '10.0.1.9' });
  cluster.service('shop', 'api', '10.1.0.1', [80]);
  cluster.endpoint('shop', 'api', 'api-1', 80, 8080);
});
afterEach(() => cluster[Symbol.asyncDispose]());

const DUMP = {
  version: { version: '0.1.0' },
  workloads: [
    {
      uid: 'b',
      name: 'batch-1',
      namespace: 'shop',
      serviceAccount: 'batch',
      workloadIps: ['10.0.1.1'],
      protocol: 'HBONE',
      node: 'node-1',
      status: 'Healthy',
    },
    {
      uid: 'a',
      name: 'api-1',
      namespace: 'shop',
      serviceAccount: 'api',
      workloadIps: ['10.0.2.1'],
      protocol: 'HBONE',
      node: 'node-2',
      status: 'Unhealthy',
      waypoint: { destination: '/10.1.0.9', hboneMtlsPort: 15008 },
      authorizationPolicies: ['shop/api-only-web'],
    },
    {
      uid: 's',
      name: 'stranger',
      namespace: 'outside',
      workloadIps: ['10.0.1.9'],
      node: 'node-1',
      status: 'Healthy',
    },
  ],
  services: [
    {
      name: 'api',
      namespace: 'shop',
      hostname: 'api.shop.svc.cluster.local',
      vips: ['/10.1.0.1'],
      ports: { 80: 8080 },
      endpoints: { a: { workloadUid: 'a' }, b: { workloadUid: 'b' } },
      waypoint: { destination: 'shop/gate.shop.svc.cluster.local', hboneMtlsPort: 15008 },
    },
    {
      name: 'gate',
      namespace: 'shop',
      hostname: 'gate.shop.svc.cluster.local',
      vips: ['/10.1.0.9'],
      ports: {},
    },
  ],
  policies: [
    ONLY_WEB,
    { name: 'all', namespace: 'istio-system', action: 'Deny', scope: 'Global', dryRun: true, rules: [] },
  ],
  certificates: [
    {
      identity: BATCH,
      state: 'Available',
      certChain: [
        {
          serialNumber: '255',
          validFrom: '2026-01-01T00:00:00Z',
          expirationTime: '2126-01-02T00:00:00Z',
          pem: '',
        },
      ],
      rootCerts: [{}, {}],
    },
  ],
  workloadState: {
    u1: {
      state: 'Up',
      info: { name: 'batch-1', namespace: 'shop' },
      connections: {
        inbound: [],
        outbound: [
          { src: '10.0.1.1:5', originalDst: '10.1.0.1:80', actualDst: '10.0.2.1:15008', protocol: 'HBONE' },
        ],
      },
    },
  },
};

const BOTH: Pages = { '/config_dump': DUMP };
const serve = (first: Pages | undefined, second: Pages | undefined) => {
  cluster.ztunnel('ztunnel-1', 'node-1', first);
  cluster.ztunnel('ztunnel-2', 'node-2', second);
};

describe('lists', () => {
  test('workloads', async () => {
    serve(BOTH, BOTH);
    expect((await cluster.run('workloads')).out).toBe(
      `NAMESPACE   WORKLOAD   ADDRESS    NODE     PROTOCOL   STATUS      WAYPOINT
outside     stranger   10.0.1.9   node-1   TCP        Healthy     -
shop        api-1      10.0.2.1   node-2   HBONE      Unhealthy   shop/gate
shop        batch-1    10.0.1.1   node-1   HBONE      Healthy     -
`,
    );
    expect(cluster.asked).toEqual(['ztunnel-1 /config_dump']);
  });

  test('of one namespace, asked of one node, as JSON', async () => {
    serve(BOTH, BOTH);
    const { out } = await cluster.run('workloads', '-n', 'outside', '--node', 'node-2', '-o', 'json');
    expect(JSON.parse(out)).toEqual([
      {
        namespace: 'outside',
        name: 'stranger',
        address: '10.0.1.9',
        node: 'node-1',
        protocol: 'TCP',
        status: 'Healthy',
        waypoint: '',
        identity: 'spiffe://cluster.local/ns/outside/sa/',
      },
    ]);
    expect(cluster.asked).toEqual(['ztunnel-2 /config_dump']);
  });

  test('services', async () => {
    serve(BOTH, BOTH);
    expect((await cluster.run('services')).out).toBe(
      `NAMESPACE   SERVICE   ADDRESS    PORTS   WAYPOINT    ENDPOINTS
shop        api       10.1.0.1   80      shop/gate   1/2
shop        gate      10.1.0.9   -       -           0/0
`,
    );
  });

  test('policies', async () => {
    serve(BOTH, BOTH);
    expect((await cluster.run('policies')).out).toBe(
      `NAMESPACE      POLICY         ACTION           SCOPE              RULES   BINDS
istio-system   all            DENY (dry run)   Global             0       everything in its scope
shop           api-only-web   ALLOW            WorkloadSelector   1       1 workload
`,
    );
  });

  test('certificates that cannot be had: a word in the row, each reason once below', async () => {
    const other = 'spiffe://cluster.local/ns/shop/sa/web';
    const stateOf = (identity: string) => ({
      identity,
      state: `Unavailable: no certificate for ${identity}: UNAVAILABLE: connect ECONNREFUSED`,
    });
    const failing = { ...DUMP, certificates: [stateOf(BATCH), stateOf(other)] };
    cluster.ztunnel('ztunnel-1', 'node-1', { '/config_dump': failing });
    expect((await cluster.run('certificates')).out).toBe(
      `NODE     IDENTITY                                  STATE         EXPIRES   ROOTS   SERIAL
node-1   spiffe://cluster.local/ns/shop/sa/batch   Unavailable   -         0       -
node-1   spiffe://cluster.local/ns/shop/sa/web     Unavailable   -         0       -

${BATCH} on node-1 and 1 more: UNAVAILABLE: connect ECONNREFUSED
`,
    );
  });

  test('certificates of every node; a proxy that does not answer is named and spoils nothing', async () => {
    serve(BOTH, undefined);
    const { out, err, code } = await cluster.run('certificates');
    expect(out).toBe(
      `NODE     IDENTITY                                  STATE       EXPIRES                ROOTS   SERIAL
node-1   spiffe://cluster.local/ns/shop/sa/batch   Available   2126-01-02T00:00:00Z   2       ff
`,
    );
    expect(err).toMatch(/^ambit: ztunnel istio-system\/ztunnel-2 could not be asked: .*ECONNREFUSED.*\n$/);
    expect(code).toBe(1);
  });

  test('connections, with identities where the proxy knows them', async () => {
    const own = {
      connections: [
        {
          podUid: 'u2',
          pod: 'api-1',
          namespace: 'shop',
          direction: 'inbound',
          src: '10.0.1.1:5',
          originalDst: '10.0.2.1:8080',
          actualDst: '10.0.2.1:8080',
          protocol: 'HBONE',
          srcIdentity: BATCH,
          openedAtMs: 1,
          bytesSent: 2,
          bytesReceived: 3,
        },
        {
          podUid: 'u2',
          pod: 'api-1',
          namespace: 'shop',
          direction: 'inbound',
          src: '10.0.1.9:6',
          actualDst: '10.0.2.1:8080',
          protocol: 'CLEAR',
        },
      ],
    };
    serve(BOTH, { '/debug/connections': own });
    expect((await cluster.run('connections')).out).toBe(
      `NODE     POD            DIRECTION   SOURCE       DESTINATION     PROTOCOL                            PEER
node-1   shop/batch-1   outbound    10.0.1.1:5   10.1.0.1:80     HBONE                               -
node-2   shop/api-1     inbound     10.0.1.1:5   10.0.2.1:8080   HBONE                               spiffe://cluster.local/ns/shop/sa/batch
node-2   shop/api-1     inbound     10.0.1.9:6   10.0.2.1:8080   TCP (clear, older than enrolment)   -
`,
    );
  });

  test('nothing to list is said on standard error, and is an empty list as JSON', async () => {
    serve(BOTH, BOTH);
    expect(await cluster.run('policies', '-n', 'empty')).toEqual({
      code: 0,
      out: '',
      err: 'ambit: no policies\n',
    });
    expect((await cluster.run('policies', '-n', 'empty', '-o', 'json')).out).toBe('[]\n');
  });

  test('policies of waypoints are named as what they are not', async () => {
    serve(BOTH, BOTH);
    const waypoint = (namespace: string, name: string, gatewayClassName: string) =>
      cluster.api.put('/apis/gateway.networking.k8s.io/v1/gateways', {
        metadata: { namespace, name },
        ...{ spec: { gatewayClassName } },
      });
    waypoint('shop', 'gate', 'istio-waypoint');
    waypoint('shop', 'ingress', 'other');
    expect((await cluster.run('policies')).err).toBe(
      'ambit: those of waypoints: "ambit waypoint policies -n shop --name gate"\n',
    );
    expect((await cluster.run('policies', '-n', 'empty')).err).toBe('ambit: no policies\n');
    expect((await cluster.run('policies', '-o', 'json')).err).toBe('');
  });

  test('a name that would move the cursor is printed flat', async () => {
    const evil = { ...DUMP, workloads: [{ name: 'a\u001b[2J\nb', namespace: 'x' }] };
    serve({ '/config_dump': evil }, BOTH);
    expect((await cluster.run('workloads')).out).toContain('a [2J b');
  });
});

describe('failures are one sentence', () => {
  test('no ztunnel', async () => {
    expect(await cluster.run('workloads')).toEqual({
      code: 1,
      out: '',
      err: 'ambit: no ztunnel runs in namespace istio-system; is the mesh installed (or elsewhere: --mesh-namespace)?\n',
    });
  });

  test('no ztunnel on that node', async () => {
    serve(BOTH, BOTH);
    expect((await cluster.run('services', '--node', 'node-3')).err).toBe(
      'ambit: no ztunnel runs on node node-3\n',
    );
  });

  const answers: Record<string, [page: unknown, message: string]> = {
    'an answer that is not JSON': ['<html>', 'answered /config_dump with something that is not JSON'],
    'an answer with another status': [500, 'answered 500 to /config_dump'],
    'no such page': [404, 'has no /config_dump'],
  };
  test.each(Object.entries(answers))('%s', async (_, [page, message]) => {
    serve({ '/config_dump': page }, BOTH);
    const { code, err } = await cluster.run('workloads');
    expect(err).toContain(message);
    expect(err.trim().split('\n')).toHaveLength(1);
    expect(code).toBe(1);
  });

  test('an answer of another shape is an empty list, not a crash', async () => {
    serve({ '/config_dump': { workloads: [null, 5, { workloadIps: 7 }], services: 'x' } }, BOTH);
    expect((await cluster.run('workloads')).code).toBe(0);
    expect((await cluster.run('services')).err).toBe('ambit: no services\n');
  });

  test('no permission', async () => {
    cluster.api.intercept = () => ({
      status: 403,
      body: { reason: 'Forbidden', message: 'bob may not list pods' },
    });
    expect((await cluster.run('workloads')).err).toMatch(
      /^ambit: you may not do this in the cluster: .*bob may not list pods\n$/,
    );
  });

  test('a wrong command line', async () => {
    expect(await cluster.run('why', 'web')).toMatchObject({
      code: 2,
      err: expect.stringContaining('why needs SOURCE'),
    });
  });
});

test('uninstall refuses the lab, as install does', async () => {
  cluster.api.put('/apis/apps/v1/deployments', {
    metadata: {
      namespace: 'istio-system',
      name: 'istiod',
      labels: { 'app.kubernetes.io/part-of': 'ambit', 'app.kubernetes.io/managed-by': 'ambit-lab' },
    },
  });
  expect(await cluster.run('uninstall', '--dry-run')).toEqual({
    code: 1,
    out: '',
    err: expect.stringContaining('nothing was changed: this is the lab'),
  });
});

describe('enroll', () => {
  beforeEach(() => cluster.workload('daemonsets', 'istio-cni-node', '0.1.0'));

  test('labels the namespace and waits for its pods', async () => {
    cluster.pod('outside', 'host', { hostNetwork: true });
    cluster.pod('outside', 'done', { phase: 'Succeeded' });
    const running = cluster.run('enroll', 'outside');
    await new Promise((resolve) => setTimeout(resolve, 700));
    cluster.pod('outside', 'stranger', CAPTURED);
    expect(await running).toEqual({
      code: 0,
      out: 'outside is enrolled: 1 of 1 running pods captured\n',
      err: '',
    });
    expect(cluster.api.find('/api/v1/namespaces', '', 'outside')?.metadata.labels).toEqual(AMBIENT);
  });

  test('names the pods that did not follow in time', async () => {
    const { code, out, err } = await cluster.run('enroll', 'outside', '--timeout', '1s');
    expect(out).toBe('outside is enrolled: 0 of 1 running pods captured\n');
    expect(err).toBe(
      'ambit: not captured after 1 s: outside/stranger on node-1; "ambit status" says whether the node agents run, the log of istio-cni-node on that node why not\n',
    );
    expect(code).toBe(5);
  });

  test('names the cause that the node agent noted on a pod, if it is not old', async () => {
    const note = (name: string, reason: string, message: string, agoMs: number) =>
      cluster.api.put('/api/v1/events', {
        metadata: { namespace: 'outside', name },
        ...{ reason, message, lastTimestamp: new Date(Date.now() - agoMs).toISOString() },
      });
    note('1', 'EnrolmentFailed', 'no room', 3_600_000);
    expect((await cluster.run('enroll', 'outside', '--timeout', '0s')).err).toContain('istio-cni-node');
    note('2', 'EnrolmentFailed', `no certificate for ${BATCH}: the CA is away`, 60_000);
    note('3', 'Pulled', 'an image', 0);
    expect((await cluster.run('enroll', 'outside', '--timeout', '0s')).err).toBe(
      `ambit: not captured after 0 s: outside/stranger on node-1
ambit: outside/stranger: EnrolmentFailed: no certificate for ${BATCH}: the CA is away
`,
    );
  });

  describe('of several pods', () => {
    const ADVICE = 'the log of istio-cni-node';
    const failed = (name: string, uid = cluster.api.find('/api/v1/pods', 'outside', name)?.metadata.uid) =>
      cluster.api.put('/api/v1/events', {
        metadata: { namespace: 'outside', name: `${name}.1` },
        ...{ involvedObject: { name, uid }, reason: 'EnrolmentFailed', message: `of ${name}` },
        ...{ lastTimestamp: new Date().toISOString() },
      });
    const said = async () => (await cluster.run('enroll', 'outside', '--timeout', '0s')).err;
    const causesIn = (err: string) => err.split('\n').filter((line) => line.includes('EnrolmentFailed'));
    beforeEach(() => {
      cluster.api.remove('/api/v1/pods', 'outside', 'stranger');
      for (const name of ['web-0', 'web-1']) cluster.pod('outside', name);
    });

    test('names none that was noted of another pod with that name before', async () => {
      failed('web-0', 'of-the-one-before');
      expect(causesIn(await said())).toEqual([]);
      failed('web-0');
      expect(causesIn(await said())).toEqual(['ambit: outside/web-0: EnrolmentFailed: of web-0']);
    });

    test('says where to look as long as it has not named the cause of each', async () => {
      failed('web-0');
      expect(await said()).toContain(ADVICE);
      failed('web-1');
      const both = await said();
      expect(causesIn(both)).toHaveLength(2);
      expect(both).not.toContain(ADVICE);
      for (const name of ['web-2', 'web-3']) {
        cluster.pod('outside', name);
        failed(name);
      }
      const beyond = await said();
      expect(causesIn(beyond)).toHaveLength(3);
      expect(beyond).toContain(ADVICE);
    });
  });

  test('does not wait when told not to', async () => {
    expect(await cluster.run('enroll', 'outside', '--no-wait', '-o', 'json')).toMatchObject({
      code: 0,
      err: '',
    });
  });

  test('a pod alone', async () => {
    expect((await cluster.run('enroll', 'outside/stranger', '--no-wait')).code).toBe(0);
    expect(cluster.api.find('/api/v1/pods', 'outside', 'stranger')?.metadata.labels).toEqual(AMBIENT);
  });

  describe('says that nothing would come of the label, and leaves it', () => {
    const refused = async (...args: readonly string[]) => {
      const { code, out, err } = await cluster.run('enroll', ...args);
      expect([code, out]).toEqual([1, '']);
      expect(cluster.api.requests.filter((line) => line.startsWith('PATCH'))).toEqual([]);
      return err;
    };

    test('on a namespace that is excluded', async () => {
      cluster.api.put('/api/v1/configmaps', {
        metadata: { namespace: 'istio-system', name: 'istio-cni-config' },
        data: { EXCLUDE_NAMESPACES: 'kube-system, outside' },
      } as KubeObject);
      for (const operand of ['outside', 'outside/stranger'])
        expect(await refused(operand)).toBe(
          'ambit: nothing was changed: namespace outside is excluded from the mesh; "ambit install --set cni.excludeNamespaces=…" names those that are\n',
        );
    });

    test("on the mesh's own namespace", async () => {
      cluster.namespace('istio-system');
      expect(await refused('istio-system')).toContain("istio-system is the mesh's own namespace");
    });

    test('without a mesh; who does not wait is told', async () => {
      cluster.api.remove('/apis/apps/v1/daemonsets', 'istio-system', 'istio-cni-node');
      expect(await refused('outside')).toBe(
        'ambit: nothing was changed: no mesh is installed in namespace istio-system; "ambit install" installs one\n',
      );
      expect(await cluster.run('enroll', 'outside', '--no-wait')).toMatchObject({
        code: 0,
        err: expect.stringContaining('until then the label alone does nothing'),
      });
    });
  });

  test('un-enrolling removes the label; a pod of an enrolled namespace is told to stay out', async () => {
    cluster.pod('shop', 'web-1', {});
    await cluster.run('unenroll', 'shop/web-1');
    expect(cluster.api.find('/api/v1/pods', 'shop', 'web-1')?.metadata.labels).toEqual({
      'istio.io/dataplane-mode': 'none',
    });
    await cluster.run('unenroll', 'shop', '--no-wait');
    const patched = cluster.api.requests.filter((line) => line.startsWith('PATCH'));
    expect(patched.at(-1)).toContain('/api/v1/namespaces/shop');
    expect(cluster.api.find('/api/v1/namespaces', '', 'shop')?.metadata.labels).toEqual({
      'istio.io/dataplane-mode': null,
    });
  });

  test('un-enrolling counts pods that were captured, and says what becomes of their connections', async () => {
    cluster.pod('outside', 'own-1', { ...CAPTURED, labels: AMBIENT });
    cluster.api.intercept = (method, path) => {
      if (method !== 'PATCH' || !path.includes('own-1')) return undefined;
      cluster.pod('outside', 'own-1', {});
      return { status: 200, body: {} };
    };
    expect(await cluster.run('unenroll', 'outside/own-1')).toEqual({
      code: 0,
      out: 'outside/own-1 is un-enrolled: 1 of 1 captured pods released; connections that are open may end by themselves for up to 70 s, then they are cut\n',
      err: '',
    });
    expect((await cluster.run('unenroll', 'outside')).out).toBe(
      'outside is un-enrolled: no running pod was captured\n',
    );
  });

  test('whoever may not list what exists gets the sentence without a guess', async () => {
    cluster.api.intercept = (method, path) =>
      method === 'GET' && path.endsWith('/namespaces')
        ? { status: 403, body: { reason: 'Forbidden' } }
        : undefined;
    expect((await cluster.run('enroll', 'shpo')).err).toBe('ambit: there is no namespace shpo\n');
  });

  test('a pod that was taken out of an enrolled namespace follows it again, without a label of its own', async () => {
    cluster.pod('shop', 'web-1', { ...CAPTURED, labels: { 'istio.io/dataplane-mode': 'none' } });
    expect(await cluster.run('enroll', 'shop/web-1')).toEqual({
      code: 0,
      out: 'shop/web-1 is enrolled: 1 of 1 running pods captured\n',
      err: '',
    });
    expect(cluster.api.find('/api/v1/pods', 'shop', 'web-1')?.metadata.labels).toEqual({
      'istio.io/dataplane-mode': null,
    });
  });

  test('a pod that was enrolled by itself keeps its label when asked for again', async () => {
    cluster.pod('shop', 'web-1', { ...CAPTURED, labels: AMBIENT });
    await cluster.run('enroll', 'shop/web-1');
    expect(cluster.api.find('/api/v1/pods', 'shop', 'web-1')?.metadata.labels).toEqual(AMBIENT);
  });

  test('a namespace that leaves: pods with a label of their own are named, since they stay', async () => {
    cluster.pod('shop', 'own-1', { labels: { 'istio.io/dataplane-mode': 'ambient' } });
    const { code, err } = await cluster.run('unenroll', 'shop', '--no-wait');
    expect([code, err]).toEqual([
      0,
      'ambit: in the mesh still, by a label of their own: shop/own-1; "ambit unenroll NAMESPACE/POD" takes one out\n',
    ]);
  });

  test.each([
    ['nowhere', 'there is no namespace nowhere', 1],
    ['shop/nobody', 'there is no pod nobody in namespace shop', 1],
    ['shpo', 'there is no namespace shpo; did you mean shop?', 1],
    ['shop/bacth-1', 'there is no pod bacth-1 in namespace shop; did you mean batch-1?', 1],
    ['a/b/c', '"a/b/c" is neither NAMESPACE nor NAMESPACE/POD', 2],
  ])('%s', async (operand, message, code) => {
    expect(await cluster.run('enroll', operand)).toEqual({ code, out: '', err: `ambit: ${message}\n` });
  });
});

describe('status', () => {
  const client = (pod: string, over: object = {}) => ({
    nodeId: `ztunnel~10.0.0.1~${pod}.istio-system~istio-system.svc.cluster.local`,
    connectedAtMs: 1,
    unreadForMs: 0,
    types: [{ nonceSent: '1', nonceAcknowledged: '1', unacknowledgedForMs: 0, ...over }],
  });
  const CLIENT_1 = client('ztunnel-1');
  const CLIENT_2 = client('ztunnel-2');

  test('of a mesh that is well', async () => {
    serve(BOTH, BOTH);
    cluster.istiod('istiod-1', { '/debug/syncz': { items: [CLIENT_1] } });
    cluster.istiod('istiod-2', { '/debug/syncz': { items: [CLIENT_2] } });
    cluster.pod('istio-system', 'istio-cni-node-1', { labels: { 'k8s-app': 'istio-cni-node' } });
    cluster.workload('deployments', 'istiod', '0.2.0');
    cluster.workload('daemonsets', 'istio-cni-node', '0.1.0');
    expect(await cluster.run('status')).toEqual({
      code: 0,
      err: '',
      out: `COMPONENT        VERSION   READY
istiod           0.2.0     2/2
istio-cni-node   0.1.0     1/1
ztunnel          -         2/2

NODE     ZTUNNEL   CONTROL PLANE   PODS   CERTIFICATES   WORKLOADS KNOWN
node-1   0.1.0     current         1/1    1/1            3
node-2   0.1.0     current         1/1    1/1            3

ENROLLED NAMESPACE   PODS CAPTURED
shop                 3/3

The mesh is well.
`,
    });
  });

  test('without a mesh: that, and whose label waits for one', async () => {
    expect(await cluster.run('status')).toEqual({
      code: 4,
      err: '',
      out: 'Not well: no mesh is installed in namespace istio-system; "ambit install" installs one; the label that would enrol them is on shop\n',
    });
    expect(JSON.parse((await cluster.run('status', '-o', 'json')).out)).toMatchObject({
      problems: ['no mesh is installed in namespace istio-system; "ambit install" installs one'],
    });
  });

  test('of a mesh that nobody has joined: sentences instead of headings over nothing', async () => {
    cluster.namespace('shop');
    cluster.workload('daemonsets', 'istio-cni-node', '0.1.0');
    expect((await cluster.run('status')).out).toBe(`COMPONENT        VERSION   READY
istiod           -         0/0
istio-cni-node   0.1.0     0/0
ztunnel          -         0/0

No ztunnel says what it holds.

No namespace is enrolled; "ambit enroll NAMESPACE" takes one into the mesh.

Not well:
  no pod of istiod is in namespace istio-system: there is no Deployment istiod
  no pod of istio-cni-node is in namespace istio-system
  no pod of ztunnel is in namespace istio-system: there is no DaemonSet ztunnel
  no ztunnel runs on node node-1
  no ztunnel runs on node node-2
`);
  });

  test('with waypoints: which run, and who asks for one that is not there', async () => {
    serve(BOTH, BOTH);
    const gateways = '/apis/gateway.networking.k8s.io/v1/gateways';
    const spec = { gatewayClassName: 'istio-waypoint' };
    const conditions = [{ type: 'Programmed', status: 'True', reason: 'Programmed', message: '' }];
    cluster.api.put(gateways, {
      metadata: { namespace: 'shop', name: 'gate' },
      spec,
      status: { conditions },
    } as KubeObject);
    cluster.api.put(gateways, { metadata: { namespace: 'shop', name: 'new' }, spec } as KubeObject);
    cluster.api.put('/apis/apps/v1/deployments', {
      metadata: {
        namespace: 'shop',
        name: 'gate',
        labels: { 'gateway.networking.k8s.io/gateway-name': 'gate' },
      },
      status: { replicas: 2, readyReplicas: 1 },
    } as KubeObject);
    cluster.namespace('shop', { ...AMBIENT, 'istio.io/use-waypoint': 'gate' });
    cluster.namespace('outside', {
      'istio.io/use-waypoint': 'gone',
      'istio.io/use-waypoint-namespace': 'shop',
    });
    const { out } = await cluster.run('status');
    expect(out).toContain(`WAYPOINT    FOR       READY   PROGRAMMED
shop/gate   service   1/2     True
shop/new    service   0/0     Unknown
`);
    expect(out).toContain(`  waypoint shop/new is not ready: istiod has not looked at it yet
  namespace outside asks for waypoint shop/gone, which is not there
`);
  });

  test('of a component that was killed: its end, and no event from before that run', async () => {
    serve(BOTH, BOTH);
    const secondsAgo = (seconds: number) => new Date(Date.now() - seconds * 1_000).toISOString();
    cluster.api.put('/api/v1/pods', {
      metadata: { namespace: 'istio-system', name: 'ztunnel-1', labels: { app: 'ztunnel' } },
      spec: { nodeName: 'node-1' },
      status: {
        phase: 'Running',
        conditions: [{ type: 'Ready', status: 'False', message: 'unready status: [istio-proxy]' }],
        containerStatuses: [
          {
            name: 'istio-proxy',
            ready: false,
            restartCount: 1,
            state: { running: { startedAt: secondsAgo(600) } },
            lastState: {
              terminated: {
                startedAt: secondsAgo(1_200),
                finishedAt: secondsAgo(601),
                exitCode: 137,
                reason: 'Error',
              },
            },
          },
        ],
      },
    } as unknown as KubeObject);
    const note = (reason: string, seconds: number) =>
      cluster.api.put('/api/v1/events', {
        metadata: { namespace: 'istio-system', name: reason },
        ...{ reason, message: 'said', lastTimestamp: secondsAgo(seconds) },
      });
    const said = (event: string) =>
      `1 of 2 pods of ztunnel are not ready: pod ztunnel-1 on node-1 is not ready: unready status: [istio-proxy]${event}; container istio-proxy ended 10 min ago with Error, exit code 137 (1 restart); "kubectl logs -n istio-system ztunnel-1 -c istio-proxy --previous" has its last words\n`;
    note('FailedMount', 1_300);
    expect((await cluster.run('status')).out).toContain(said(''));
    note('Killing', 630);
    note('Started', 600);
    expect((await cluster.run('status')).out).toContain(said(' (last event: Killing: said)'));
    note('Unhealthy', 5);
    expect((await cluster.run('status')).out).toContain(said(' (last event: Unhealthy: said)'));
  });

  test('of one that is not', async () => {
    const failing = { ...DUMP, certificates: [{ identity: BATCH, state: 'Unavailable: CA is down' }] };
    cluster.ztunnel('ztunnel-1', 'node-1', { '/config_dump': failing });
    cluster.pod('shop', 'new', {});
    const waiting = { reason: 'ImagePullBackOff', message: 'no such image' };
    cluster.api.put('/api/v1/pods', {
      metadata: { namespace: 'istio-system', name: 'agent-1', labels: { 'k8s-app': 'istio-cni-node' } },
      spec: { nodeName: 'node-1' },
      status: { phase: 'Pending', containerStatuses: [{ state: { waiting } }] },
    } as unknown as KubeObject);
    const { code, out } = await cluster.run('status', '-o', 'json');
    expect(code).toBe(4);
    expect(JSON.parse(out)).toMatchObject({
      problems: [
        'no pod of istiod is in namespace istio-system: there is no Deployment istiod',
        '1 of 1 pods of istio-cni-node are not ready: pod agent-1 on node-1 waits: ImagePullBackOff, no such image',
        'no ztunnel runs on node node-2',
        `node-1: ${BATCH}: Unavailable: CA is down`,
        '1 of 4 pods of shop are not captured',
      ],
    });
  });
});

describe('status of proxies that do not have what they should', () => {
  const of = (pod: string, type: object, connectedAtMs = 1) => ({
    nodeId: `ztunnel~10.0.0.1~${pod}.istio-system~istio-system.svc.cluster.local`,
    connectedAtMs,
    types: [{ nonceSent: '2', nonceAcknowledged: '2', unacknowledgedForMs: 0, ...type }],
  });
  const cases: Record<
    string,
    { items: readonly object[]; syncs: readonly string[]; problems: readonly string[] }
  > = {
    'one is not connected': {
      items: [of('ztunnel-1', {})],
      syncs: ['current', 'not connected'],
      problems: [
        'node-2: its ztunnel is not connected to the control plane, and goes on with what it was told before',
      ],
    },
    'one does not take what it was sent; the other was slow once': {
      items: [
        of('ztunnel-1', { unacknowledgedForMs: 9_000, nonceAcknowledged: '1' }),
        of('ztunnel-2', { unacknowledgedForMs: 61_000, nonceAcknowledged: '1' }),
      ],
      syncs: ['current', 'behind'],
      problems: ['node-2: its ztunnel has not taken for 61 s what the control plane sent it'],
    },
    'one refuses; the other did, and has taken what came after': {
      items: [
        of('ztunnel-1', { lastRefusal: 'no such scope' }),
        of('ztunnel-2', { lastRefusal: 'no such scope', nonceAcknowledged: '1' }),
      ],
      syncs: ['current', 'refusing'],
      problems: ['node-2: its ztunnel refuses what the control plane sent it last: no such scope'],
    },
    'the stream that was opened last counts': {
      items: [
        of('ztunnel-2', {}, 5),
        of('ztunnel-1', {}),
        of('ztunnel-2', { unacknowledgedForMs: 61_000 }, 2),
        { nodeId: 'nobody' },
      ],
      syncs: ['current', 'current'],
      problems: [],
    },
  };
  test.each(Object.entries(cases))('%s', async (_, { items, syncs, problems }) => {
    serve(BOTH, BOTH);
    cluster.istiod('istiod-1', { '/debug/syncz': { items } });
    cluster.pod('istio-system', 'istio-cni-node-1', { labels: { 'k8s-app': 'istio-cni-node' } });
    const { out } = await cluster.run('status', '-o', 'json');
    expect(JSON.parse(out)).toMatchObject({ nodes: syncs.map((sync) => ({ sync })), problems });
  });

  test('a replica that does not say leaves it open', async () => {
    serve(BOTH, BOTH);
    cluster.istiod('istiod-1', { '/debug/syncz': { items: [] } });
    cluster.istiod('istiod-2', {});
    cluster.pod('istio-system', 'istio-cni-node-1', { labels: { 'k8s-app': 'istio-cni-node' } });
    const { out } = await cluster.run('status', '-o', 'json');
    expect(JSON.parse(out)).toMatchObject({ nodes: [{ sync: '' }, { sync: '' }], problems: [] });
  });
});

test('status says whose certificate should have been renewed', async () => {
  const [{ certChain } = { certChain: [] }] = DUMP.certificates;
  const late = { ...certChain[0], expirationTime: new Date(Date.now() + 60_000).toISOString() };
  const dump = { ...DUMP, certificates: [{ identity: BATCH, state: 'Available', certChain: [late] }] };
  serve({ '/config_dump': dump }, BOTH);
  const { out } = await cluster.run('status');
  expect(out).toContain(
    `  node-1: ${BATCH}: its certificate should have been renewed; it is good until ${late.expirationTime}\n`,
  );
});

describe('analyze', () => {
  const finding = (over: object) => ({
    kind: 'AuthorizationPolicy',
    namespace: 'shop',
    name: 'only-web',
    level: 'warning',
    reason: 'Advice',
    message: 'spec.rules[0]: there is no namespace "shpo"',
    ...over,
  });
  const UNBOUND = {
    level: 'error',
    reason: 'AncestorNotBound',
    message: 'Service shop/api is not bound to a waypoint',
  };
  const findings = (...items: readonly object[]): Pages => ({
    '/debug/findings': { items, total: items.length },
  });

  test('groups what it is told by object, and counts objects', async () => {
    const namespace = {
      kind: 'Namespace',
      namespace: '',
      name: 'shpo',
      message: 'label: "ambiant" says nothing',
    };
    cluster.istiod('istiod-1', findings(finding({}), finding(UNBOUND), finding(namespace)));
    expect(await cluster.run('analyze')).toEqual({
      code: 4,
      err: '',
      out: `Namespace shpo
  · label: "ambiant" says nothing
AuthorizationPolicy shop/only-web
  ✗ AncestorNotBound: Service shop/api is not bound to a waypoint
  · spec.rules[0]: there is no namespace "shpo"

1 object does not do what it says (✗); 1 object may not do what was meant (·).
`,
    });
    expect(cluster.asked).toEqual(['istiod-1 /debug/findings?limit=50000']);
  });

  test('names NetworkPolicies of the mesh that keep its port out', async () => {
    cluster.istiod('istiod-1', findings());
    const put = (namespace: string, name: string, spec: object) =>
      cluster.api.put('/apis/networking.k8s.io/v1/networkpolicies', {
        metadata: { namespace, name },
        spec,
      } as KubeObject);
    put('shop', 'only-8080', { ingress: [{ ports: [{ port: 8080 }] }] });
    put('shop', 'denies-all', { podSelector: {}, policyTypes: ['Ingress'] });
    put('shop', 'both', {
      podSelector: { matchLabels: { app: 'batch' } },
      ingress: [{ ports: [{ port: 8080 }, { port: 15_008 }] }],
    });
    put('shop', 'batch-8080', {
      podSelector: { matchLabels: { app: 'batch' } },
      ingress: [{ ports: [{ port: 8080 }] }],
    });
    put('shop', 'way-out', { policyTypes: ['Egress'] });
    put('outside', 'only-8080', { ingress: [{ ports: [{ port: 8080 }] }] });
    expect(await cluster.run('analyze')).toEqual({
      code: 0,
      err: '',
      out: `NetworkPolicy shop/only-8080
  · no rule lets in TCP port 15008, where connections of the mesh arrive: where it is enforced, they fail

1 object may not do what was meant (·).
`,
    });
  });

  test('names what nobody reads', async () => {
    cluster.istiod('istiod-1', findings());
    const filter = { metadata: { namespace: 'shop', name: 'lua' } };
    cluster.api.put('/apis/networking.istio.io/v1alpha3/envoyfilters', filter);
    cluster.api.put('/apis/networking.istio.io/v1/sidecars', {
      metadata: { namespace: 'outside', name: 'x' },
    });
    expect(await cluster.run('analyze', '-n', 'shop')).toEqual({
      code: 4,
      err: '',
      out: `EnvoyFilter shop/lua
  ✗ NotRead: nothing in this mesh reads objects of this kind

1 object does not do what it says (✗).
`,
    });
  });

  test('says what it may not look at, and does not call that well', async () => {
    cluster.istiod('istiod-1', findings());
    cluster.api.intercept = (_, path) =>
      path.includes('networkpolicies') || path.includes('sidecars')
        ? { status: 403, body: { reason: 'Forbidden' } }
        : undefined;
    expect(await cluster.run('analyze', '-n', 'shop')).toMatchObject({
      code: 4,
      err: 'ambit: you may not list sidecars, networkpolicies, so what is wrong there is not known\n',
    });
  });

  test('warnings alone are no failure', async () => {
    cluster.istiod('istiod-1', findings(finding({})));
    expect((await cluster.run('analyze')).code).toBe(0);
  });

  test('of one namespace', async () => {
    cluster.istiod('istiod-1', findings());
    expect(await cluster.run('analyze', '-n', 'shop')).toEqual({
      code: 0,
      err: '',
      out: 'Nothing is wrong with any object of namespace shop.\n',
    });
    expect(cluster.asked).toEqual(['istiod-1 /debug/findings?namespace=shop&limit=50000']);
    expect(await cluster.run('analyze', '-n', 'shpo')).toEqual({
      code: 1,
      err: 'ambit: there is no namespace shpo; did you mean shop?\n',
      out: '',
    });
  });

  test('as JSON', async () => {
    cluster.istiod('istiod-1', findings(finding(UNBOUND)));
    const { out, code } = await cluster.run('analyze', '-o', 'json');
    expect(JSON.parse(out)).toEqual([finding(UNBOUND)]);
    expect(code).toBe(4);
  });

  test('asks the next replica where one does not answer', async () => {
    cluster.istiod('istiod-1', { '/debug/findings': 500 });
    cluster.istiod('istiod-2', findings());
    expect((await cluster.run('analyze')).out).toBe('Nothing is wrong with any object.\n');
  });

  test('says who could not be asked', async () => {
    expect((await cluster.run('analyze')).err).toBe(
      'ambit: no mesh is installed in namespace istio-system; "ambit install" installs one\n',
    );
    cluster.workload('daemonsets', 'istio-cni-node', '0.1.0');
    expect(await cluster.run('analyze')).toEqual({
      code: 1,
      err: 'ambit: no istiod is ready in namespace istio-system; "ambit status" says what runs there\n',
      out: '',
    });
    cluster.istiod('istiod-1', {});
    expect((await cluster.run('analyze')).err).toBe(
      "ambit: istiod istio-system/istiod-1 has no /debug/findings: it is older than this command, or not Ambit's\n",
    );
  });
});

test('status says what the pods of a waypoint lack', async () => {
  serve(BOTH, BOTH);
  const gateways = '/apis/gateway.networking.k8s.io/v1/gateways';
  const conditions = [{ type: 'Programmed', status: 'False', reason: 'AddressNotAssigned', message: 'none' }];
  cluster.api.put(gateways, {
    metadata: { namespace: 'shop', name: 'gate' },
    spec: { gatewayClassName: 'istio-waypoint' },
    status: { conditions },
  } as KubeObject);
  cluster.pod('shop', 'gate-1', {
    phase: 'Pending',
    labels: { 'gateway.networking.k8s.io/gateway-name': 'gate', 'istio.io/dataplane-mode': 'none' },
  });
  expect((await cluster.run('status')).out).toContain(
    '  waypoint shop/gate is not ready: AddressNotAssigned: none; pod gate-1 on node-1 is Pending\n',
  );
});

test('a cluster that cannot be reached is called so', async () => {
  await cluster.api[Symbol.asyncDispose]();
  expect(await cluster.run('status')).toMatchObject({
    code: 1,
    err: expect.stringMatching(
      /^ambit: the cluster cannot be reached: .*ECONNREFUSED.*; does it run, and is this its kubeconfig and context\?\n$/,
    ),
  });
});

test('status says what is newer than its control plane', async () => {
  serve(BOTH, BOTH);
  cluster.pod('istio-system', 'istiod-1', { labels: { app: 'istiod' } });
  cluster.pod('istio-system', 'istio-cni-node-1', { labels: { 'k8s-app': 'istio-cni-node' } });
  cluster.workload('deployments', 'istiod', '0.0.9');
  cluster.workload('daemonsets', 'istio-cni-node', '0.1.0');
  const { code, out } = await cluster.run('status', '-o', 'json');
  expect(code).toBe(4);
  expect(JSON.parse(out)).toMatchObject({
    problems: [
      'istio-cni-node is 0.1.0, newer than its control plane 0.0.9; "ambit upgrade"',
      'ztunnel on node-1 is 0.1.0, newer than its control plane 0.0.9; "ambit upgrade"',
      'ztunnel on node-2 is 0.1.0, newer than its control plane 0.0.9; "ambit upgrade"',
    ],
  });
});

describe('why', () => {
  const pages = (answer: unknown): Pages => ({ '/config_dump': DUMP, '/debug/why': answer });

  test('asks both proxies and joins what they say', async () => {
    serve(pages(whyAnswer()), pages(whyAnswer({ node: 'node-2' })));
    expect(await cluster.run('why', 'batch', 'api')).toEqual({
      code: 0,
      err: '',
      out: `ALLOWED: shop/batch-1 may connect to service shop/api port 80, encrypted, as ${BATCH}
  ✓ source         shop/batch-1 on node-1 is ${BATCH}
  ✓ name           api.shop is service shop/api.shop.svc.cluster.local at 10.1.0.1
  ✓ route          direct, HBONE to 10.0.2.1:15008 for 10.0.2.1:8080
                   endpoint: 1 of 2 endpoints may take the connection
                     Kubernetes//Pod/shop/api-1 port 8080: 100 % of connections
  ✓ certificate    ${BATCH}: Available
  ✓ destination    shop/api-1 on node-2
  ✓ inbound        connects to the application at 10.0.2.1:8080
  ✓ authorization  no allow policy binds shop/api-1
`,
    });
    const query = '/debug/why?source=shop%2Fbatch-1&destination=api.shop%3A80&sourceIp=10.0.1.1';
    expect(cluster.asked).toEqual([`ztunnel-1 ${query}`, `ztunnel-2 ${query}`, 'ztunnel-2 /config_dump']);
  });

  test('names the policy that refused, and what its clause wants', async () => {
    serve(pages(whyAnswer()), pages(whyAnswer({ node: 'node-2', refused: true })));
    const { code, out } = await cluster.run('why', 'shop/batch', 'shop/api:80');
    expect(code).toBe(3);
    expect(out.split('\n')).toEqual(
      expect.arrayContaining([
        'REFUSED: shop/batch-1 may not connect to service shop/api port 80: allow policies exist, but none allowed (shop/api-only-web)',
        '  ✗ authorization  allow policies exist, but none allowed (shop/api-only-web)',
        '                   policy shop/api-only-web (ALLOW): rule 0 does not match, as its clause 0 wants principals cluster.local/ns/shop/sa/web (here: cluster.local/ns/shop/sa/batch)',
      ]),
    );
  });

  describe('names the PeerAuthentication behind STRICT', () => {
    const key = 'istio-system/istio_converted_static_strict';
    const strict = {
      step: 'authorization',
      outcome: 'refuse',
      message: `explicitly denied by: ${key}`,
      detail: {
        verdict: { kind: 'deny', by: key },
        policies: [{ policy: key, action: 'Deny', scope: 'WorkloadSelector', matchedRule: 0, failures: [] }],
      },
    };
    const ask = async () => {
      const answer = whyAnswer({ node: 'node-2', inbound: [strict] });
      serve(BOTH, pages({ ...answer, source: undefined, outbound: [] }));
      const { code, out } = await cluster.run('why', 'outside/stranger', 'api.shop:80');
      expect(code).toBe(3);
      return out;
    };

    test('by its name', async () => {
      cluster.api.put('/apis/security.istio.io/v1/peerauthentications', {
        metadata: { namespace: 'shop', name: 'only-mtls' },
        spec: { mtls: { mode: 'STRICT' } },
      } as KubeObject);
      const out = await ask();
      expect(out.split('\n')[0]).toBe(
        'REFUSED: outside/stranger may not connect to service shop/api port 80: explicitly denied by: PeerAuthentication shop/only-mtls (STRICT)',
      );
      expect(out).toContain(
        '                   PeerAuthentication shop/only-mtls (STRICT): the connection proves no identity\n',
      );
    });

    test('where they may not be read, as what it is', async () => {
      cluster.api.intercept = (_, path) =>
        path.includes('peerauthentications') ? { status: 403, body: { reason: 'Forbidden' } } : undefined;
      const out = await ask();
      expect(out).toContain('denied by: PeerAuthentication STRICT of the mesh or the namespace\n');
      expect(out).not.toContain('istio_converted_static_strict');
    });
  });

  test('says so when a proxy could not be asked', async () => {
    serve(pages(whyAnswer()), undefined);
    const { code, out } = await cluster.run('why', 'batch', 'api');
    expect(code).toBe(4);
    expect(out).toMatch(
      /^NOT KNOWN: whether shop\/batch-1 may connect .* is not known: ztunnel istio-system\/ztunnel-2 could not be asked: /,
    );
    expect(out).toContain('  ✓ route ');
  });

  test('says so when a proxy is not ours', async () => {
    serve(pages(whyAnswer()), { '/config_dump': DUMP });
    expect((await cluster.run('why', 'batch', 'api')).out).toContain('cannot say why: it has no /debug/why');
  });

  test('says so when the proxies are of different versions, or see different meshes', async () => {
    const other = whyAnswer({ node: 'node-2', version: '0.2.0' });
    serve(pages(whyAnswer()), pages({ ...other, destination: { workload: 'Kubernetes//Pod/shop/api-2' } }));
    const { code, out } = await cluster.run('why', 'batch', 'api');
    expect(code).toBe(0);
    expect(out).toContain('node-1 runs ztunnel 0.1.0, node-2 runs 0.2.0: they may decide by different rules');
    expect(out).toContain(
      'node-2 would choose Kubernetes//Pod/shop/api-2: one of them does not have the latest state yet',
    );
  });

  const outbound: Record<string, [step: Record<string, unknown>, code: number, sentence: string]> = {
    'no endpoint': [
      { step: 'route', outcome: 'refuse', message: 'no healthy upstream: 10.1.0.1:80' },
      3,
      'no healthy upstream',
    ],
    'no waypoint': [
      { step: 'route', outcome: 'refuse', message: 'unknown waypoint: waypoint shop/gate not found' },
      3,
      'unknown waypoint',
    ],
    'no certificate': [
      { step: 'certificate', outcome: 'refuse', message: `${BATCH}: Unavailable: CA is down` },
      3,
      'CA is down',
    ],
    'a name that the mesh does not know': [
      { step: 'name', outcome: 'unknown', message: 'x.y: not the name of a service in the mesh' },
      4,
      'not the name of a service in the mesh; ask for its address: "ambit why shop/batch-1 IP"',
    ],
  };
  test.each(Object.entries(outbound))('%s', async (_, [step, code, sentence]) => {
    serve(pages({ ...whyAnswer({ outbound: [step] }), destination: undefined }), BOTH);
    const ran = await cluster.run('why', 'batch', 'api');
    expect(ran.code).toBe(code);
    expect(ran.out.split('\n')[0]).toContain(sentence);
  });

  test('a source outside the mesh arrives in clear, as its destination sees it', async () => {
    const strict = { step: 'authorization', outcome: 'refuse', message: 'explicitly denied by: shop/strict' };
    serve(
      BOTH,
      pages({ ...whyAnswer({ node: 'node-2', inbound: [strict] }), source: undefined, outbound: [] }),
    );
    expect(await cluster.run('why', 'outside/stranger', 'api.shop:80')).toEqual({
      code: 3,
      err: '',
      out: `REFUSED: outside/stranger may not connect to service shop/api port 80: explicitly denied by: shop/strict
  · source         outside/stranger on node-1 is not in the mesh (neither it nor namespace outside has the label istio.io/dataplane-mode=ambient): what it sends is in clear and proves no identity
  ✓ destination    shop/api-1 on node-2
  ✗ authorization  explicitly denied by: shop/strict
`,
    });
    expect(cluster.asked[0]).toBe(
      'ztunnel-2 /debug/why?captured=false&sourceIp=10.0.1.9&destination=10.0.2.1%3A8080',
    );
  });

  test('a destination outside the mesh enforces nothing', async () => {
    cluster.pod('shop', 'api-1', {
      ip: '10.0.2.1',
      node: 'node-2',
      labels: { 'istio.io/dataplane-mode': 'none' },
    });
    serve(pages(whyAnswer()), BOTH);
    const { code, out } = await cluster.run('why', 'batch', 'api');
    expect(code).toBe(0);
    expect(out).toContain(
      'shop/api-1 on node-2 is not in the mesh (its label says istio.io/dataplane-mode=none): what reaches it is in clear, and no policy is enforced there',
    );
  });

  test('by address, and both ends outside', async () => {
    serve(BOTH, BOTH);
    const { code, out } = await cluster.run('why', '192.0.2.7', '10.0.1.9:80');
    expect(code).toBe(0);
    expect(out).toMatch(/^ALLOWED: 192\.0\.2\.7 may connect to pod outside\/stranger port 80, in clear\n/);
    expect(out).toContain('192.0.2.7 is no pod of this cluster');
    expect(out).toContain('outside/stranger on node-1 is not in the mesh');
  });

  test('a service without endpoint, seen from outside', async () => {
    serve(BOTH, BOTH);
    cluster.service('shop', 'empty', '10.1.0.2', [80]);
    const { code, out } = await cluster.run('why', 'outside/stranger', '10.1.0.2');
    expect([code, out.split('\n')[0]]).toEqual([
      3,
      'REFUSED: outside/stranger may not connect to service shop/empty port 80: service shop/empty port 80 has no ready endpoint',
    ]);
  });

  test('several pods of that name: it says which one it is about', async () => {
    cluster.pod('shop', 'batch-2', { ...CAPTURED, ip: '10.0.1.3' });
    serve(pages(whyAnswer()), pages(whyAnswer({ node: 'node-2' })));
    expect((await cluster.run('why', 'batch', 'api')).out).toContain(
      'batch is 2 pods; this is about shop/batch-1',
    );
  });

  test("a short name is looked up in the source's namespace, as its DNS does, whatever the kubeconfig says", async () => {
    serve(BOTH, BOTH);
    cluster.service('outside', 'api', '10.1.0.5', [81]);
    expect((await cluster.run('why', 'outside/stranger', 'api')).out.split('\n')[0]).toContain(
      'outside/stranger may not connect to service outside/api port 81: ',
    );
    expect((await cluster.run('why', '10.0.1.9', 'api')).out).toContain('service outside/api port 81');
    expect((await cluster.run('why', '-n', 'shop', 'outside/stranger', 'api')).out).toContain(
      'service shop/api port 80',
    );
    expect((await cluster.run('why', '192.0.2.7', 'api')).out).toContain('service shop/api port 80');
  });

  test("then in the kubeconfig's, with a word on what its DNS would not find", async () => {
    serve(BOTH, pages(whyAnswer({ node: 'node-2' })));
    const { out } = await cluster.run('why', 'outside/stranger', 'api');
    expect(out).toContain('service shop/api port 80');
    expect(out).toContain(
      '· note           namespace outside has no api; this is about the one in shop, which that pod has to call by its namespace too',
    );
    expect((await cluster.run('why', 'outside/stranger', 'nothing')).err).toBe(
      'ambit: there is no service and no pod nothing in namespaces outside and shop\n',
    );
  });

  const wrong: Record<string, [args: string[], code: number, message: string]> = {
    'no such source': [
      ['nobody', 'api'],
      1,
      'no pod in namespace shop is called nobody or begins with nobody-; of another namespace it is NAMESPACE/NAME, or --namespace\n',
    ],
    'no such destination': [
      ['web', 'nothing'],
      1,
      'there is no service and no pod nothing in namespace shop',
    ],
    'a mistyped source': [['bacth', 'api'], 1, 'begins with bacth-; did you mean batch?\n'],
    'a mistyped destination': [
      ['web', 'shop/apii:80'],
      1,
      'there is no service and no pod apii in namespace shop; did you mean api?\n',
    ],
    'no such namespace': [['nowhere/web', 'api'], 1, 'no pod in namespace nowhere'],
    'a service with several ports': [['web', 'many'], 2, 'name a port of service shop/many: it has 80, 443'],
    'a pod with no declared port': [['web', 'outside/stranger'], 2, 'name a port of pod outside/stranger'],
    'an address with nothing known': [['web', '192.0.2.1'], 2, 'name a port, such as 192.0.2.1:80'],
    'a host with no port': [['web', 'example.com'], 2, 'name a port, such as example.com:443'],
  };
  test.each(Object.entries(wrong))('%s', async (_, [args, code, message]) => {
    cluster.service('shop', 'many', '10.1.0.3', [80, 443]);
    const ran = await cluster.run('why', ...args);
    expect(ran).toMatchObject({ code, out: '', err: expect.stringContaining(message) });
  });
});
