import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { systemClock } from '@ambit/core/clock';
import { silentLogger } from '@ambit/core/log';
import { AccessSource } from '@ambit/kube/access';
import { KubeClient } from '@ambit/kube/client';
import { FakeApiServer } from '@ambit/kube/testing/fake-api-server';
import { mayRunOn } from './node-affinity.ts';
import { decideStop, type StopOptions } from './shutdown.ts';

const DAEMON_SETS = '/apis/apps/v1/daemonsets';
const meta = { name: 'istio-cni-node', namespace: 'istio-system' };

let server: FakeApiServer;
let client: KubeClient;

beforeEach(async () => {
  server = new FakeApiServer();
  const url = new URL(await server.start());
  const access = { server: url, tls: {}, headers: {}, namespace: 'default' };
  client = new KubeClient(new AccessSource(() => Promise.resolve(access), systemClock));
  server.put('/api/v1/nodes', { metadata: { name: 'n1', labels: { zone: 'a' } } });
});

afterEach(async () => {
  client[Symbol.dispose]();
  await server[Symbol.asyncDispose]();
});

const decide = (over: Partial<StopOptions> = {}, signal = new AbortController().signal) =>
  decideStop(
    {
      client,
      podNamespace: 'istio-system',
      nodeName: 'n1',
      safeUpgradeDisabled: false,
      clock: { ...systemClock, sleep: () => Promise.resolve() },
      log: silentLogger,
      ...over,
    },
    signal,
  );

async function until(what: () => boolean): Promise<void> {
  while (!what()) await new Promise((resolve) => setTimeout(resolve, 2));
}

test('an agent that will be replaced leaves everything', async () => {
  server.put(DAEMON_SETS, { metadata: meta });
  expect(await decide()).toMatchObject({ keep: 'everything' });
  expect(await decide({ safeUpgradeDisabled: true })).toMatchObject({ keep: 'own list' });
});

test('an agent that was removed leaves nothing', async () => {
  expect(await decide()).toMatchObject({ keep: 'nothing', reason: expect.stringContaining('no DaemonSet') });
  server.put(DAEMON_SETS, { metadata: { ...meta, deletionTimestamp: '2026-01-01T00:00:00Z' } });
  expect(await decide()).toMatchObject({ keep: 'nothing', reason: expect.stringContaining('being deleted') });
});

test('an agent that is no longer wanted on its node leaves nothing', async () => {
  const template = { spec: { nodeSelector: { zone: 'b' } } };
  server.put(DAEMON_SETS, { metadata: meta, spec: { template } } as never);
  expect(await decide()).toMatchObject({ keep: 'nothing', reason: expect.stringContaining('n1') });
});

test.each([
  ['errors', () => ({ status: 500, body: {} })],
  ['refuses to tell', () => ({ status: 403, body: {} })],
])('while the API server %s, an agent leaves everything', async (_, answer) => {
  let asked = 0;
  server.intercept = () => {
    asked += 1;
    return answer();
  };
  expect(await decide()).toMatchObject({
    keep: 'everything',
    reason: expect.stringContaining('did not say'),
  });
  expect(asked).toBe(3);
});

test('an agent that hears nothing at all leaves everything when its time is up', async () => {
  server.beforeOne = () => new Promise(() => undefined);
  const told = new AbortController();
  const decided = decide({}, told.signal);
  await until(() => server.requests.length > 0);
  told.abort(new Error('time is up'));
  expect(await decided).toMatchObject({ keep: 'everything' });
  expect(await decide({ safeUpgradeDisabled: true })).toMatchObject({ keep: 'own list' });
});

test('an agent whose account is gone leaves nothing', async () => {
  server.intercept = () => ({ status: 401, body: {} });
  expect(await decide()).toMatchObject({ keep: 'nothing' });
});

test('required node affinity', () => {
  const node = { metadata: { name: 'n1', labels: { zone: 'a', cpus: '8' } } };
  const term = (expressions: unknown[], fields: unknown[] = []) => ({
    affinity: {
      nodeAffinity: {
        requiredDuringSchedulingIgnoredDuringExecution: {
          nodeSelectorTerms: [{ matchExpressions: expressions, matchFields: fields }],
        },
      },
    },
  });
  const needs = (key: string, operator: string, ...values: string[]) => ({ key, operator, values });
  expect(mayRunOn(undefined, node)).toBe(true);
  expect(mayRunOn(term([needs('zone', 'In', 'a'), needs('cpus', 'Gt', '4')]), node)).toBe(true);
  expect(mayRunOn(term([needs('cpus', 'Lt', '4')]), node)).toBe(false);
  expect(mayRunOn(term([needs('zone', 'Like', 'a')]), node)).toBe(false);
  expect(mayRunOn(term([], [needs('metadata.name', 'In', 'n1')]), node)).toBe(true);
  expect(mayRunOn(term([], [needs('metadata.name', 'In', 'n2')]), node)).toBe(false);
  expect(mayRunOn(term([]), node)).toBe(false);
});
