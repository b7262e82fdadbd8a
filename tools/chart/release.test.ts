import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { type EmbeddedApi, startEmbeddedApi } from '@ambit/embedded/server';
import { type Requester, requester } from '@ambit/embedded/testing/request';
import { Helm, helm } from './helm.ts';

const WEBHOOKS = '/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations';
const VALIDATOR = `${WEBHOOKS}/istio-validator-istio-system`;
const BUILD_TIMEOUT_MS = 900_000;

let folder: string;
let api: EmbeddedApi;
let call: Requester;
let tool: Helm | undefined;

beforeAll(async () => {
  const found = await helm(process.env);
  if (found instanceof Helm) tool = found;
  else if (process.env['CI'] === 'true') throw new Error(found.missing);
  else process.stderr.write(`not run: ${found.missing}\n`);
  folder = mkdtempSync(join(tmpdir(), 'ambit-release-'));
  api = await startEmbeddedApi({ environment: {}, kubeconfigPath: join(folder, 'kubeconfig') });
  call = requester(api, api.adminToken);
}, BUILD_TIMEOUT_MS);

afterAll(async () => {
  await api.stop();
  rmSync(folder, { recursive: true });
});

interface Webhook {
  readonly name: string;
  readonly failurePolicy: string;
}

const policyOf = ({ name, failurePolicy }: Webhook) => [name, failurePolicy];

const webhooks = async (): Promise<readonly Webhook[]> => {
  const { body } = await call('GET', VALIDATOR);
  return (body['webhooks'] ?? []) as unknown as readonly Webhook[];
};

const namesAt = async (path: string): Promise<readonly string[]> => {
  const { items = [] } = (await call('GET', path)).body as { items?: { metadata: { name: string } }[] };
  return items.map(({ metadata }) => metadata.name).toSorted();
};

test('a release is installed, upgraded and uninstalled', async () => {
  if (!tool) return;
  const { kubeconfigPath } = api;

  // Helm makes the namespace, so the chart must not.
  await tool.release('install', kubeconfigPath, '--create-namespace');
  expect(await namesAt('/apis/apps/v1/daemonsets')).toEqual(['istio-cni-node', 'ztunnel']);
  const installed = await webhooks();
  expect(installed.map(policyOf)).toEqual([
    ['rev.validation.istio.io', 'Ignore'],
    ['waypoint.validation.istio.io', 'Ignore'],
  ]);

  // As istiod does once it serves; an upgrade is no reason to admit everything for a while.
  const [first, ...others] = installed;
  const closed = { webhooks: [{ ...first, failurePolicy: 'Fail' }, ...others] };
  expect((await call('PATCH', VALIDATOR, closed, 'application/merge-patch+json')).status).toBe(200);
  await tool.release('upgrade', kubeconfigPath, '--set=ztunnel.logLevel=debug');
  expect((await webhooks()).map(policyOf)).toEqual([
    ['rev.validation.istio.io', 'Fail'],
    ['waypoint.validation.istio.io', 'Ignore'],
  ]);
  expect((await call('GET', '/apis/apps/v1/namespaces/istio-system/daemonsets/ztunnel')).text).toContain(
    '{"name":"RUST_LOG","value":"debug"}',
  );

  // Definitions stay, since with them would go every policy.
  const definitions = await namesAt('/apis/apiextensions.k8s.io/v1/customresourcedefinitions');
  await tool.release('uninstall', kubeconfigPath, '--wait=false');
  expect(await namesAt('/apis/apps/v1/daemonsets')).toEqual([]);
  expect(await namesAt(WEBHOOKS)).toEqual([]);
  expect(await namesAt('/apis/apiextensions.k8s.io/v1/customresourcedefinitions')).toEqual(definitions);
  expect(definitions).toContain('authorizationpolicies.security.istio.io');
});
