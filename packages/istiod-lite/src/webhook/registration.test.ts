import { afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { Collection } from '@ambit/collections/collection';
import { MapCollection } from '@ambit/collections/map-collection';
import { type Clock, systemClock } from '@ambit/core/clock';
import { type LogFields, type Logger, silentLogger } from '@ambit/core/log';
import { until, Watched } from '@ambit/core/watch';
import type { AuthorityMaterial } from '@ambit/identity/certificate-authority';
import { pemBlocks } from '@ambit/identity/pem';
import { createSelfSignedMaterial } from '@ambit/identity/self-signed-ca';
import type { Signer } from '@ambit/identity/x509';
import { AccessSource } from '@ambit/kube/access';
import { KubeClient } from '@ambit/kube/client';
import {
  type ValidatingWebhookConfiguration,
  validatingWebhookConfigurations,
} from '@ambit/kube/resources/authentication';
import { FakeApiServer } from '@ambit/kube/testing/fake-api-server';
import { watchCollection } from '@ambit/kube/watch-collection';
import { BELIEVED_EVERYWHERE_MS, WRITE_CONCURRENCY } from '../limits.ts';
import { lacking } from './bundle.ts';
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
/** One that is closed, and whom it trusts. */
const installClosed = (name: string, trusts: readonly RootName[], labels = {}) => {
  const caBundle = btoa(trusts.map((root) => roots[root].certificatePem).join(''));
  api.put(WEBHOOKS, {
    metadata: { name, labels },
    webhooks: [{ ...webhook('rev.validation.istio.io'), failurePolicy: 'Fail', clientConfig: { caBundle } }],
  } as ValidatingWebhookConfiguration);
};
/** Of each webhook: its policy, and the names of whom it trusts. */
const policies = (name = NAME) =>
  (api.find(WEBHOOKS, '', name) as ValidatingWebhookConfiguration).webhooks?.map(
    ({ failurePolicy, clientConfig }) => `${failurePolicy} ${namesIn(clientConfig?.caBundle)}`,
  );
const namesIn = (caBundle = '') =>
  pemBlocks(atob(caBundle), 'CERTIFICATE')
    .map((pem) => Object.keys(roots).find((name) => roots[name as keyof typeof roots].certificatePem === pem))
    .join();

let roots: Record<'root 1' | 'root 2' | 'root 3', Signer>;
beforeAll(async () => {
  const [one, two, three] = await Promise.all(
    [1, 2, 3].map(() => createSelfSignedMaterial({ organization: 'td' }, systemClock)),
  );
  if (!one || !two || !three) throw new Error('three were asked for');
  roots = { 'root 1': one.signer, 'root 2': two.signer, 'root 3': three.signer };
});

type RootName = keyof typeof roots;
const material = (signer: RootName, ...others: RootName[]): AuthorityMaterial => ({
  signer: roots[signer],
  chainPem: [],
  rootsPem: [signer, ...others].map((name) => roots[name].certificatePem),
});

/** Time that passes only when a test says so; short timers fire all the same. */
let laterMs: number;
const longTimers = new Set<() => void>();
/** What was slept, which takes no time here. */
let sleptMs: number[];
const MINUTE_MS = 60_000;
const clock: Clock = {
  ...systemClock,
  monotonicMs: () => laterMs,
  after: (ms, run) => {
    if (ms < MINUTE_MS) return systemClock.after(ms, run);
    longTimers.add(run);
    return { cancel: () => void longTimers.delete(run) };
  },
  sleep: (ms) => {
    sleptMs.push(ms);
    return Promise.resolve();
  },
};
beforeEach(() => {
  laterMs = 0;
  longTimers.clear();
  sleptMs = [];
});

let warnings: LogFields[];
const log: Logger = {
  ...silentLogger,
  warn: (_, fields) => warnings.push(fields ?? {}),
  scope: () => log,
};
beforeEach(() => {
  warnings = [];
});

/** Configurations as a test shows them: with what comes between two of its looks in one batch. */
class Shown extends MapCollection<string, ValidatingWebhookConfiguration> {
  constructor() {
    super({ name: 'shown' });
  }

  show(): void {
    const found = api.find(WEBHOOKS, '', NAME) as ValidatingWebhookConfiguration;
    this.commit([[NAME, structuredClone(found)]]);
    this.markSynced();
  }
}

async function start(
  first = material('root 1'),
  configurations: Collection<string, ValidatingWebhookConfiguration> = scope.use(
    watchCollection(client, validatingWebhookConfigurations),
  ),
) {
  let current = first;
  const changed = new Watched(0);
  const registration = scope.use(
    new WebhookRegistration({
      client,
      configurations,
      name: NAME,
      revision: '',
      namespace: 'istio-system',
      material: () => current,
      changed,
      clock,
      random: () => 0.5,
      log,
    }),
  );
  await until(configurations.synced, Boolean, AbortSignal.timeout(120_000));
  const use = (other: AuthorityMaterial) => {
    current = other;
    changed.set(changed.value + 1);
  };
  const sees = (wanted: string) => {
    const seen = configurations.get(NAME)?.webhooks?.[0];
    return `${seen?.failurePolicy} ${namesIn(seen?.clientConfig?.caBundle)}` === wanted;
  };
  return { registration, use, sees };
}

async function startServing(
  first?: AuthorityMaterial,
  configurations?: Collection<string, ValidatingWebhookConfiguration>,
) {
  const started = await start(first, configurations);
  started.registration.serves();
  return started;
}

/** One whose configuration may not be written any more, and should have another root. */
async function startForbidden() {
  asked = 'yes';
  install(NAME);
  const started = await startServing();
  await eventually(() => started.sees('Fail root 1'));
  api.intercept = (method) => (method === 'PUT' ? { status: 403, body: {} } : undefined);
  started.use(material('root 2'));
  return started;
}

async function eventually(what: () => boolean): Promise<void> {
  // Turns and not time: after a stall there are as many left for what has waited for them.
  for (let turn = 0; turn < 5_000; turn += 1) {
    if (what()) return;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  throw new Error(`never came true: ${what.toString()}`);
}

describe('WebhookRegistration', () => {
  test.each(['no', 'fails', 'denied by others'] as const)(
    'gives the roots at once, and closes only when it is asked (%s at first)',
    async (first) => {
      asked = first;
      install(NAME);
      await startServing();
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

  test('closes nothing before there is somebody who answers', async () => {
    asked = 'yes';
    install(NAME);
    const { registration } = await start();
    await eventually(() => policies()?.[0] === 'Ignore root 1');
    await systemClock.sleep(200);
    expect([checks, policies()?.[0]]).toEqual([0, 'Ignore root 1']);
    registration.serves();
    await eventually(() => policies()?.[0] === 'Fail root 1');
  });

  test('other roots are given beside those before, which go later; it stays closed', async () => {
    asked = 'yes';
    install(NAME);
    const { use } = await startServing();
    await eventually(() => policies()?.[0] === 'Fail root 1');
    use(material('root 2'));
    await eventually(() => policies()?.[0] === 'Fail root 2,root 1');
    expect(policies()).toEqual(['Fail root 2,root 1', 'Ignore root 2,root 1']);
    await eventually(() => longTimers.size === 1);
    laterMs = 10 * MINUTE_MS;
    for (const run of longTimers) run();
    await eventually(() => policies()?.[0] === 'Fail root 2');
    expect(policies()).toEqual(['Fail root 2', 'Ignore root 2']);
  });

  test('replicas with other roots than each other are all believed, for as long as they run', async () => {
    asked = 'yes';
    install(NAME);
    const [first, second] = [await startServing(), await startServing(material('root 2'))];
    const both = () => ['root 1', 'root 2'].every((name) => policies()?.[0]?.includes(name));
    await eventually(both);
    laterMs = 10 * MINUTE_MS;
    for (const { registration } of [first, second]) registration.all();
    await systemClock.sleep(500);
    await eventually(both);
    expect(policies()?.[0]).toMatch(/^Fail/);
  });

  test('what is signed by another is believed once the API server was told, and no sooner', async () => {
    asked = 'yes';
    install(NAME);
    const { registration, use, sees } = await startServing();
    await eventually(() => sees('Fail root 1'));
    await registration.believed(MINUTE_MS);
    const writing = api.intercept;
    api.intercept = (method, path, body) =>
      method === 'PUT' ? { status: 500, body: {} } : writing?.(method, path, body);
    use(material('root 2'));
    let isBelieved = false;
    const believed = registration.believed(MINUTE_MS).then(() => (isBelieved = true));
    await systemClock.sleep(500);
    expect(isBelieved).toBe(false);
    api.intercept = writing;
    await believed;
    expect(policies()?.[0]).toBe('Fail root 2,root 1');
  });

  test('what another replica has just told the API server is believed a moment after that, and only then', async () => {
    asked = 'yes';
    install(NAME);
    const [first, second] = [await startServing(), await startServing()];
    await eventually(() => second.sees('Fail root 1'));
    first.use(material('root 2'));
    await eventually(() => second.sees('Fail root 2,root 1'));
    second.use(material('root 2'));
    await second.registration.believed(MINUTE_MS);
    expect(sleptMs).toEqual([expect.any(Number)]);
    expect(sleptMs[0]).toBeGreaterThan(0);
    expect(sleptMs[0]).toBeLessThanOrEqual(BELIEVED_EVERYWHERE_MS);
    laterMs = BELIEVED_EVERYWHERE_MS;
    await second.registration.believed(MINUTE_MS);
    expect(sleptMs).toHaveLength(1);
  });

  test.each<[string, RootName[], number]>([
    ['beside those of others, which somebody may have changed just now', ['root 2', 'root 1'], 1],
    ['and no others', ['root 2'], 0],
  ])('a start that finds its roots %s', async (_, found, sleeps) => {
    installClosed(NAME, found);
    const { registration } = await start(material('root 2'));
    await registration.believed(MINUTE_MS);
    expect(sleptMs).toHaveLength(sleeps);
  });

  test('nobody waits for configurations that are ours by label alone and may not be written', async () => {
    asked = 'yes';
    const others = Array.from({ length: 2 * WRITE_CONCURRENCY }, (_, n) => `istiod-${n}-validator`);
    install(NAME);
    for (const name of others) installClosed(name, ['root 3'], { 'istio.io/rev': 'default' });
    const writing = api.intercept;
    const refused = new Map<string, number>();
    api.intercept = (method, path, body) => {
      if (method !== 'PUT' || path.endsWith(NAME)) return writing?.(method, path, body);
      refused.set(path, (refused.get(path) ?? 0) + 1);
      return { status: 403, body: { reason: 'Forbidden', message: 'not yours' } };
    };
    const { registration, use, sees } = await startServing();
    await eventually(() => sees('Fail root 1'));
    await registration.believed(MINUTE_MS);
    use(material('root 2'));
    await registration.believed(MINUTE_MS);
    expect([policies()?.[0], policies(others[0])?.[0]]).toEqual(['Fail root 2,root 1', 'Fail root 3']);
    // Said once of each, with its cause, however often it is tried.
    await eventually(() => refused.size === others.length && Math.min(...refused.values()) >= 3);
    const told = warnings.map(({ key, error }) => `${key}: ${/403.*/.exec(String(error))?.[0]}`);
    expect(told.toSorted()).toEqual(others.map((name) => `${name}: 403 Forbidden: not yours`));
    expect(registration.unwritten()).toEqual({ name: 0, label: others.length });
  });

  test('who is told to end does not go on waiting', async () => {
    const { registration } = await startForbidden();
    const end = new AbortController();
    const waiting = registration.believed(MINUTE_MS, end.signal);
    end.abort(new Error('SIGTERM'));
    await expect(waiting).rejects.toThrow('SIGTERM');
    await expect(registration.believed(MINUTE_MS, end.signal)).rejects.toThrow('SIGTERM');
  });

  test('a root that is put there again stays for as long again, also if its being away was never seen', async () => {
    asked = 'yes';
    installClosed(NAME, ['root 1', 'root 2']);
    const shown = new Shown();
    shown.show();
    const { registration } = await startServing(material('root 1'), shown);
    laterMs = 10 * MINUTE_MS;
    registration.all();
    await eventually(() => policies()?.[0] === 'Fail root 1');
    installClosed(NAME, ['root 1', 'root 2']);
    shown.show();
    await systemClock.sleep(500);
    expect(policies()?.[0]).toBe('Fail root 1,root 2');
    // Its time begins when it was seen there again, and nobody tells when that is.
    await eventually(() => {
      laterMs += 10 * MINUTE_MS;
      registration.all();
      return policies()?.[0] === 'Fail root 1';
    });
  });

  test('how long a root has been in one configuration says nothing about another', async () => {
    asked = 'yes';
    installClosed(NAME, ['root 1']);
    installClosed('not-written', ['root 1', 'root 2'], { 'istio.io/rev': 'default' });
    api.intercept = (method, path) =>
      method === 'PUT' && path.endsWith('not-written') ? { status: 403, body: {} } : undefined;
    const { sees } = await startServing();
    await eventually(() => sees('Fail root 1'));
    laterMs = 10 * MINUTE_MS;
    installClosed(NAME, ['root 1', 'root 2']);
    await eventually(() => sees('Fail root 1,root 2'));
    await systemClock.sleep(500);
    expect(policies()?.[0]).toBe('Fail root 1,root 2');
  });

  test('nobody waits for ever for an API server that cannot be told', async () => {
    const { registration } = await startForbidden();
    await registration.believed(300);
    expect(policies()?.[0]).toBe('Fail root 1');
    await eventually(() => registration.unwritten().name === 1);
  });

  test('what somebody has opened or emptied is put right', async () => {
    asked = 'yes';
    install(NAME);
    await startServing();
    await eventually(() => policies()?.[0] === 'Fail root 1');
    install(NAME);
    await eventually(() => policies()?.[0] === 'Fail root 1' && policies()?.[1] === 'Ignore root 1');
  });

  test("others' configurations are left alone; those of our revision are ours", async () => {
    asked = 'yes';
    install('theirs', { 'istio.io/rev': 'canary' });
    install('ours', { 'istio.io/rev': 'default' });
    await startServing();
    await eventually(() => policies('ours')?.[0] === 'Fail root 1');
    expect(policies('theirs')).toEqual(['Ignore ', 'Ignore ']);
  });
});

describe('what would refuse policies if another root signed', () => {
  const configuration = (name: string, failurePolicy: string, ...trusts: RootName[]) => ({
    metadata: { name },
    webhooks: [
      {
        ...webhook('rev.validation.istio.io'),
        failurePolicy,
        clientConfig: { caBundle: btoa(trusts.map((root) => roots[root].certificatePem).join('')) },
      },
    ],
  });
  const cases: Record<string, { policy: string; trusts: RootName[]; want: string[] }> = {
    'trusts the one that signs, and not the next': { policy: 'Fail', trusts: ['root 1'], want: ['it'] },
    'trusts one that is still trusted, and not the next': {
      policy: 'Fail',
      trusts: ['root 3'],
      want: ['it'],
    },
    'trusts both': { policy: 'Fail', trusts: ['root 2', 'root 1'], want: [] },
    'is open': { policy: 'Ignore', trusts: ['root 1'], want: [] },
    "trusts nobody of the mesh's: it is not about us": { policy: 'Fail', trusts: [], want: [] },
  };

  test.each(Object.entries(cases))('what %s', (_, { policy, trusts, want }) => {
    const current = (['root 1', 'root 3'] as const).map((name) => roots[name].certificatePem);
    const next = roots['root 2'].certificatePem;
    expect(lacking([configuration('it', policy, ...trusts)], current, next)).toEqual(want);
  });
});
