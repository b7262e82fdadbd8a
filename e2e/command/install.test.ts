import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { shipped } from '@ambit/cli/install/shipped';
import { PlayedCluster } from './playing.ts';

/** Each installs a whole mesh, some more than once. */
jest.setTimeout(180_000);

const MERGE = 'application/merge-patch+json';
const SYSTEM = '/apis/apps/v1/namespaces/istio-system';

let cluster: PlayedCluster;
beforeEach(async () => {
  cluster = await PlayedCluster.start();
});
afterEach(() => cluster[Symbol.asyncDispose]());

const install = (...more: readonly string[]) => cluster.run(['install', '--yes', ...more]);
const labels = (value: string | null) => ({ metadata: { labels: { 'istio.io/dataplane-mode': value } } });

describe('install', () => {
  test('shows the plan, applies it in order and waits', async () => {
    const { code, out, err } = await install();
    expect({ code, err }).toEqual({ code: 0, err: '' });
    const { version } = await shipped();
    expect(out).toMatch(
      new RegExp(`^Install Ambit ${version} in namespace istio-system: \\d+ to create\\.\n`),
    );
    const created = [...out.matchAll(/^created (\S+) /gm)].map((match) => match[1]);
    expect(created.slice(0, 3)).toEqual([
      'Namespace',
      'CustomResourceDefinition',
      'CustomResourceDefinition',
    ]);
    expect(created.at(-1)).toBe('ValidatingAdmissionPolicyBinding');
    expect(out).toContain('istiod: 1 of 1 ready\n');
    expect(out).toMatch(/Ambit \S+ is installed and ready\..*\n$/);
  });

  test('over an installation it changes nothing', async () => {
    await install();
    const before = await cluster.snapshot();
    const { code, out } = await install();
    expect(code).toBe(0);
    expect(out).toMatch(/: \d+ unchanged\.\n/);
    expect(await cluster.snapshot()).toEqual(before);
  });

  test('--dry-run changes nothing, and prints what would be applied', async () => {
    const before = await cluster.snapshot();
    expect((await cluster.run(['install', '--dry-run'])).out).toMatch(
      /Nothing was changed \(--dry-run\)\.\n$/,
    );
    const { out } = await cluster.run(['install', '--dry-run', '-o', 'json', '--set', 'global.tag=v9']);
    const { items } = JSON.parse(out) as { items: readonly { kind: string; metadata: { name: string } }[] };
    expect(items.map(({ kind, metadata }) => `${kind} ${metadata.name}`)).toContain('DaemonSet ztunnel');
    expect(out).toContain('ambit/istiod:v9');
    expect((await cluster.run(['install', '--dry-run', '-o', 'yaml'])).out).toMatch(
      /^---\napiVersion: v1\nkind: Namespace\n/,
    );
    expect(await cluster.snapshot()).toEqual(before);
  });

  test('asks first; whoever is not there or says no has changed nothing', async () => {
    const before = await cluster.snapshot();
    expect(await cluster.run(['install'])).toMatchObject({
      code: 2,
      err: 'ambit: nobody can be asked here, as standard input is no terminal: --yes goes on without asking, --dry-run shows the plan alone\n',
    });
    expect(await cluster.run(['install'], { answer: false })).toMatchObject({
      code: 1,
      err: 'ambit: not confirmed; nothing was changed\n',
    });
    expect(await cluster.snapshot()).toEqual(before);
    expect(await cluster.run(['install'], { answer: true })).toMatchObject({ code: 0 });
  });

  test('values are kept for the next time, until they are forgotten', async () => {
    await install('--set', 'istiod.replicaCount=3', '--set', 'istiod.env.A=b', '--no-wait');
    const { out } = await install('--set', 'istiod.env.C=d', '--no-wait');
    expect(out).toContain('istiod.replicaCount = 3 (chosen before; --reset-values forgets it)\n');
    expect((await cluster.get(`${SYSTEM}/deployments/istiod`)).text).toContain('"replicas":3');
    expect((await install('--reset-values', '--no-wait')).out).toContain('spec.replicas');
    expect((await cluster.get(`${SYSTEM}/deployments/istiod`)).text).toContain('"replicas":1');
  });

  test('what is no longer part of it goes', async () => {
    await install('--set', 'istiod.autoscaleEnabled=true', '--no-wait');
    const { out } = await install('--set', 'istiod.autoscaleEnabled=false');
    expect(out).toContain('removed HorizontalPodAutoscaler istio-system/istiod\n');
  });

  test('says what is not ready when time is up, and goes on the next time', async () => {
    cluster.stuck.add('ztunnel');
    const { code, err } = await install('--timeout', '5s');
    expect(code).toBe(5);
    expect(err).toBe(
      'ambit: DaemonSet ztunnel: 0 of 2 updated, 0 ready; it has no pods yet\n' +
        'ambit: not ready after 5 s; what was applied stays: run this again to go on waiting\n',
    );
    cluster.stuck.clear();
    expect((await install()).code).toBe(0);
  });

  test('interrupted in the middle, another run goes on', async () => {
    const interrupt = new AbortController();
    const { code, err } = await cluster.run(['install', '--yes'], {
      signal: interrupt.signal,
      onPrint: (text) => {
        if (text.startsWith('created ServiceAccount')) interrupt.abort();
      },
    });
    expect({ code, err }).toEqual({
      code: 1,
      err: 'ambit: what was applied stays; run this again to go on\nambit: interrupted\n',
    });
    expect((await cluster.get(`${SYSTEM}/daemonsets/ztunnel`)).status).toBe(404);
    const { code: after, out } = await install();
    expect(after).toBe(0);
    expect(out).toMatch(/: \d+ to create, \d+ unchanged\.\n/);
  });

  test('is refused beside a live Istio, with the way over; nothing is written', async () => {
    await cluster.request('POST', '/api/v1/namespaces', { metadata: { name: 'istio-system' } });
    const metadata = {
      name: 'ztunnel',
      labels: { app: 'ztunnel' },
      annotations: { 'meta.helm.sh/release-name': 'zt' },
    };
    const selector = { matchLabels: { app: 'ztunnel' } };
    const template = {
      metadata: { labels: { app: 'ztunnel' } },
      spec: { containers: [{ name: 'a', image: 'b' }] },
    };
    await cluster.request('POST', `${SYSTEM}/daemonsets`, { metadata, spec: { selector, template } });
    await install('--dry-run');
    const before = await cluster.snapshot();
    const { code, err } = await install();
    expect(code).toBe(1);
    expect(err).toMatch(
      /^ambit: a live Istio, or something named as its parts, is here: DaemonSet istio-system\/ztunnel \(Helm release zt\);.*remove zt, then "ambit install --component ztunnel".*\nambit: nothing was changed\n$/,
    );
    expect(await cluster.snapshot()).toEqual(before);
    expect((await install('--component', 'istiod', '--component', 'cni')).code).toBe(0);
  });

  test('fields that somebody else has set are not taken by the way', async () => {
    await install();
    await cluster.request(
      'PATCH',
      `${SYSTEM}/deployments/istiod?fieldManager=mine`,
      { spec: { replicas: 4 } },
      MERGE,
    );
    const { code, err } = await install();
    expect(code).toBe(1);
    expect(err).toMatch(
      /somebody else has set fields of Deployment istio-system\/istiod.*mine.*replicas.*--force-conflicts/,
    );
    expect((await install('--force-conflicts')).code).toBe(0);
  });

  test('--force-conflicts takes fields over from whoever has set the same value, once for all', async () => {
    await install();
    const path = `${SYSTEM}/deployments/istiod`;
    const theirs = {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name: 'istiod', annotations: { mine: 'x' } },
      spec: { replicas: 1 },
    };
    await cluster.request('PATCH', `${path}?fieldManager=mine`, theirs, 'application/apply-patch+yaml');
    expect((await install()).out).toMatch(/: \d+ unchanged\.\n/);
    const more = ['--set', 'istiod.replicaCount=2', '--no-wait'] as const;
    expect((await install(...more)).err).toMatch(/by "mine": \.spec\.replicas/);

    const shown = await install('--force-conflicts', '--dry-run');
    expect(shown.out).toMatch(/1 to take over, \d+ unchanged\./);
    expect(shown.out).toMatch(
      /^take-over +Deployment istio-system\/istiod +istiod +from "mine": \.spec\.replicas$/m,
    );
    expect((await install('--force-conflicts')).out).toContain('took over Deployment istio-system/istiod\n');
    expect((await install('--force-conflicts')).out).toMatch(/: \d+ unchanged\.\n/);
    const { text } = await cluster.get(path);
    expect(text).toContain('"mine":"x"');
    expect(text).toContain('"manager":"mine"');
    expect((await install(...more)).code).toBe(0);
  });

  test('--force-conflicts takes over what it changes by the way, too', async () => {
    await install();
    const path = `${SYSTEM}/deployments/istiod`;
    const { body } = await cluster.get(path);
    const { strategy, replicas } = body['spec'] as Readonly<Record<string, unknown>>;
    const theirs = {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name: 'istiod' },
      spec: { replicas, strategy },
    };
    await cluster.request('PATCH', `${path}?fieldManager=mine`, theirs, 'application/apply-patch+yaml');
    const { code, out } = await install('--force-conflicts', '--set', 'istiod.replicaCount=2', '--no-wait');
    expect(code).toBe(0);
    expect(out).toMatch(/^change +Deployment .*spec\.replicas.*; from "mine": \.spec\.strategy/m);
    expect((await cluster.get(path)).text).not.toContain('"manager":"mine"');
  });

  test('what the control plane made of its webhook stays', async () => {
    await install();
    const path =
      '/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/istio-validator-istio-system';
    const { body } = await cluster.get(path);
    const [first, ...others] = body['webhooks'] as readonly object[];
    const webhooks = [{ ...first, failurePolicy: 'Fail' }, ...others];
    await cluster.request('PUT', path, { ...body, webhooks });
    expect((await install()).out).toMatch(/: \d+ unchanged\.\n/);
    expect((await cluster.get(path)).text).toContain('"failurePolicy":"Fail"');
  });

  test.each([
    [['--component', 'pilot'], '--component is one of base, istiod, cni, ztunnel, not "pilot"'],
    [['--set', 'global.hubb=x'], 'there is no value global.hubb; did you mean global.hub?'],
    [['--values', '/nonexistent.yaml'], 'values file /nonexistent.yaml: '],
    [['--mesh-namespace', 'mesh'], 'this command installs into istio-system alone'],
  ])('%j is a wrong command line', async (args, message) => {
    const { code, err } = await install(...args);
    expect(err).toContain(message);
    expect(code).toBe(2);
  });
});

describe('upgrade', () => {
  const upgrade = (version: string, ...more: readonly string[]) =>
    cluster.run(['upgrade', '--yes', ...more], { version });

  test('takes one component after the other', async () => {
    const { manifests } = await shipped();
    await install();
    const { version } = await shipped();
    const newer = manifests.replaceAll(version, '9.1.0');
    const ran = await cluster.run(['upgrade', '--yes'], { version: '9.1.0', manifests: newer });
    expect(ran.code).toBe(0);
    expect(ran.out).toContain(`istiod: ${version} → 9.1.0\n`);
    const order = [
      'changed Deployment',
      'istiod: 1 of 1',
      'changed DaemonSet istio-system/istio-cni-node',
      'istio-cni-node: 2 of 2',
      'changed DaemonSet istio-system/ztunnel',
      'ztunnel: 2 of 2',
    ];
    const places = order.map((text) => ran.out.indexOf(text));
    expect(places.every((place) => place >= 0)).toBe(true);
    expect(places).toEqual(places.toSorted((a, b) => a - b));
    expect((await cluster.run(['install', '--yes'])).err).toContain('is newer than this command');
    expect((await upgrade(version)).err).toContain('--allow-downgrade');
    expect((await upgrade(version, '--allow-downgrade')).code).toBe(0);
  });

  test('stops at the component that does not become ready, and says how to go back', async () => {
    const { manifests, version } = await shipped();
    await install();
    cluster.stuck.add('istio-cni-node');
    const newer = { version: '9.1.0', manifests: manifests.replaceAll(version, '9.1.0') };
    const { code, err } = await cluster.run(['upgrade', '--yes', '--timeout', '5s'], newer);
    expect(code).toBe(5);
    expect(err).toContain(`use the ambit command of ${version} with "upgrade --allow-downgrade"`);
    const { text } = await cluster.get(`${SYSTEM}/daemonsets/ztunnel`);
    expect(text).toContain(`/ztunnel:${version}`);
  });

  test('of nothing is refused', async () => {
    expect((await upgrade('9.1.0')).err).toContain('no Ambit is installed here');
  });
});

describe('uninstall', () => {
  const pod = {
    metadata: { name: 'web', namespace: 'shop', annotations: { 'ambient.istio.io/redirection': 'enabled' } },
    spec: { nodeName: 'n', containers: [{ name: 'a', image: 'b' }] },
  };
  const PODS = '/api/v1/namespaces/shop/pods';
  const enrolled = async () => {
    await cluster.request('POST', '/api/v1/namespaces', {
      metadata: { name: 'shop', ...labels('ambient').metadata },
    });
    await cluster.request('POST', PODS, pod);
    await cluster.request('PATCH', `${PODS}/web/status`, { status: { phase: 'Running' } }, MERGE);
  };
  const uninstall = (...more: readonly string[]) => cluster.run(['uninstall', '--yes', ...more]);

  test('leaves nothing but what it says, and with --crds --purge nothing at all', async () => {
    const before = await cluster.snapshot();
    await install();
    const { code, out } = await uninstall();
    expect(code).toBe(0);
    expect(out).toMatch(/^keep +CustomResourceDefinition authorizationpolicies\.security\.istio\.io/m);
    expect((await cluster.get(`${SYSTEM}/daemonsets/ztunnel`)).status).toBe(404);
    expect((await uninstall()).out).toMatch(/^keep .*\n\nNothing else is left to remove\.\n$/m);
    expect((await uninstall('--crds', '--purge')).code).toBe(0);
    expect([...(await cluster.snapshot()).keys()]).toEqual([...before.keys()]);
    expect(await uninstall('--crds', '--purge')).toEqual({
      code: 0,
      out: 'Nothing of Ambit is here.\n',
      err: '',
    });
  });

  test('--purge leaves the namespace while there is anything of others in it, and what only has our label', async () => {
    await install();
    const labelled = { labels: { 'app.kubernetes.io/part-of': 'ambit' } };
    await cluster.request('POST', '/api/v1/namespaces', { metadata: { name: 'shop' } });
    const put = async (namespace: string, metadata: object, plural: string, rest = {}) => {
      const path = `${plural.includes('/') ? '/apis' : '/api/v1'}/${plural.replace('/', '/v1/')}`;
      const at = path.replace(/\/([^/]+)$/, `/namespaces/${namespace}/$1`);
      expect((await cluster.request('POST', at, { metadata, ...rest })).status).toBe(201);
    };
    await put('istio-system', { name: 'cacerts' }, 'secrets', { data: { 'ca-key.pem': btoa('theirs') } });
    await put('istio-system', { name: 'deny-all' }, 'security.istio.io/authorizationpolicies', { spec: {} });
    await put('istio-system', { name: 'theirs' }, 'configmaps');
    await put('shop', { name: 'theirs', ...labelled }, 'configmaps');
    const { code, out } = await uninstall('--purge');
    expect(code).toBe(0);
    expect(out).toMatch(
      /^keep +Namespace istio-system +not the mesh's: AuthorizationPolicy deny-all, ConfigMap theirs, Secret cacerts$/m,
    );
    const status = async (path: string) => (await cluster.get(`/api/v1/namespaces/${path}`)).status;
    expect(await status('istio-system/secrets/cacerts')).toBe(200);
    expect(await status('shop/configmaps/theirs')).toBe(200);
    expect(await status('istio-system/secrets/istio-ca-secret')).toBe(404);
    await cluster.request('DELETE', '/api/v1/namespaces/istio-system/secrets/cacerts');
    await cluster.request('DELETE', '/api/v1/namespaces/istio-system/configmaps/theirs');
    // With its kind goes the policy, as the user says.
    expect((await uninstall('--purge', '--crds')).out).toMatch(/^remove +Namespace istio-system/m);
  });

  test('--dry-run changes nothing', async () => {
    await install();
    const before = await cluster.snapshot();
    expect((await cluster.run(['uninstall', '--dry-run'])).code).toBe(0);
    expect(await cluster.snapshot()).toEqual(before);
  });

  test.each(['Running', 'Pending'])('is refused while pods are in the mesh (%s)', async (phase) => {
    await install();
    await enrolled();
    await cluster.request('PATCH', `${PODS}/web/status`, { status: { phase } }, MERGE);
    const before = await cluster.snapshot();
    expect(await uninstall()).toMatchObject({
      code: 1,
      err: 'ambit: nothing was changed: 1 pods are in the mesh (Namespace shop) and would lose their network with it; --release takes them out first, without restarting them\n',
    });
    expect(await cluster.snapshot()).toEqual(before);
  });

  test('--release waits until the pods are out; --keep-labels puts the labels back at the end', async () => {
    await install();
    await enrolled();
    const stuck = await uninstall('--release', '--timeout', '1s');
    expect(stuck.err).toMatch(
      /nothing was removed: still captured after 1 s: shop\/web on n; the log of istio-cni-node/,
    );
    expect((await cluster.get('/api/v1/namespaces/shop')).text).not.toContain('dataplane-mode');
    expect((await uninstall()).err).toMatch(/1 pods are in the mesh \(shop\/web\) and would lose/);
    await cluster.request('PATCH', '/api/v1/namespaces/shop', labels('ambient'), MERGE);
    const ran = cluster.run(['uninstall', '--yes', '--release', '--keep-labels'], {
      onPrint: (text) => {
        if (text.startsWith('released'))
          void cluster.request(
            'PATCH',
            `${PODS}/web`,
            { metadata: { annotations: { 'ambient.istio.io/redirection': null } } },
            MERGE,
          );
      },
    });
    const { code, out } = await ran;
    expect(code).toBe(0);
    expect(out.indexOf('released Namespace shop')).toBeLessThan(out.indexOf('removed DaemonSet'));
    const { text } = await cluster.get('/api/v1/namespaces/shop');
    expect(text).toContain('"istio.io/dataplane-mode":"ambient"');
    expect(text).not.toContain('ambit.mesh/released');
  });
});
