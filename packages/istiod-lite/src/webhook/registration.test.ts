import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { systemClock } from '@ambit/core/clock';
import { silentLogger } from '@ambit/core/log';
import { Watched } from '@ambit/core/watch';
import { AccessSource } from '@ambit/kube/access';
import { KubeClient } from '@ambit/kube/client';
import type { ValidatingWebhookConfiguration } from '@ambit/kube/resources/authentication';
import { FakeApiServer } from '@ambit/kube/testing/fake-api-server';
import { WebhookRegistration } from './registration.ts';

const WEBHOOKS = '/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations';
const NAME = 'istio-validator-istio-system';

/** What the API server says when it has asked somebody, or could not. */
const MESSAGES = {
  yes: 'admission webhook "rev.validation.istio.io" denied the request: invalid AuthorizationPolicy: metadata.annotations: refused for the sake of internal.istio.io/webhook-always-reject',
  fails: 'failed calling webhook "rev.validation.istio.io": connection refused',
  'denied by others': 'admission webhook "policies.example.com" denied the request: no label team',
} as const;

let scope: AsyncDisposableStack;
let api: FakeApiServer;
let client: KubeClient;
/** What becomes of the policy that we always refuse. */
let asked: 'no' | 'yes' | 'fails' | 'denied by others';
let checks: number;

beforeEach(async () => {
  scope = new AsyncDisposableStack();
  api = scope.use(new FakeApiServer());
  const access = { server: new URL(await api.start()), tls: {}, headers: {}, namespace: '' };
  client = scope.use(new KubeClient(new AccessSource(() => Promise.resolve(access), systemClock)));
  asked = 'no';
  checks = 0;
  api.intercept = (method, path, body) => {
    if (method !== 'POST' || !path.endsWith('/authorizationpolicies')) return undefined;
    checks += 1;
    if (asked === 'no') return { status: 201, body };
    return { status: asked === 'fails' ? 500 : 422, body: { message: MESSAGES[asked] } };
  };
});
afterEach(() => scope.disposeAsync());

const webhook = (name: string) => ({
  name,
  failurePolicy: 'Ignore',
  clientConfig: { service: { name: 'istiod', namespace: 'istio-system' } },
});
const install = (name: string, labels = {}) =>
  api.put(WEBHOOKS, {
    metadata: { name, labels },
    webhooks: [webhook('rev.validation.istio.io'), webhook('waypoint.validation.istio.io')],
  } as ValidatingWebhookConfiguration);
const policies = (name = NAME) =>
  (api.find(WEBHOOKS, '', name) as ValidatingWebhookConfiguration).webhooks?.map(
    ({ failurePolicy, clientConfig }) => `${failurePolicy} ${atob(clientConfig?.caBundle ?? '')}`,
  );

let roots = 'root 1';
function start() {
  roots = 'root 1';
  return scope.use(
    new WebhookRegistration({
      client,
      name: NAME,
      revision: '',
      namespace: 'istio-system',
      rootsPem: () => roots,
      changed: new Watched(0),
      clock: systemClock,
      random: () => 0.5,
      log: silentLogger,
    }),
  );
}

async function eventually(what: () => boolean): Promise<void> {
  const endMs = performance.now() + 8_000;
  while (!what()) {
    if (performance.now() > endMs) throw new Error(`never came true: ${what.toString()}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

describe('WebhookRegistration', () => {
  test.each(['no', 'fails', 'denied by others'] as const)(
    'gives the roots at once, and closes only when it is asked (%s at first)',
    async (first) => {
      asked = first;
      install(NAME);
      start();
      await eventually(() => policies()?.[0] === 'Ignore root 1');
      await eventually(() => checks >= 2);
      expect(policies()).toEqual(['Ignore root 1', 'Ignore root 1']);
      asked = 'yes';
      await eventually(() => policies()?.[0] === 'Fail root 1');
      // What only warns never keeps anything from being written.
      expect(policies()).toEqual(['Fail root 1', 'Ignore root 1']);
      const before = checks;
      await systemClock.sleep(200);
      expect(checks).toBe(before);
    },
  );

  test('other roots are given, and it stays closed', async () => {
    asked = 'yes';
    install(NAME);
    const registration = start();
    await eventually(() => policies()?.[0] === 'Fail root 1');
    roots = 'root 2';
    registration.all();
    await eventually(() => policies()?.[0] === 'Fail root 2');
    expect(policies()).toEqual(['Fail root 2', 'Ignore root 2']);
  });

  test('what somebody has opened or emptied is put right', async () => {
    asked = 'yes';
    install(NAME);
    start();
    await eventually(() => policies()?.[0] === 'Fail root 1');
    install(NAME);
    await eventually(() => policies()?.[0] === 'Fail root 1' && policies()?.[1] === 'Ignore root 1');
  });

  test("others' configurations are left alone; those of our revision are ours", async () => {
    asked = 'yes';
    install('theirs', { 'istio.io/rev': 'canary' });
    install('ours', { 'istio.io/rev': 'default' });
    start();
    await eventually(() => policies('ours')?.[0] === 'Fail root 1');
    expect(policies('theirs')).toEqual(['Ignore ', 'Ignore ']);
  });
});
