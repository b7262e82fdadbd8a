/**
 * Admission as a real API server asks for it, of two replicas that it has to believe both: while the root is rotated, and
 * while the operator's CA is another from one moment to the next. Everything runs in this process but etcd and the API
 * server, which asks each replica about every policy: a webhook of its own leads to each.
 */
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect } from 'node:tls';
import { afterAll, afterEach, beforeAll, beforeEach, expect, jest, test } from '@jest/globals';
import { systemClock, systemRandom } from '@ambit/core/clock';
import { messageOf } from '@ambit/core/errors';
import { silentLogger } from '@ambit/core/log';
import type { AuthorityMaterial } from '@ambit/identity/certificate-authority';
import { caSecretFiles } from '@ambit/identity/plugged-in-ca';
import { createSelfSignedMaterial } from '@ambit/identity/self-signed-ca';
import { type ControlPlane, startControlPlane } from '@ambit/istiod-lite/app';
import { configFrom } from '@ambit/istiod-lite/config';
import { ANY_PORTS } from '@ambit/istiod-lite/testing/any-ports';
import {
  type ValidatingWebhookConfiguration,
  validatingWebhookConfigurations,
} from '@ambit/kube/resources/authentication';
import { secrets } from '@ambit/kube/resources/core';
import { type AuthorizationPolicy, authorizationPolicies } from '@ambit/kube/resources/security';
import { installBase, SYSTEM_NAMESPACE } from './fill.ts';
import { apiServerFor, BUILD_TIMEOUT_MS, type RealApiServer } from './real-api-server.ts';

jest.setTimeout(180_000);

const CONFIGURATION = { name: `istio-validator-${SYSTEM_NAMESPACE}` };
const CA_SECRET = { namespace: SYSTEM_NAMESPACE, name: 'istio-ca-secret' };
const ROTATIONS = 2;
/** As short as it may be that each replica still hears of each step; two looks at the Secret come on top. */
const OVERLAP_S = 3;
/** Between the files of one replica and those of the other, as two kubelets bring them. */
const FILES_APART_MS = 4_000;
/** The API server is asked so often and for so long, and then left alone for longer than a connection without work is kept. */
const ASK_EVERY_MS = 250;
const ASKED_FOR_MS = 2_000;
const LEFT_ALONE_MS = 6_500;
/** Between two handshakes with a replica. */
const LOOK_MS = 50;
/** The longest that there is: an answer that is late on a busy machine is no refusal. */
const WEBHOOK_TIMEOUT_S = 30;
const RIGHT = [{}];
const WRONG = [{ from: [{ source: { ipBlocks: ['10.0.0.999'] } }] }];

const scope = new AsyncDisposableStack();
let api: RealApiServer;
let folder: string;
let running: AsyncDisposableStack;

beforeAll(async () => {
  ({ api, folder } = await apiServerFor(scope));
  await installBase(api.admin);
}, BUILD_TIMEOUT_MS);
afterAll(() => scope.disposeAsync());
beforeEach(() => {
  running = new AsyncDisposableStack();
});
afterEach(() => running.disposeAsync());

async function replica(name: string, caFolder: string): Promise<ControlPlane> {
  const env = {
    POD_NAME: name,
    ...ANY_PORTS,
    AMBIT_ROOT_OVERLAP: `${OVERLAP_S}s`,
    ROOT_CA_DIR: caFolder,
  };
  const deps = {
    client: api.admin,
    version: 'test',
    clock: systemClock,
    random: systemRandom,
    log: silentLogger,
  };
  return running.use(await startControlPlane(configFrom(env), deps, AbortSignal.timeout(60_000)));
}

/** Has both asked about each policy; resolves when nothing gets past them any more. */
async function register(replicas: readonly ControlPlane[]): Promise<void> {
  const rule = { operations: ['CREATE'], apiGroups: ['security.istio.io'], apiVersions: ['*'] };
  await api.admin.create(validatingWebhookConfigurations, {
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind: 'ValidatingWebhookConfiguration',
    metadata: CONFIGURATION,
    webhooks: replicas.map(({ ports }, index) => ({
      name: `replica${index}.validation.istio.io`,
      failurePolicy: 'Ignore',
      clientConfig: { url: `https://localhost:${ports.webhook}/validate` },
      ...{ sideEffects: 'None', admissionReviewVersions: ['v1'], timeoutSeconds: WEBHOOK_TIMEOUT_S },
      ...{ rules: [{ ...rule, resources: ['authorizationpolicies'] }] },
    })),
  });
  running.defer(() => api.admin.delete(validatingWebhookConfigurations, CONFIGURATION));
  await eventually(async () =>
    (await configuration()).webhooks?.every(({ failurePolicy }) => failurePolicy === 'Fail'),
  );
}

const configuration = (): Promise<ValidatingWebhookConfiguration> =>
  api.admin.get(validatingWebhookConfigurations, CONFIGURATION);

async function answerTo(rules: readonly object[]): Promise<string> {
  const policy: AuthorizationPolicy = {
    apiVersion: 'security.istio.io/v1',
    kind: 'AuthorizationPolicy',
    metadata: { namespace: SYSTEM_NAMESPACE, name: 'asked' },
    ...{ spec: { rules } },
  };
  try {
    await api.admin.create(authorizationPolicies, policy, { dryRun: true });
    return 'admitted';
  } catch (error) {
    return messageOf(error);
  }
}

/** `undefined`: the certificate that it shows is believed by whom `ca` is told. */
async function problemWith({ ports }: ControlPlane, ca: string): Promise<string | undefined> {
  const socket = connect({ host: '127.0.0.1', port: ports.webhook, ca, servername: 'localhost' });
  try {
    await once(socket, 'secureConnect');
    return undefined;
  } catch (error) {
    return messageOf(error);
  } finally {
    socket.destroy();
  }
}

interface Seen {
  asked: number;
  shaken: number;
  /** Answers other than they have to be, and certificates that the API server does not believe. */
  readonly wrong: string[];
}

/** Asks while `during` runs, and once after that over new connections. */
async function whileAsked(replicas: readonly ControlPlane[], during: () => Promise<void>): Promise<Seen> {
  const seen: Seen = { asked: 0, shaken: 0, wrong: [] };
  const over = new AbortController();
  const pause = (ms: number) => sleep(ms, undefined, { signal: over.signal }).catch(() => undefined);
  const ask = async () => {
    seen.asked += 1;
    const [right, wrong] = [await answerTo(RIGHT), await answerTo(WRONG)];
    if (right !== 'admitted') seen.wrong.push(`what is right: ${right}`);
    if (!/denied the request.*10\.0\.0\.999/s.test(wrong)) seen.wrong.push(`what is wrong: ${wrong}`);
  };
  const asking = async () => {
    while (!over.signal.aborted) {
      const endMs = performance.now() + ASKED_FOR_MS;
      while (performance.now() < endMs && !over.signal.aborted) {
        await ask();
        await pause(ASK_EVERY_MS);
      }
      await pause(LEFT_ALONE_MS);
    }
  };
  const looking = async () => {
    while (!over.signal.aborted) {
      const { webhooks = [] } = await configuration();
      for (const [index, one] of replicas.entries()) {
        const bundle = Buffer.from(webhooks[index]?.clientConfig?.caBundle ?? '', 'base64').toString();
        const problem = await problemWith(one, bundle);
        seen.shaken += 1;
        if (problem !== undefined) seen.wrong.push(`replica ${index} is not believed: ${problem}`);
      }
      await pause(LOOK_MS);
    }
  };
  const all = Promise.all([asking(), looking()]);
  try {
    await during();
  } finally {
    over.abort();
    await all;
  }
  await sleep(LEFT_ALONE_MS);
  await ask();
  return seen;
}

async function eventually(holds: () => Promise<boolean | undefined>, timeoutMs = 60_000): Promise<void> {
  const endMs = performance.now() + timeoutMs;
  while (!(await holds())) {
    if (performance.now() > endMs) throw new Error(`never came true: ${holds.toString()}`);
    await sleep(100);
  }
}

const textIn = async (key: string) => {
  const { data } = await api.admin.get(secrets, CA_SECRET);
  return Buffer.from(data?.[key] ?? '', 'base64').toString();
};

const believe = (replicas: readonly ControlPlane[], root: string) => async () =>
  (await Promise.all(replicas.map((one) => problemWith(one, root)))).every(
    (problem) => problem === undefined,
  );

test('no policy is kept out or let in by rotations of the root, whichever replica takes a step', async () => {
  const replicas = [await replica('first', '/nonexistent'), await replica('second', '/nonexistent')];
  await register(replicas);
  const roots = new Set([await textIn('root-cert.pem')]);
  const { asked, shaken, wrong } = await whileAsked(replicas, async () => {
    for (let count = 0; count < ROTATIONS; count += 1) {
      const annotations = { 'ambit.mesh/rotate-root': 'please' };
      await api.admin.patch(secrets, CA_SECRET, { type: 'merge', body: { metadata: { annotations } } });
      await eventually(async () => (await textIn('root-phase')) === 'announced');
      await eventually(async () => (await textIn('root-phase')) === '');
      const root = await textIn('root-cert.pem');
      roots.add(root);
      await eventually(believe(replicas, root));
    }
  });
  expect(wrong).toEqual([]);
  expect(roots.size).toBe(ROTATIONS + 1);
  expect(asked).toBeGreaterThan(ROTATIONS);
  // How often, is the machine's affair.
  expect(shaken).toBeGreaterThan(10 * ROTATIONS);
});

test("nor by another CA of the operator's at once, which replicas hear of one after the other", async () => {
  const names = ['first', 'second'];
  const folders = names.map((name) => join(folder, name));
  const bring = (into: string, material: AuthorityMaterial) => {
    mkdirSync(into, { recursive: true });
    for (const [name, text] of Object.entries(caSecretFiles(material))) writeFileSync(join(into, name), text);
  };
  const before = await createSelfSignedMaterial({ organization: 'operator' }, systemClock);
  const after = await createSelfSignedMaterial({ organization: 'operator' }, systemClock);
  for (const one of folders) bring(one, before);
  const replicas: ControlPlane[] = [];
  for (const name of names) replicas.push(await replica(name, join(folder, name)));
  await register(replicas);
  const { wrong } = await whileAsked(replicas, async () => {
    for (const one of folders) {
      bring(one, after);
      await sleep(FILES_APART_MS);
    }
    await eventually(believe(replicas, after.rootsPem.join('')));
  });
  expect(wrong).toEqual([]);
});
