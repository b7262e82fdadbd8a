import { beforeAll, describe, expect, test } from '@jest/globals';
import type { KubeObject } from '@ambit/kube/resource';
import { pods } from '@ambit/kube/resources/core';
import { PORTS } from '../echo/ports.ts';
import { runAmbit } from './kit/ambit.ts';
import { type SuiteAuthority, suiteAuthority } from './kit/certificates.ts';
import type { Asked, EchoPod } from './kit/echo-pod.ts';
import { service } from './kit/objects.ts';
import { logsOf } from './kit/pod-http.ts';
import type { Space } from './kit/space.ts';
import { useSuite } from './kit/suite.ts';
import { eventually, until } from './kit/wait.ts';

const suite = useSuite('waypoint-tls');
const patience = { timeoutMs: 60_000 };
/** What the endpoints prove. */
const NAME = 'backend.test';
/** Where the waypoint is spoken to in clear, by what the client speaks; all lead to the application's port for TLS. */
const OVER = { http: 8_443, http2: 8_444 } as const;
/** In the mesh, and outside of it. */
const INSIDE = 'secured';
const OUTSIDE = 'partner.test';

let space: Space;
let client: EchoPod;
let authority: SuiteAuthority;
let cases = 0;

const hostOf = (name: string) => (name === OUTSIDE ? name : space.host(name));

function object(apiVersion: string, kind: string, name: string, body: object): KubeObject {
  return { apiVersion, kind, metadata: { namespace: space.name, name }, ...body };
}

function certificates(name: string, pem: string): KubeObject {
  return object('v1', 'ConfigMap', name, { data: { 'ca.crt': pem } });
}

function rule(name: string, tls: object): KubeObject {
  const spec = { host: hostOf(name), trafficPolicy: { tls } };
  return object('networking.istio.io/v1', 'DestinationRule', 'tls', { spec });
}

function backendTls(name: string, validation: object): KubeObject {
  const target =
    name === OUTSIDE
      ? { group: 'networking.istio.io', kind: 'ServiceEntry', name: 'partner' }
      : { group: '', kind: 'Service', name };
  return object('gateway.networking.k8s.io/v1', 'BackendTLSPolicy', 'tls', {
    spec: { targetRefs: [target], validation },
  });
}

const fromConfigMap = (name: string) => ({ caCertificateRefs: [{ group: '', kind: 'ConfigMap', name }] });

/** Applies `objects` for the time of `during`. */
async function having(objects: readonly KubeObject[], during: () => Promise<void>): Promise<void> {
  await space.apply(...objects);
  try {
    await during();
  } finally {
    await space.remove(...objects);
  }
}

/** Of all replicas. */
async function logs(): Promise<readonly string[]> {
  const { items } = await suite.cluster.client.list(pods, {
    namespace: space.name,
    labelSelector: 'gateway.networking.k8s.io/gateway-name=waypoint',
  });
  const texts = await Promise.all(
    items.map(({ metadata: { name } }) =>
      logsOf(suite.cluster.client, { namespace: space.name, name }, { sinceSeconds: 120 }),
    ),
  );
  return texts.flatMap((text) => text.split('\n'));
}

/** Asks until it is answered well; what the endpoint says of TLS then. */
async function secured(name: string, asked: Partial<Asked> = {}) {
  const outcome = await eventually(
    `${name} answers over TLS`,
    () => client.ask({ host: hostOf(name), port: OVER.http, timeoutMs: 10_000, ...asked }),
    (seen) => seen.ok && seen.server?.tls !== undefined,
    patience,
  );
  return outcome.ok ? outcome.server : undefined;
}

/** Asks until nothing is sent for the reason given, which the access log tells. */
async function refused(name: string, reason: RegExp): Promise<void> {
  const path = `/case-${cases++}`;
  const line = await eventually(
    `${name} is refused`,
    async () => {
      const seen = await client.ask({ host: hostOf(name), port: OVER.http, path, timeoutMs: 10_000 });
      if (seen.ok || !/status 503: .*reset reason: tls/.test(seen.error)) return undefined;
      return (await logs()).findLast((text) => text.includes(path) && reason.test(text));
    },
    (found) => found !== undefined,
    { ...patience, everyMs: 1_000 },
  );
  expect(line).toMatch(new RegExp(`"GET ${path} HTTP/1.1" 503 \\S*UF`));
}

beforeAll(async () => {
  const [one, two] = suite.nodes;
  space = await suite.space('app', 'ambient');
  const apart = await suite.space('apart');
  authority = await suiteAuthority('right');
  const stranger = await suiteAuthority('wrong');
  const { certificate, key } = await authority.issue({ dnsNames: [NAME] });
  const env = { TLS_CERTIFICATE: certificate, TLS_KEY: key };
  [client] = (await space.run({ name: 'client', node: one }, { name: 'server', node: two, env })) as [
    EchoPod,
  ];
  const [partner] = await apart.run({ name: 'partner', node: one, env });
  const ports = Object.entries(OVER).map(([protocol, port]) => ({
    name: `${protocol}-secured`,
    port,
    targetPort: PORTS.https,
  }));
  await space.enrolled(true, 'client', 'server');
  await space.apply(
    service(space.name, INSIDE, { selector: { app: 'server' }, ports }),
    object('networking.istio.io/v1', 'ServiceEntry', 'partner', {
      spec: {
        hosts: [OUTSIDE],
        location: 'MESH_EXTERNAL',
        resolution: 'STATIC',
        endpoints: [{ address: partner?.ip }],
        ports: ports.map(({ name, port, targetPort }) => ({
          name,
          number: port,
          targetPort,
          protocol: name.startsWith('http2') ? 'HTTP2' : 'HTTP',
        })),
      },
    }),
    certificates('right', authority.certificate),
    certificates('wrong', stranger.certificate),
    object('telemetry.istio.io/v1', 'Telemetry', 'log', {
      spec: {
        accessLogging: [{ match: { mode: 'CLIENT_AND_SERVER' }, providers: [{ name: 'envoy' }] }],
      },
    }),
  );
  await runAmbit(suite.cluster, 'waypoint', 'apply', '-n', space.name, '--enroll-namespace');
  await until(
    'requests at L7',
    async () => {
      const seen = await client.ask({ host: space.host('server'), timeoutMs: 10_000 });
      return seen.ok && seen.server?.headers?.['x-request-id'] !== undefined;
    },
    patience,
  );
});

describe.each([INSIDE, OUTSIDE])('a BackendTLSPolicy for %s', (name) => {
  test('the right authority and name: both versions of HTTP, by ALPN', async () => {
    await having([backendTls(name, { hostname: NAME, ...fromConfigMap('right') })], async () => {
      expect(await secured(name)).toMatchObject({
        protocol: 'HTTP/1.1',
        tls: { serverName: NAME, alpn: 'http/1.1', client: '' },
      });
      expect(await secured(name, { kind: 'http2', port: OVER.http2 })).toMatchObject({
        protocol: 'HTTP/2',
        tls: { serverName: NAME, alpn: 'h2', client: '' },
      });
    });
  });

  test('another authority, and another name, are refused with the reason', async () => {
    await having([backendTls(name, { hostname: NAME, ...fromConfigMap('wrong') })], () =>
      refused(name, /unable_to_(get|verify)|self-signed/),
    );
    await having([backendTls(name, { hostname: 'other.test', ...fromConfigMap('right') })], () =>
      refused(name, /other\.test/),
    );
    const names = { subjectAltNames: [{ type: 'Hostname', hostname: 'third.test' }] };
    await having([backendTls(name, { hostname: NAME, ...names, ...fromConfigMap('right') })], () =>
      refused(name, /expected_one_of_third\.test/),
    );
  });
});

describe.each([INSIDE, OUTSIDE])('a DestinationRule for %s', (name) => {
  test('SIMPLE: the name is asked for, and nobody need prove it where the user says so', async () => {
    const tls = { mode: 'SIMPLE', sni: NAME, insecureSkipVerify: true };
    await having([rule(name, tls)], async () => {
      expect(await secured(name)).toMatchObject({ tls: { serverName: NAME, alpn: 'http/1.1' } });
    });
  });

  test('SIMPLE: whom the system’s roots do not know is refused with the reason', async () => {
    await having([rule(name, { mode: 'SIMPLE', sni: NAME })], () =>
      refused(name, /unable_to_(get|verify)|self-signed/),
    );
  });
});
