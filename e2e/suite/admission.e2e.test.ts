import { text } from 'node:stream/consumers';
import { beforeAll, describe, expect, test } from '@jest/globals';
import { ACCEPTED_ENTRIES, type EntryCase, REFUSED_ENTRIES } from '@ambit/istiod-lite/testing/entry-cases';
import { ACCEPTED, type PolicyCase, REFUSED } from '@ambit/istiod-lite/testing/policy-cases';
import { apiVersionOf, keyOf, type KubeObject, pathOf, type Resource } from '@ambit/kube/resource';
import { validatingWebhookConfigurations } from '@ambit/kube/resources/authentication';
import { type Condition, namespaces, services } from '@ambit/kube/resources/core';
import {
  destinationRules,
  serviceEntries,
  virtualServices,
  workloadEntries,
} from '@ambit/kube/resources/networking';
import { telemetries } from '@ambit/kube/resources/telemetry';
import {
  authorizationPolicies,
  peerAuthentications,
  requestAuthentications,
} from '@ambit/kube/resources/security';
import type { Space } from './kit/space.ts';
import { useSuite } from './kit/suite.ts';
import { EVERYBODY, eventually, LED } from './kit/wait.ts';

/** What the API server says to an object that is tried and not stored. */
interface Answer {
  readonly status: number;
  /** Of a refusal: its message. */
  readonly message: string;
  /** What kubectl would show. */
  readonly warnings: string;
}

const TRIAL_TIMEOUT_MS = 15_000;
const CONFIGURATION = 'istio-validator-istio-system';

const suite = useSuite('admission');
let space: Space;

beforeAll(async () => {
  space = await suite.space('home', 'ambient');
  // Until the control plane has seen that it is asked, validation is open.
  await eventually('validation is closed', openness, (policies) => policies[0] === 'Fail');
  // A suite before this one may have left the API server behind the control plane's addresses.
  const spec = { rules: [{}] };
  await eventually(
    'the API server reaches it',
    () => attempt(authorizationPolicies, { spec }),
    ({ status }) => status === 201,
    { inARow: EVERYBODY },
  );
});

async function openness(): Promise<readonly (string | undefined)[]> {
  const { webhooks = [] } = await suite.cluster.client.get(validatingWebhookConfigurations, {
    name: CONFIGURATION,
  });
  return webhooks.map(({ failurePolicy }) => failurePolicy);
}

/** In the API server's words: whom it asks did not answer, or not in time, which says nothing of the object. */
const NOT_ASKED = /failed calling webhook/;

async function attempt(resource: Resource, more: object): Promise<Answer> {
  return await eventually(
    'an answer of all who are asked',
    () => attemptOnce(resource, more),
    ({ message, warnings }) => !NOT_ASKED.test(message) && !NOT_ASKED.test(warnings),
  );
}

async function attemptOnce(resource: Resource, more: object): Promise<Answer> {
  const metadata = { namespace: space.name, name: 'tried' };
  const body = JSON.stringify({ apiVersion: apiVersionOf(resource), kind: resource.kind, metadata, ...more });
  const answer = await suite.cluster.client.transport.send({
    method: 'POST',
    path: `${pathOf(resource, { namespace: space.name })}?dryRun=All`,
    contentType: 'application/json',
    body,
    signal: AbortSignal.timeout(TRIAL_TIMEOUT_MS),
  });
  const { message } = JSON.parse(await text(answer)) as { message?: string };
  const warnings = String(answer.headers['warning'] ?? '');
  return { status: answer.statusCode ?? 0, message: message ?? '', warnings };
}

const RESOURCES: Readonly<Record<PolicyCase['kind'] | EntryCase['kind'], Resource>> = {
  AuthorizationPolicy: authorizationPolicies,
  PeerAuthentication: peerAuthentications,
  RequestAuthentication: requestAuthentications,
  ServiceEntry: serviceEntries,
  WorkloadEntry: workloadEntries,
  VirtualService: virtualServices,
  DestinationRule: destinationRules,
  Telemetry: telemetries,
};

describe('what must not get in', () => {
  test.each(Object.entries({ ...REFUSED, ...REFUSED_ENTRIES }))(
    '%s',
    async (_, { kind, spec, webhook, definition }) => {
      const { status, message } = await attempt(RESOURCES[kind], { spec });
      // The API server's own rules come first, and say it in their words.
      expect(message).toContain(definition ?? webhook);
      expect(status).toBe(422);
    },
  );
});

test.each(Object.entries({ ...ACCEPTED, ...ACCEPTED_ENTRIES }))('what may: %s', async (_, { kind, spec }) => {
  expect(await attempt(RESOURCES[kind], { spec })).toMatchObject({ status: 201, message: '' });
});

describe('warnings', () => {
  test('of a policy that will not do what it says', async () => {
    const { status, warnings } = await attempt(authorizationPolicies, {
      spec: {
        action: 'DENY',
        rules: [
          {
            from: [{ source: { namespaces: ['no-such-namespace'] } }],
            to: [{ operation: { paths: ['/admin'] } }],
          },
        ],
      },
    });
    expect(status).toBe(201);
    expect(warnings).toContain('needs a waypoint (paths)');
    expect(warnings).toContain('there is no namespace');
  });

  test('of a policy for what is not there', async () => {
    const spec = { targetRefs: [{ group: '', kind: 'Service', name: 'no-such-service' }] };
    const { warnings } = await attempt(authorizationPolicies, { spec });
    expect(warnings).toContain('no-such-service was not found; nobody enforces this policy there');
  });

  test('of a Service that asks for a waypoint that is not there', async () => {
    const spec = { ports: [{ port: 80 }] };
    const labels = { 'istio.io/use-waypoint': 'no-such-waypoint' };
    const { warnings } = await attempt(services, {
      metadata: { namespace: space.name, name: 'tried', labels },
      spec,
    });
    expect(warnings).toContain('no-such-waypoint');
    expect((await attempt(services, { spec })).warnings).toBe('');
  });

  test('of a Namespace whose label takes nobody into the mesh', async () => {
    const labelled = (mode: string) =>
      attempt(namespaces, { metadata: { name: 'e2e-tried', labels: { 'istio.io/dataplane-mode': mode } } });
    expect((await labelled('ambiant')).warnings).toContain('says nothing: ambient takes pods into the mesh');
    expect((await labelled('ambient')).warnings).toBe('');
  });

  test('never stand in the way: what only warns is open, what refuses is closed', async () => {
    expect(await openness()).toEqual(['Fail', 'Ignore']);
  });
});

describe('statuses', () => {
  type Conditioned = KubeObject & { readonly status?: { readonly conditions?: readonly Condition[] } };

  async function conditions<T extends Conditioned>(resource: Resource<T>, name: string) {
    const { status } = await suite.cluster.client.get(resource, { namespace: space.name, name });
    return (status?.conditions ?? []).map(({ type, status: is, reason }) => `${type} ${is} ${reason ?? ''}`);
  }

  async function expectConditions<T extends Conditioned>(resource: Resource<T>, object: T, wanted: string) {
    await space.apply(object);
    await eventually(
      `${keyOf(object)} says ${wanted || 'nothing'}`,
      async () => (await conditions(resource, object.metadata.name)).join(),
      (said) => said === wanted,
      LED,
    );
  }

  const service = (labels: Readonly<Record<string, string>>) => ({
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { namespace: space.name, name: 'web', labels },
    spec: { ports: [{ port: 80 }] },
  });
  const policy = (name: string, spec: object) => ({
    apiVersion: 'security.istio.io/v1',
    kind: 'AuthorizationPolicy',
    metadata: { namespace: space.name, name },
    spec,
  });

  test('a Service that asks for a waypoint says what became of it, for as long as it asks', async () => {
    const asking = service({ 'istio.io/use-waypoint': 'no-such-waypoint' });
    await expectConditions(services, asking, 'istio.io/WaypointBound False WaypointIsNotReady');
    await expectConditions(services, service({ 'istio.io/use-waypoint': 'none' }), '');
  });

  test('a policy says whether ztunnels enforce it, or a waypoint, or nobody', async () => {
    const accepted = policy('accepted', { rules: [{}] });
    await expectConditions(authorizationPolicies, accepted, 'ZtunnelAccepted True Accepted');
    const http = policy('http', { action: 'DENY', rules: [{ to: [{ operation: { paths: ['/a'] } }] }] });
    await expectConditions(authorizationPolicies, http, 'ZtunnelAccepted False UnsupportedValue');
    const nobody = policy('nobody', {
      targetRefs: [{ group: '', kind: 'Service', name: 'no-such-service' }],
    });
    await expectConditions(authorizationPolicies, nobody, 'WaypointAccepted False TargetNotFound');
  });
});
