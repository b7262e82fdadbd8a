import { globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from '@jest/globals';
import { schema as cniVariables } from '@ambit/cni/agent/config';
import { startEmbeddedApi } from '@ambit/embedded/server';
import { requester } from '@ambit/embedded/testing/request';
import { readMeshConfig } from '@ambit/istiod-lite/mesh-config/read';
import { parsePodSettings } from '@ambit/istiod-lite/gateway/decide/pod-settings';
import { ROOT_SECRET_TYPE } from '@ambit/istiod-lite/ca/root-state';
import { schema as istiodVariables } from '@ambit/istiod-lite/config';
import { SERVICE_CONDITIONS } from '@ambit/istiod-lite/status/status-writers';
import { variables as ztunnelVariables } from '@ambit/ztunnel/config/variables';
import { isMap, isSeq, parse, parseAllDocuments } from 'yaml';
import { MIN_KUBERNETES } from '@ambit/cli/install/decide/checks';
import { CHART, chartValues } from '../generate/chart-reference.ts';
import { TOP } from '../generate/files.ts';
import { Helm, helm } from './helm.ts';

const MANIFEST = join(TOP, 'deploy/manifests/ambit.yaml');
const HEADER = `# The mesh as deploy/charts/ambit renders it with its default values: kubectl apply --server-side -f FILE.
# Made by: UPDATE_GOLDEN=1 npm run test:unit -- tools/chart (and its definitions by npm run generate).
`;
const BUILD_TIMEOUT_MS = 900_000;

/** Everything that is there only with a setting, in two installations. */
const EVERYTHING = [
  '--set=istiod.autoscaleEnabled=true,istiod.taint.enabled=true,monitoring.enabled=true',
  '--set=global.networkPolicy.enabled=true,global.resourceQuotas.enabled=true,ztunnel.peerCaCrl.enabled=true',
  '--set=global.imagePullPolicy=Never,global.imagePullSecrets={registry},global.network=n1,global.logAsJson=true',
  '--set=global.waypoint.env.X=1,global.waypoint.nodeSelector.a=b,global.waypoint.resources.limits.cpu=1',
  '--set=istiod.env.X=1,ztunnel.env.X=1,ztunnel.resources.limits.cpu=2,ztunnel.dnsPolicy=Default',
  '--set=meshConfig.discoverySelectors[0].matchLabels.mesh=yes,meshConfig.serviceEntryVisibility.defaultVisibility=NAMESPACE',
  '--set=cni.ambient.shareHostNetworkNamespace=true,monitoring.labels.release=p,monitoring.interval=15s',
];
const OPENSHIFT = ['--set=global.platform=openshift'];

interface Container {
  readonly name: string;
  readonly image: string;
  readonly env: readonly { readonly name: string; readonly value?: string }[];
  readonly securityContext: Record<string, unknown>;
  readonly resources: { readonly requests: Readonly<Record<string, string>> };
  readonly readinessProbe?: unknown;
}

interface Rule {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly verbs: readonly string[];
}

interface Rendered {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels: Readonly<Record<string, string>>;
  };
  readonly rules?: readonly Rule[];
  readonly data?: Readonly<Record<string, string>>;
  readonly spec?: {
    readonly template?: {
      readonly metadata: { readonly labels: Readonly<Record<string, string>> };
      readonly spec: {
        readonly containers: readonly Container[];
        readonly priorityClassName?: string;
        readonly automountServiceAccountToken?: boolean;
        readonly nodeSelector: Readonly<Record<string, string>>;
        readonly volumes: readonly { readonly name: string; readonly hostPath?: { readonly path: string } }[];
      };
    };
  };
}

interface AdmissionPolicy {
  readonly variables: readonly { readonly name: string; readonly expression: string }[];
  readonly validations: readonly { readonly expression: string }[];
}

const objectsIn = (yaml: string): readonly Rendered[] =>
  parseAllDocuments(yaml).flatMap((document) => {
    expect(document.errors).toEqual([]);
    const value = document.toJS() as Rendered | null;
    return value ? [value] : [];
  });

const templates = globSync('templates/**/*.{yaml,tpl}', { cwd: CHART }).map((path) =>
  readFileSync(join(CHART, path), 'utf8'),
);
const committed = readFileSync(MANIFEST, 'utf8');
const objects = objectsIn(committed);
const workloads = objects.filter(({ spec }) => spec?.template);

/** What a Kubernetes API has against the objects, field by field. */
async function problemsOf(given: readonly Rendered[]): Promise<readonly string[]> {
  const folder = mkdtempSync(join(tmpdir(), 'ambit-chart-'));
  const api = await startEmbeddedApi({ environment: {}, kubeconfigPath: join(folder, 'kubeconfig') });
  const call = requester(api, api.adminToken);
  const problems: string[] = [];
  for (const object of given) {
    const { apiVersion, kind, metadata } = object;
    const group = apiVersion.includes('/') ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
    const { resources = [] } = (await call('GET', group)).body as {
      resources?: { name: string; kind: string; namespaced: boolean }[];
    };
    const served = resources.find((one) => one.kind === kind && !one.name.includes('/'));
    const place = served?.namespaced ? `/namespaces/${metadata.namespace ?? 'default'}` : '';
    const path = `${group}${place}/${served?.name ?? kind}?fieldValidation=Strict`;
    const { status, text } = await call('POST', path, object);
    if (status !== 201) problems.push(`${kind} ${metadata.name}: ${text}`);
  }
  await api.stop();
  rmSync(folder, { recursive: true });
  return problems;
}

describe('the values', () => {
  const text = readFileSync(join(CHART, 'values.yaml'), 'utf8');
  const values = chartValues(text);

  test.each(values.map(({ path, doc }) => [path, doc]))('%s is explained, and used', (path, doc) => {
    expect(doc).toMatch(/^[A-Z`].*\.$/);
    expect(templates.filter((template) => new RegExp(`\\.Values\\.${path}\\b`).test(template))).not.toEqual(
      [],
    );
  });

  test('the schema knows the same ones and no others', () => {
    interface Schema {
      readonly properties?: Readonly<Record<string, Schema>>;
    }
    const schema = parse(readFileSync(join(CHART, 'values.schema.json'), 'utf8')) as Schema;
    const pathsIn = ({ properties }: Schema, above: readonly string[]): readonly string[] =>
      properties
        ? Object.entries(properties).flatMap(([name, below]) => pathsIn(below, [...above, name]))
        : [above.join('.')];
    expect(pathsIn(schema, []).toSorted()).toEqual(values.map(({ path }) => path).toSorted());
  });

  test('versions are those of package.json, and of the command’s checks', () => {
    const { version } = parse(readFileSync(join(TOP, 'package.json'), 'utf8')) as { version: string };
    const chart = parse(readFileSync(join(CHART, 'Chart.yaml'), 'utf8')) as unknown;
    expect(chart).toMatchObject({ version, appVersion: version, kubeVersion: `>=${MIN_KUBERNETES}-0` });
  });
});

describe('the manifests', () => {
  test('every object says that it is part of the mesh', () => {
    const others = objects.filter(({ metadata }) => metadata.labels['app.kubernetes.io/part-of'] !== 'ambit');
    expect(others).toEqual([]);
  });

  test('names are those that Istio’s tools look for', () => {
    const named = objects
      .filter(({ kind }) => kind !== 'CustomResourceDefinition')
      .map(({ kind, metadata }) => `${kind} ${metadata.name}`);
    expect(named.toSorted()).toEqual([
      'ClusterRole istio-cni',
      'ClusterRole istiod-clusterrole-istio-system',
      'ClusterRoleBinding istio-cni',
      'ClusterRoleBinding istiod-clusterrole-istio-system',
      'ConfigMap istio-cni-config',
      'DaemonSet istio-cni-node',
      'DaemonSet ztunnel',
      'Deployment istiod',
      'Namespace istio-system',
      'PodDisruptionBudget istiod',
      'Role istiod',
      'RoleBinding istiod',
      'Service istiod',
      'ServiceAccount istio-cni',
      'ServiceAccount istiod',
      'ServiceAccount ztunnel',
      'ValidatingAdmissionPolicy istio-cni-istio-system',
      'ValidatingAdmissionPolicy istiod-istio-system',
      'ValidatingAdmissionPolicy istiod-waypoints-istio-system',
      'ValidatingAdmissionPolicyBinding istio-cni-istio-system',
      'ValidatingAdmissionPolicyBinding istiod-istio-system',
      'ValidatingAdmissionPolicyBinding istiod-waypoints-istio-system',
      'ValidatingWebhookConfiguration istio-validator-istio-system',
    ]);
  });

  test('the API server lets istiod say of Services and make as a Secret what it does, and nothing else', () => {
    const policy = objects.find(
      ({ kind, metadata }) => kind === 'ValidatingAdmissionPolicy' && metadata.name === 'istiod-istio-system',
    );
    if (!policy) throw new Error('there is no such policy');
    const { variables, validations } = policy.spec as unknown as AdmissionPolicy;
    const conditions = variables.find(({ name }) => name === 'conditions')?.expression ?? '[]';
    expect(JSON.parse(conditions.replaceAll("'", '"'))).toEqual(SERVICE_CONDITIONS);
    const types = validations.flatMap(({ expression }) =>
      [...expression.matchAll(/variables\.now\.type == '([^']+)'/g)].map(([, type]) => type),
    );
    expect(types).toEqual([ROOT_SECRET_TYPE]);
  });

  test.each(workloads.map((one) => [one.metadata.name, one] as const))(
    '%s has what every pod needs',
    (_, { spec }) => {
      const pod = spec?.template?.spec;
      expect(pod?.priorityClassName).toMatch(/^system-/);
      expect(pod?.nodeSelector).toEqual({ 'kubernetes.io/os': 'linux' });
      expect(typeof pod?.automountServiceAccountToken).toBe('boolean');
      expect(spec?.template?.metadata.labels).toMatchObject({ 'istio.io/dataplane-mode': 'none' });
      for (const container of pod?.containers ?? []) {
        expect(container.securityContext).toMatchObject({
          privileged: false,
          readOnlyRootFilesystem: true,
          capabilities: { drop: ['ALL'] },
        });
        expect(typeof container.securityContext['allowPrivilegeEscalation']).toBe('boolean');
        expect(container.readinessProbe).toBeDefined();
        expect(Object.keys(container.resources.requests).toSorted()).toEqual(['cpu', 'memory']);
        expect(container.image).toMatch(/^ambit\/[a-z-]+:[0-9]+\.[0-9]+\.[0-9]+$/);
      }
    },
  );

  /** Read by people and by code that is no part of a table. */
  const OTHER_VARIABLES = ['POD_NAME', 'XTABLES_LOCKFILE'];
  test.each([
    ['istiod', istiodVariables],
    ['istio-cni-node', cniVariables],
    ['ztunnel', ztunnelVariables],
  ] as const)('%s reads every variable that it is given', (name, table) => {
    const known = new Set([...Object.values(table).map(({ env }) => env), ...OTHER_VARIABLES]);
    const container = workloads.find(({ metadata }) => metadata.name === name)?.spec?.template?.spec
      .containers[0];
    const config = name === 'istio-cni-node' ? objects.find(({ kind }) => kind === 'ConfigMap')?.data : {};
    const given = [...(container?.env ?? []).map((one) => one.name), ...Object.keys(config ?? {})];
    expect(given.length).toBeGreaterThan(5);
    expect(given.filter((variable) => !known.has(variable))).toEqual([]);
  });

  test('a Kubernetes API takes every object, and knows every field', async () => {
    expect(await problemsOf(objects)).toEqual([]);
  });
});

describe('with Helm', () => {
  let tool: Helm | undefined;
  beforeAll(async () => {
    const found = await helm(process.env);
    if (found instanceof Helm) tool = found;
    else if (process.env['CI'] === 'true') throw new Error(found.missing);
    else process.stderr.write(`not run: ${found.missing}\n`);
  }, BUILD_TIMEOUT_MS);

  test('the committed manifests are what Helm makes of the chart', async () => {
    if (!tool) return;
    const wanted = HEADER + (await tool.template());
    if (process.env['UPDATE_GOLDEN'] === '1') writeFileSync(MANIFEST, wanted);
    else expect(committed).toBe(wanted);
  });

  test('lint finds nothing', async () => {
    if (!tool) return;
    expect(await tool.lint()).toContain('1 chart(s) linted, 0 chart(s) failed');
  });

  test.each([
    ['everything', EVERYTHING],
    ['OpenShift', OPENSHIFT],
  ])('%s: each permission is explained, and none is for everything', async (_, settings) => {
    if (!tool) return;
    const yaml = await tool.template(...settings);
    const roles = objectsIn(yaml).filter(({ kind }) => /Role$/.test(kind));
    expect(roles.length).toBeGreaterThan(2);
    const words = roles.flatMap(({ rules = [] }) =>
      rules.flatMap(({ apiGroups, resources, verbs }) => [...apiGroups, ...resources, ...verbs]),
    );
    expect(words).not.toContain('*');
    for (const document of parseAllDocuments(yaml)) {
      const rules = document.get('rules');
      if (!isSeq(rules)) continue;
      // The parser gives the comment above the first item to the list.
      const comments = rules.items.map((item, index) =>
        index === 0 ? (rules.commentBefore ?? '') : isMap(item) ? (item.commentBefore ?? '') : '',
      );
      expect(comments.filter((comment) => comment.trim() === '')).toEqual([]);
    }
  });

  /** Kinds of others, which an API knows only where those others are. */
  const FOREIGN = /^(monitoring\.coreos\.com|k8s\.cni\.cncf\.io)\//;
  test.each([
    ['everything', EVERYTHING],
    ['OpenShift', OPENSHIFT],
  ])('%s: a Kubernetes API takes it', async (_, settings) => {
    if (!tool) return;
    const rendered = objectsIn(await tool.template(...settings));
    expect(await problemsOf(rendered.filter(({ apiVersion }) => !FOREIGN.test(apiVersion)))).toEqual([]);
  });

  test.each([
    ['istiodd.replicaCount=1', "'istiodd' not allowed"],
    ['cni.ambient.dnscapture=true', "'dnscapture' not allowed"],
    ['ztunnel.resources.request.cpu=1', "'request' not allowed"],
    ['global.platform=gce', 'global/platform'],
    ['istiod.replicaCount=many', 'istiod/replicaCount'],
    ['ztunnel.terminationGracePeriodSeconds=0', 'terminationGracePeriodSeconds'],
    ['meshConfig.trustDomain=A B', 'trustDomain'],
    ['global.waypoint.autoscaleMin=0', 'autoscaleMin'],
    ['global.waypoint.autoscaleCpu=much', 'autoscaleCpu'],
    ['global.waypoint.replicas=2', "'replicas' not allowed"],
  ])('%s is refused', async (setting, says) => {
    if (!tool) return;
    await expect(tool.template('--set', setting)).rejects.toThrow(says);
  });

  test('settings of the mesh are what istiod reads', async () => {
    if (!tool) return;
    const config = objectsIn(await tool.template(...EVERYTHING)).find(
      ({ metadata }) => metadata.name === 'istio',
    );
    expect(readMeshConfig(config?.data?.['mesh'] ?? '')).toEqual({
      discoverySelectors: [{ matchLabels: { mesh: 'yes' } }],
      serviceEntryVisibility: { defaultVisibility: 'NAMESPACE' },
    });
  });

  test('what pods of waypoints get is what istiod reads', async () => {
    if (!tool) return;
    const istiod = objectsIn(await tool.template(...EVERYTHING)).find(
      ({ kind, metadata }) => kind === 'Deployment' && metadata.name === 'istiod',
    );
    const env = istiod?.spec?.template?.spec.containers[0]?.env ?? [];
    const value = env.find(({ name }) => name === 'AMBIT_WAYPOINT_POD')?.value ?? '';
    expect(parsePodSettings(value)).toMatchObject({
      env: { X: 1 },
      imagePullPolicy: 'Never',
      imagePullSecrets: ['registry'],
      logAsJson: true,
      nodeSelector: { a: 'b' },
      resources: { limits: { cpu: 1, memory: '1Gi' } },
    });
  });

  test('right to patch nodes comes with the taint alone', async () => {
    if (!tool) return;
    const patchesNodes = (yaml: string) =>
      objectsIn(yaml).some(({ rules = [] }) =>
        rules.some(({ resources, verbs }) => resources.includes('nodes') && verbs.includes('patch')),
      );
    expect(patchesNodes(await tool.template())).toBe(false);
    expect(patchesNodes(await tool.template('--set', 'istiod.taint.enabled=true'))).toBe(true);
  });

  test.each([
    ['', '/opt/cni/bin', '/etc/cni/net.d', '/var/run/netns'],
    ['kind', '/opt/cni/bin', '/etc/cni/net.d', '/var/run/netns'],
    ['gke', '/home/kubernetes/bin', '/etc/cni/net.d', '/var/run/netns'],
    ['k3d', '/bin', '/var/lib/rancher/k3s/agent/etc/cni/net.d', '/var/run/netns'],
    ['k3s', '/var/lib/rancher/k3s/data/cni', '/var/lib/rancher/k3s/agent/etc/cni/net.d', '/var/run/netns'],
    [
      'microk8s',
      '/var/snap/microk8s/current/opt/cni/bin',
      '/var/snap/microk8s/current/args/cni-network',
      '/var/run/netns',
    ],
    ['minikube', '/opt/cni/bin', '/etc/cni/net.d', '/var/run/docker/netns'],
    ['openshift', '/var/lib/cni/bin', '/etc/cni/multus/net.d', '/var/run/netns'],
  ])('platform “%s”: folders of the node', async (platform, bin, net, netns) => {
    if (!tool) return;
    const yaml = await tool.template(`--set=global.platform=${platform}`);
    const agent = objectsIn(yaml).find(({ metadata }) => metadata.name === 'istio-cni-node');
    const volumes = agent?.spec?.template?.spec.volumes ?? [];
    const pathOf = (name: string) => volumes.find((one) => one.name === name)?.hostPath?.path;
    expect([pathOf('cni-bin-dir'), pathOf('cni-net-dir'), pathOf('cni-netns-dir')]).toEqual([
      bin,
      net,
      netns,
    ]);
  });
});
