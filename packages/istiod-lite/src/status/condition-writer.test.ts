import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { StaticCollection } from '@ambit/collections/static';
import { systemClock } from '@ambit/core/clock';
import { silentLogger } from '@ambit/core/log';
import { until } from '@ambit/core/watch';
import { AccessSource } from '@ambit/kube/access';
import { KubeClient } from '@ambit/kube/client';
import type { Condition, Service } from '@ambit/kube/resources/core';
import { services } from '@ambit/kube/resources/core';
import { FakeApiServer } from '@ambit/kube/testing/fake-api-server';
import { watchCollection } from '@ambit/kube/watch-collection';
import type { WantedCondition } from '../translate/condition.ts';
import { ConditionWriter } from './condition-writer.ts';

const SERVICES = '/api/v1/services';
const TYPE = 'istio.io/WaypointBound';

let scope: AsyncDisposableStack;
let api: FakeApiServer;
let client: KubeClient;
let wanted: StaticCollection<string, readonly WantedCondition[]>;

beforeEach(async () => {
  scope = new AsyncDisposableStack();
  api = scope.use(new FakeApiServer());
  const access = { server: new URL(await api.start()), tls: {}, headers: {}, namespace: '' };
  client = scope.use(new KubeClient(new AccessSource(() => Promise.resolve(access), systemClock)));
  wanted = new StaticCollection({ name: 'wanted' });
});
afterEach(() => scope.disposeAsync());

async function start() {
  const common = { client, clock: systemClock, random: () => 0.5, log: silentLogger };
  const objects = scope.use(watchCollection(client, services, common));
  await until(objects.synced, Boolean, AbortSignal.timeout(120_000));
  return scope.use(
    new ConditionWriter({
      ...common,
      resource: services,
      fieldManager: 'us',
      types: [TYPE],
      objects,
      wanted,
    }),
  );
}

const put = (conditions?: readonly Condition[]) =>
  api.put(SERVICES, {
    metadata: { namespace: 'shop', name: 'web' },
    ...(conditions && { status: { conditions } }),
  } as Service);
const condition = (message: string): WantedCondition => ({ type: TYPE, isTrue: true, reason: 'R', message });
const written = () =>
  (api.find(SERVICES, 'shop', 'web') as Service | undefined)?.status?.conditions?.map(
    ({ type, message }) => `${type} ${message ?? ''}`,
  );
const writes = () => api.requests.filter((line) => line.startsWith('PATCH')).length;

async function eventually(what: () => boolean): Promise<void> {
  // Turns and not time: after a stall there are as many left for what has waited for them.
  for (let turn = 0; turn < 10_000; turn += 1) {
    if (what()) return;
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  throw new Error(`never came true: ${what.toString()}`);
}
const quiet = () => api.quiet();

describe('ConditionWriter', () => {
  test('writes what is wanted once, changes it, removes it, and leaves what others wrote', async () => {
    put([{ type: 'Theirs', status: 'True', message: 'x' }]);
    wanted.set('shop/web', [condition('a')]);
    await start();
    await eventually(() => written()?.includes(`${TYPE} a`) === true);
    await quiet();
    expect(writes()).toBe(1);
    expect(api.requests.find((line) => line.startsWith('PATCH'))).toBe(
      'PATCH /api/v1/namespaces/shop/services/web/status?force=true&fieldManager=us',
    );
    wanted.set('shop/web', [condition('b')]);
    await eventually(() => written()?.includes(`${TYPE} b`) === true);
    await quiet();
    wanted.delete('shop/web');
    await eventually(() => written()?.length === 1);
    expect(written()).toEqual(['Theirs x']);
    await quiet();
    expect(writes()).toBe(3);
  });

  test('what somebody else changed is put back', async () => {
    put();
    wanted.set('shop/web', [condition('a')]);
    await start();
    await eventually(() => written() !== undefined);
    put([{ type: TYPE, status: 'False', reason: 'R', message: 'no' }]);
    await eventually(() => written()?.includes(`${TYPE} a`) === true);
  });

  test.each([409, 429, 503])('status %d: tried again until it is written', async (status) => {
    put();
    wanted.set('shop/web', [condition('a')]);
    let refusals = 0;
    api.intercept = (method) =>
      method === 'PATCH' && ++refusals <= 2 ? { status, body: { reason: 'Not now' } } : undefined;
    await start();
    await eventually(() => written()?.includes(`${TYPE} a`) === true);
    expect(refusals).toBe(3);
  });

  test('an object that has gone meanwhile is let go', async () => {
    put();
    await start();
    api.removeSilently(SERVICES, 'shop', 'web');
    wanted.set('shop/web', [condition('a')]);
    await eventually(() => writes() === 1);
    await quiet();
    expect(writes()).toBe(1);
  });

  test('disposed of, it writes no more', async () => {
    put();
    const writer = await start();
    await writer[Symbol.asyncDispose]();
    wanted.set('shop/web', [condition('a')]);
    await quiet();
    expect(writes()).toBe(0);
  });
});
