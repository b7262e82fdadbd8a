import { beforeAll, describe, expect, test } from '@jest/globals';
import { configMaps, daemonSets, deployments, namespaces, secrets } from '@ambit/kube/resources/core';
import { runCommand } from '../cluster/command.ts';
import type { EchoPod } from './kit/echo-pod.ts';
import { SYSTEM } from './kit/mesh.ts';
import { isEnrolled, type Space } from './kit/space.ts';
import { useSuite } from './kit/suite.ts';
import { until } from './kit/wait.ts';

const suite = useSuite('install');
const TOP = new URL('../../', import.meta.url).pathname;
const COMMAND_TIMEOUT_MS = 170_000;

let inside: Space;
let client: EchoPod;

interface Installed {
  readonly ready: boolean;
  readonly objects: readonly { readonly action: string; readonly object: string }[];
}

interface Preflight {
  readonly nodes: readonly {
    readonly name: string;
    readonly probe: {
      readonly kind: string;
      readonly probed: boolean;
      readonly cniConfigs: readonly { readonly types: readonly string[] }[];
    };
  }[];
  readonly findings: readonly { readonly severity: string; readonly text: string }[];
}

/** The command as a user runs it. */
async function ambit(...args: readonly string[]) {
  const { kubeconfig } = suite.cluster.file;
  const command = [process.execPath, 'packages/cli/src/main.ts', ...args, '--kubeconfig', kubeconfig];
  return await runCommand(command, { cwd: TOP, timeoutMs: COMMAND_TIMEOUT_MS });
}

/** @returns what it printed as JSON; fails unless it ended well. */
async function ambitJson<T>(...args: readonly string[]): Promise<T> {
  const { exitCode, stdout, stderr } = await ambit(...args, '-o', 'json');
  expect([exitCode, stderr]).toEqual([0, '']);
  return JSON.parse(stdout) as T;
}

async function install(): Promise<Installed> {
  const { hub, tag } = suite.cluster.file.images;
  const values = ['--set', `global.hub=${hub}`, '--set', `global.tag=${tag}`];
  return await ambitJson('install', '--yes', '--timeout', '150s', ...values);
}

/** What would change if anything of the mesh did: the version of each of its workloads and settings. */
async function versions(): Promise<readonly string[]> {
  const { client: api } = suite.cluster;
  const at = { namespace: SYSTEM };
  const found = await Promise.all([
    api.list(deployments, at),
    api.list(daemonSets, at),
    api.list(configMaps, at),
  ]);
  return found.flatMap(({ items }) =>
    items.map(({ metadata }) => `${metadata.name} ${metadata.uid} ${metadata.generation}`),
  );
}

/** Whether the plugin is in the configuration that each node's runtime uses. */
function chained({ nodes }: Preflight): readonly boolean[] {
  return nodes.map(
    ({ probe }) =>
      probe.cniConfigs.find(({ types }) => types.length > 0)?.types.includes('istio-cni') ?? false,
  );
}

beforeAll(async () => {
  inside = await suite.space('in', 'ambient');
  ({ client } = await suite.pair(inside));
  await inside.enrolled(true, 'client', 'server');
});

describe('on a mesh that runs', () => {
  test('installing over it changes nothing', async () => {
    const before = await versions();
    const { ready, objects } = await install();
    expect(ready).toBe(true);
    expect(objects.filter(({ action }) => action !== 'unchanged')).toEqual([]);
    expect(await versions()).toEqual(before);
  });

  test('--dry-run shows what would change, and changes nothing', async () => {
    const before = await versions();
    const { exitCode, stdout } = await ambit('install', '--dry-run', '--set', 'ztunnel.logLevel=debug');
    expect(exitCode).toBe(0);
    expect(stdout).toMatch(/^change +DaemonSet istio-system\/ztunnel /m);
    expect(stdout).toContain('Nothing was changed (--dry-run).\n');
    expect(await versions()).toEqual(before);
  });

  test('--force-conflicts takes a field over from whoever has set the same value', async () => {
    const at = { namespace: SYSTEM, name: 'istiod' };
    const { client: api } = suite.cluster;
    const { hub, tag } = suite.cluster.file.images;
    const values = ['--set', `global.hub=${hub}`, '--set', `global.tag=${tag}`];
    // Suites before this one may have scaled it: then the field is theirs too.
    expect((await ambit('install', '--yes', '--force-conflicts', ...values)).exitCode).toBe(0);
    const { spec } = await api.get(deployments, at);
    const theirs = {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { ...at, annotations: { 'ambit.e2e/owned': 'elsewhere' } },
      spec: { replicas: spec?.replicas },
    };
    const manager = { fieldManager: 'somebody' };
    await api.patch(deployments, at, { type: 'apply', body: theirs }, manager);
    suite.atEnd(async () => {
      const without = { ...theirs, metadata: at, spec: {} };
      await api.patch(deployments, at, { type: 'apply', body: without }, manager);
    });
    const change = ['install', '--dry-run', '--set', 'istiod.replicaCount=2'];
    const refused = await ambit(...change);
    expect([refused.exitCode, refused.stderr]).toEqual([
      1,
      expect.stringMatching(/by "somebody": \.spec\.replicas.*--force-conflicts/),
    ]);

    const before = await api.get(deployments, at);
    const taken = await ambit('install', '--yes', '--force-conflicts', ...values);
    expect([taken.exitCode, taken.stderr]).toEqual([0, '']);
    expect(taken.stdout).toMatch(
      /^take-over +Deployment istio-system\/istiod .*from "somebody": \.spec\.replicas$/m,
    );
    const { metadata } = await api.get(deployments, at);
    expect(metadata.generation).toBe(before.metadata.generation);
    expect(metadata.annotations).toMatchObject({ 'ambit.e2e/owned': 'elsewhere' });

    const allowed = await ambit(...change);
    expect([allowed.exitCode, allowed.stderr]).toEqual([0, '']);
    expect((await install()).objects.filter(({ action }) => action !== 'unchanged')).toEqual([]);
  });

  test('preflight finds nothing in the way, and leaves nothing', async () => {
    const preflight = await ambitJson<Preflight>('preflight');
    expect(preflight.findings.filter(({ severity }) => severity === 'error')).toEqual([]);
    expect(preflight.nodes.map(({ name }) => name)).toEqual(expect.arrayContaining([...suite.nodes]));
    expect(preflight.nodes.map(({ probe }) => [probe.kind, probe.probed])).toEqual(
      preflight.nodes.map(() => ['looked', true]),
    );
    expect(chained(preflight)).not.toContain(false);
    await until('nothing of it is there', async () => {
      const { items } = await suite.cluster.client.list(namespaces, {
        labelSelector: 'ambit.mesh/preflight',
      });
      return items.length === 0;
    });
  });

  test('uninstalling is refused while pods are in the mesh', async () => {
    const before = await versions();
    const { exitCode, stderr } = await ambit('uninstall', '--yes');
    expect(exitCode).toBe(1);
    expect(stderr).toMatch(
      /nothing was changed: \d+ pods are in the mesh \(.*Namespace e2e-install-in-.*--release/,
    );
    expect(await versions()).toEqual(before);
  });
});

describe('taken away and brought back under load', () => {
  test('no request fails, nothing is left, and the same identities come back', async () => {
    suite.atEnd(async () => {
      await install();
    });
    const at = { namespace: SYSTEM, name: 'istio-ca-secret' };
    const { client: api } = suite.cluster;
    const key = (await api.get(secrets, at)).metadata.uid;
    await client.settledOn({ host: inside.host('server') });
    const load = await client.load({
      host: inside.host('server'),
      connections: 'new',
      requestsPerSecond: 20,
    });

    const removed = await ambit('uninstall', '--yes', '--release', '--keep-labels');
    expect([removed.exitCode, removed.stderr]).toEqual([0, '']);
    expect(isEnrolled(await inside.pod('client'))).toBe(false);
    const left = (await api.list(daemonSets, { namespace: SYSTEM })).items.map(
      ({ metadata }) => metadata.name,
    );
    expect(left).toEqual([]);
    const hub = suite.cluster.file.images;
    const bare = await ambitJson<Preflight>('preflight', '--image', `${hub.hub}/install-cni:${hub.tag}`);
    expect(chained(bare)).not.toContain(true);
    const roots = { fieldSelector: 'metadata.name=istio-ca-root-cert' };
    expect((await api.list(configMaps, roots)).items).toEqual([]);

    expect((await install()).ready).toBe(true);
    await inside.enrolled(true, 'client', 'server');
    expect((await api.get(secrets, at)).metadata.uid).toBe(key);
    await client.mustReach({ host: inside.host('server') });
    expect(await load.end()).toMatchObject({ failed: 0, errors: [] });
  });
});
