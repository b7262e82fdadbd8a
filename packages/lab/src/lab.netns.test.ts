import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { setTimeout as sleep } from 'node:timers/promises';
import { portForward } from '@ambit/kube/port-forward';
import { endpointSlices, pods } from '@ambit/kube/resources/core';
import { type Lab, startLab } from './lab.ts';
import { run } from './network/command.ts';
import { LabFixture, namespaceText, serverPod, serviceText } from './testing/lab-fixture.ts';
import { isReady } from './workloads/template.ts';

const signal = new AbortController().signal;

const fdCount = () => readdirSync('/proc/self/fd').length;
let lab: Lab;
let fixture: LabFixture;

beforeAll(async () => {
  lab = await startLab({ environment: { PATH: process.env['PATH'] } });
  fixture = new LabFixture(lab, signal);
  await fixture.apply(namespaceText('shop'));
  await fixture.apply(
    serverPod('one', 'node-a'),
    serverPod('two', 'node-b'),
    serviceText('one'),
    serviceText('two'),
  );
  await Promise.all([fixture.ready('one'), fixture.ready('two')]);
});
afterAll(async () => {
  await lab?.stop();
});

describe('two pods on two nodes', () => {
  test('each has an address of each family, and tells who it is', async () => {
    const two = await fixture.ready('two');
    const [ipv4 = '', ipv6 = ''] = (two.status?.podIPs ?? []).map(({ ip }) => ip);
    expect([ipv4, ipv6]).toEqual([
      expect.stringMatching(/^10\.244\.2\./),
      expect.stringMatching(/^fd00:10:244:2::/),
    ]);
    const one = await fixture.ready('one');
    const source = one.status?.podIP ?? '';
    // No translation between pods: the server sees the client's own address.
    expect((await fixture.ask('one', `http://${ipv4}:8080/`)).output).toBe(
      `two says hello to ::ffff:${source}\n`,
    );
    expect((await fixture.ask('one', `http://[${ipv6}]:8080/`)).output).toContain(
      'two says hello to fd00:10:244:1::',
    );
  });

  test('a Service is found by name, and answers', async () => {
    for (const url of ['http://two/', 'http://two.shop.svc.cluster.local/'])
      expect(
        await fixture.eventually(url, async () => {
          const { status, output } = await fixture.ask('one', url);
          return status === 0 && output;
        }),
      ).toContain('two says hello');
  });

  test('a pod reaches the API server with its own token', async () => {
    const script = `
      const { readFileSync } = require('node:fs');
      const at = '/var/run/secrets/kubernetes.io/serviceaccount/';
      const { KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port } = process.env;
      const headers = { authorization: 'Bearer ' + readFileSync(at + 'token') };
      require('node:https').get({ host, port, path: '/apis', headers, ca: readFileSync(at + 'ca.crt') },
        (answer) => { console.log(answer.statusCode); answer.resume(); });`;
    const env = (await fixture.ready('one')).metadata.uid;
    expect(env).toBeDefined();
    const name = 'asks-api';
    const containers = [{ name: 'main', image: 'none', command: [process.execPath, '-e', script] }];
    await fixture.apply(serverPod(name, 'node-a', { containers, restartPolicy: 'Never' }));
    await fixture.eventually(
      'succeeded',
      async () => (await fixture.get(name))?.status?.phase === 'Succeeded',
    );
    expect(lab.logsOf({ namespace: 'shop', name })).toBe('200\n');
    await lab.client.delete(pods, { name, namespace: 'shop' }, {}, signal);
    await fixture.eventually('gone', async () => (await fixture.get(name)) === undefined);
  });

  test('what they print is kept, and their ports can be reached from outside', async () => {
    expect(lab.logsOf({ namespace: 'shop', name: 'two' })).toContain('asked /');
    const stream = await portForward(lab.client, { namespace: 'shop', name: 'two', port: 8080 }, signal);
    stream.write('GET /forwarded HTTP/1.0\r\n\r\n');
    let text = '';
    for await (const chunk of stream) text += String(chunk);
    expect(text).toContain('two says hello');
  });

  test('frames of their talk cross the link between the nodes', async () => {
    await fixture.eventually('their talk on the wire', async () => {
      const captured = lab.capture(1_500, signal);
      await sleep(500);
      await fixture.ask('one', 'http://two/on-the-wire');
      return (await captured).includes('GET /on-the-wire');
    });
  });

  test('a process that ends is started again, as the same pod', async () => {
    const before = await fixture.ready('two');
    await fixture.ask('one', 'http://two/exit');
    const after = await fixture.eventually('a restart', async () => {
      const one = await fixture.get('two');
      return one && isReady(one) && JSON.stringify(one.status).includes('"restartCount":1') ? one : undefined;
    });
    expect([after.metadata.uid, after.status?.podIP]).toEqual([before.metadata.uid, before.status?.podIP]);
  });
});

describe('what the kubelet makes of a pod', () => {
  test('volumes, variables and DNS are there before the process starts', async () => {
    const script = `for (const path of process.argv.slice(1))
      console.log(require('node:fs').readFileSync(path, 'utf8').trim().split('\\n')[0]);
      console.log(process.env.GREETING, process.env.NODE, process.env.CPUS > 0);`;
    const files = [
      '/etc/app/motd',
      '/var/run/secrets/tokens/istio-token',
      '/etc/resolv.conf',
      '/data/node/x',
      '/etc/hostname',
    ];
    const spec = {
      restartPolicy: 'Never',
      volumes: [
        { name: 'config', configMap: { name: 'app' } },
        { name: 'host', hostPath: { path: '/var/lib/app', type: 'DirectoryOrCreate' } },
        { name: 'scratch', emptyDir: {} },
        {
          name: 'token',
          projected: {
            sources: [
              {
                serviceAccountToken: { audience: 'istio-ca', expirationSeconds: 43200, path: 'istio-token' },
              },
            ],
          },
        },
      ],
      initContainers: [
        {
          name: 'writes',
          image: 'none',
          command: ['sh', '-c', 'echo from init > /data/node/x'],
          volumeMounts: [{ name: 'host', mountPath: '/data/node' }],
        },
      ],
      containers: [
        {
          name: 'main',
          image: 'none',
          command: [process.execPath, '-e', script, '--', ...files],
          env: [
            { name: 'WHO', value: 'world' },
            { name: 'GREETING', value: 'hello $(WHO) $$(WHO)' },
            { name: 'NODE', valueFrom: { fieldRef: { fieldPath: 'spec.nodeName' } } },
            { name: 'CPUS', valueFrom: { resourceFieldRef: { resource: 'limits.cpu', divisor: '1' } } },
          ],
          volumeMounts: [
            { name: 'config', mountPath: '/etc/app' },
            { name: 'host', mountPath: '/data/node' },
            { name: 'scratch', mountPath: '/scratch' },
            { name: 'token', mountPath: '/var/run/secrets/tokens' },
          ],
        },
      ],
    };
    await fixture.apply(serverPod('reads', 'node-b', spec));
    // Not before its ConfigMap exists, and it says so.
    await fixture.eventually('waiting', async () => {
      const text = JSON.stringify((await fixture.get('reads'))?.status ?? {});
      return text.includes('ConfigMap shop/app does not exist');
    });
    const described = await run([
      'kubectl',
      '--kubeconfig',
      lab.kubeconfigPath,
      '-n',
      'shop',
      'describe',
      'pod',
      'reads',
    ]);
    expect(described).toMatch(/Warning +FailedMount .*kubelet +ConfigMap shop\/app does not exist/);
    const configMap =
      'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: app, namespace: shop}\ndata: {motd: be well}\n';
    await fixture.apply(configMap);
    await fixture.eventually(
      'succeeded',
      async () => (await fixture.get('reads'))?.status?.phase === 'Succeeded',
    );
    const lines = lab.logsOf({ namespace: 'shop', name: 'reads' }).split('\n');
    expect(lines).toEqual([
      'be well',
      expect.stringMatching(/^ey/),
      'nameserver 10.96.0.10',
      'from init',
      'reads',
      'hello world $(WHO) node-b true',
      '',
    ]);
    const claims = JSON.parse(Buffer.from(lines[1]?.split('.')[1] ?? '', 'base64url').toString());
    expect(claims).toMatchObject({
      aud: ['istio-ca'],
      'kubernetes.io': { namespace: 'shop', pod: { name: 'reads' } },
    });
  });

  test('pods without a node get one in turn, those on the node network have its address', async () => {
    const text = [
      serverPod('anywhere', undefined),
      serverPod('on-node', 'node-a', { hostNetwork: true }),
    ].join('\n---\n');
    await fixture.apply(text);
    const [anywhere, onNode] = [await fixture.ready('anywhere'), await fixture.ready('on-node')];
    expect(anywhere.spec?.nodeName).toMatch(/^node-[ab]$/);
    expect(onNode.status?.podIPs).toEqual([{ ip: '172.18.0.11' }, { ip: 'fd00:172:18::11' }]);
  });

  test('a command that is not there is a restarting pod, not a failing lab', async () => {
    const containers = [{ name: 'main', image: 'none', command: ['/no/such/program'] }];
    await fixture.apply(serverPod('broken', 'node-a', { containers }));
    await fixture.eventually('restarting', async () =>
      JSON.stringify((await fixture.get('broken'))?.status ?? {}).includes('CrashLoopBackOff'),
    );
    expect(lab.logsOf({ namespace: 'shop', name: 'broken' })).toContain('/no/such/program');
    await lab.client.delete(pods, { name: 'broken', namespace: 'shop' }, {}, signal);
    await fixture.eventually('gone', async () => (await fixture.get('broken')) === undefined);
  });

  test('a container that fails its liveness probe is started again', async () => {
    const containers = [
      {
        name: 'main',
        image: 'none',
        command: ['sh', '-c', 'touch /tmp/well; sleep 1000'],
        livenessProbe: {
          exec: { command: ['test', '-e', '/tmp/well'] },
          initialDelaySeconds: 1,
          periodSeconds: 1,
          failureThreshold: 1,
        },
      },
    ];
    await fixture.apply(serverPod('mortal', 'node-a', { containers }));
    await fixture.ready('mortal');
    const outcome = await lab.exec(
      { namespace: 'shop', name: 'mortal' },
      ['sh', '-c', 'rm /tmp/well; echo $NAME'],
      signal,
    );
    expect(outcome).toEqual({ status: 0, output: '\n' });
    await fixture.eventually('a restart', async () =>
      JSON.stringify((await fixture.get('mortal'))?.status).includes('"restartCount":1'),
    );
  });

  test('a node agent sees namespaces and processes of pods that start after it', async () => {
    const paths = {
      proc: ['/proc', '/host/proc'],
      netns: ['/var/run/netns', '/host/var/run/netns'],
    } as const;
    const spec = {
      volumes: Object.entries(paths).map(([name, [path]]) => ({ name, hostPath: { path } })),
      containers: [
        {
          name: 'main',
          image: 'none',
          command: ['sleep', '1000'],
          volumeMounts: Object.entries(paths).map(([name, [, mountPath]]) => ({ name, mountPath })),
        },
      ],
    };
    const agent = { namespace: 'shop', name: 'agent' };
    await fixture.apply(serverPod('agent', 'node-b', spec));
    await fixture.ready('agent');
    await fixture.apply(serverPod('later', 'node-b'));
    const later = await fixture.ready('later');
    const pin = lab.netnsPathOf({ namespace: 'shop', name: 'later' })?.split('/').at(-1) ?? '';
    const inside = await lab.exec(
      agent,
      ['nsenter', `--net=/host/var/run/netns/${pin}`, 'hostname', '-I'],
      signal,
    );
    expect(inside.output).toContain(later.status?.podIP);
    const uid = (later.metadata.uid ?? '').replaceAll('-', '_');
    const processes = await lab.exec(
      agent,
      ['sh', '-c', `grep -l pod${uid} /host/proc/[0-9]*/cgroup`],
      signal,
    );
    expect(processes.output).toMatch(/^\/host\/proc\/\d+\/cgroup\n$/);
    await lab.client.delete(pods, { name: 'later', namespace: 'shop' }, {}, signal);
    await fixture.eventually('gone', async () => (await fixture.get('later')) === undefined);
    expect((await lab.exec(agent, ['ls', '/host/var/run/netns'], signal)).output).not.toContain(pin);
  });

  test('a deleted pod ends with grace, and leaves no namespace, process or endpoint', async () => {
    const one = await fixture.ready('one');
    const path = lab.netnsPathOf({ namespace: 'shop', name: 'one' }) ?? '';
    expect(existsSync(path)).toBe(true);
    await lab.client.delete(pods, { name: 'one', namespace: 'shop' }, {}, signal);
    await fixture.eventually('gone', async () => (await fixture.get('one')) === undefined);
    expect(existsSync(path)).toBe(false);
    const folders = readFileSync('/proc/self/mountinfo', 'utf8');
    expect(folders).not.toContain(path);
    await fixture.eventually('no endpoint', async () => {
      const { items } = await lab.client.list(endpointSlices, { namespace: 'shop' }, signal);
      return !JSON.stringify(items).includes(one.status?.podIP ?? '');
    });
    expect((await fixture.ask('two', 'http://one/')).status).toBe(1);
  });

  test('DaemonSets and Deployments have the pods they ask for, and follow their template', async () => {
    const template = (text: string) => ({
      metadata: { labels: { app: 'sleeper' } },
      spec: {
        terminationGracePeriodSeconds: 0,
        containers: [{ name: 'main', image: 'none', command: ['sh', '-c', `echo ${text}; sleep 1000`] }],
      },
    });
    const object = (kind: string, text: string, spec: object) =>
      JSON.stringify({
        apiVersion: 'apps/v1',
        kind,
        metadata: { name: 'sleeper', namespace: kind.toLowerCase() },
        spec: { selector: { matchLabels: { app: 'sleeper' } }, template: template(text), ...spec },
      });
    const apply = async (text: string) => {
      const both = [object('DaemonSet', text, {}), object('Deployment', text, { replicas: 3 })].join(
        '\n---\n',
      );
      await fixture.apply(both);
      for (const [namespace, count] of [
        ['daemonset', 2],
        ['deployment', 3],
      ] as const) {
        await fixture.eventually(`${count} pods of ${namespace}`, async () => {
          const { items } = await lab.client.list(pods, { namespace }, signal);
          const all = items.map(({ metadata: { name } }) => lab.logsOf({ namespace, name }).trim());
          return items.length === count && items.every(isReady) && all.every((log) => log === text);
        });
      }
    };
    for (const name of ['daemonset', 'deployment']) await fixture.apply(namespaceText(name));
    await apply('first');
    await apply('second');
  });
});

test('a lab that is stopped leaves nothing, and can be started again', async () => {
  await lab.stop();
  expect((await run(['ip', 'netns', 'list'])).trim()).toBe('');
  expect(existsSync('/run/ambit-lab')).toBe(false);
  expect(readFileSync('/proc/self/mountinfo', 'utf8')).not.toContain('/run/ambit-lab');
  const before = fdCount();
  lab = await startLab({ nodes: 1, environment: { PATH: process.env['PATH'] } });
  await lab.stop();
  for (let i = 0; i < 200 && fdCount() > before; i++) await sleep(50);
  expect(fdCount()).toBeLessThanOrEqual(before);
  lab = await startLab({ nodes: 1, environment: { PATH: process.env['PATH'] } });
});

test.each([0, 17, 1.5])('%d nodes are refused', async (nodes) => {
  await expect(startLab({ nodes, environment: {} })).rejects.toThrow('1 to 16 nodes');
});
