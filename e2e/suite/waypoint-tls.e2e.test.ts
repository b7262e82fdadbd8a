import { beforeAll, describe, expect, test } from '@jest/globals';
import type { KubeObject } from '@ambit/kube/resource';
import { pods, secrets } from '@ambit/kube/resources/core';
import { gateways } from '@ambit/kube/resources/gateway';
import { PORTS } from '../echo/ports.ts';
import { runAmbit } from './kit/ambit.ts';
import { type SuiteAuthority, suiteAuthority } from './kit/certificates.ts';
import type { Asked, EchoPod } from './kit/echo-pod.ts';
import { isReady } from './kit/mesh.ts';
import { service } from './kit/objects.ts';
import { wasReadOnTheWay } from './kit/outcomes.ts';
import { askPod, logsOf } from './kit/pod-http.ts';
import type { Space } from './kit/space.ts';
import { useSuite } from './kit/suite.ts';
import { EVERYBODY, eventually, LED, type Patience, until } from './kit/wait.ts';
import { overlays } from './kit/waypoint-objects.ts';

const suite = useSuite('waypoint-tls');
const patience = LED;
/** A waypoint has two pods, which hear of a change each in its own time. */
const settled: Patience = { inARow: EVERYBODY };
/** What the endpoints prove. */
const NAME = 'backend.test';
/** Where the waypoint is spoken to in clear, by what the client speaks; all lead to the application's port for TLS. */
const OVER = { http: 8_443, http2: 8_444 } as const;
/** In the mesh, and outside of it. */
const INSIDE = 'secured';
const OUTSIDE = 'partner.test';
/** Outside, and wants a certificate of whoever asks. */
const STRICT = 'bank.test';

let space: Space;
let client: EchoPod;
let authority: SuiteAuthority;
/** Of the endpoints. */
let proof: string;
let cases = 0;
let nudges = 0;

const hostOf = (name: string) => (name === INSIDE ? space.host(name) : name);

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

async function replicas() {
  const { items } = await suite.cluster.client.list(pods, {
    namespace: space.name,
    labelSelector: 'gateway.networking.k8s.io/gateway-name=waypoint',
  });
  return items;
}

/** Of all replicas that are there; one may end meanwhile. */
async function logs(): Promise<readonly string[]> {
  const texts = await Promise.all(
    (await replicas()).map(({ metadata: { name } }) =>
      logsOf(suite.cluster.client, { namespace: space.name, name }, { sinceSeconds: 120 }).catch(() => ''),
    ),
  );
  return texts.flatMap((text) => text.split('\n'));
}

/** Has the kubelet look at what the pods mount now, and not in a minute. */
async function nudge(): Promise<void> {
  const annotations = { 'ambit.e2e/nudged': String(nudges++) };
  for (const { metadata } of await replicas())
    await suite.cluster.client.patch(pods, metadata, { type: 'merge', body: { metadata: { annotations } } });
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

/** Waits until the endpoint hears this name, `undefined`: nothing, in both replicas. */
async function proven(commonName: string | undefined): Promise<void> {
  await until(
    `${STRICT} hears ${commonName ?? 'nobody'}`,
    async () => {
      await nudge();
      const all = await Promise.all(
        Array.from({ length: 6 }, () => client.ask({ host: STRICT, port: OVER.http, timeoutMs: 10_000 })),
      );
      return all.every((seen) => (seen.ok ? seen.server?.tls?.client : undefined) === commonName);
    },
    { timeoutMs: 120_000, everyMs: 1_000 },
  );
}

beforeAll(async () => {
  const [one, two] = suite.nodes;
  space = await suite.space('app', 'ambient');
  const apart = await suite.space('apart');
  authority = await suiteAuthority('right');
  const stranger = await suiteAuthority('wrong');
  const { certificate, key } = await authority.issue({ dnsNames: [NAME] });
  proof = certificate;
  const env = { TLS_CERTIFICATE: certificate, TLS_KEY: key };
  [client] = (await space.run({ name: 'client', node: one }, { name: 'server', node: two, env })) as [
    EchoPod,
  ];
  const [partner] = await apart.run({ name: 'partner', node: one, env });
  const strict = { ...env, TLS_CLIENT_CA: authority.certificate };
  const [bank] = await apart.run({ name: 'bank', node: two, env: strict });
  const ports = Object.entries(OVER).map(([protocol, port]) => ({
    name: `${protocol}-secured`,
    port,
    targetPort: PORTS.https,
  }));
  const entry = (name: string, host: string, address: string) =>
    object('networking.istio.io/v1', 'ServiceEntry', name, {
      spec: {
        hosts: [host],
        location: 'MESH_EXTERNAL',
        resolution: 'STATIC',
        endpoints: [{ address }],
        ports: ports.map(({ name: port, port: number, targetPort }) => ({
          name: port,
          number,
          targetPort,
          protocol: port.startsWith('http2') ? 'HTTP2' : 'HTTP',
        })),
      },
    });
  await space.enrolled(true, 'client', 'server');
  await space.apply(
    service(space.name, INSIDE, { selector: { app: 'server' }, ports }),
    entry('partner', OUTSIDE, partner?.ip ?? ''),
    entry('bank', STRICT, bank?.ip ?? ''),
    certificates('right', authority.certificate),
    certificates('wrong', stranger.certificate),
    object('telemetry.istio.io/v1', 'Telemetry', 'log', {
      spec: {
        accessLogging: [{ match: { mode: 'CLIENT_AND_SERVER' }, providers: [{ name: 'envoy' }] }],
      },
    }),
  );
  await runAmbit(
    suite.cluster,
    ...['waypoint', 'apply', '-n', space.name, '--enroll-namespace', '--waypoint-timeout', '150s'],
  );
  await until(
    'requests at L7',
    async () => wasReadOnTheWay(await client.ask({ host: space.host('server'), timeoutMs: 10_000 })),
    settled,
  );
});

describe.each([INSIDE, OUTSIDE])('a BackendTLSPolicy for %s', (name) => {
  test('the right authority and name: both versions of HTTP, by ALPN', async () => {
    await space.having([backendTls(name, { hostname: NAME, ...fromConfigMap('right') })], async () => {
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
    await space.having([backendTls(name, { hostname: NAME, ...fromConfigMap('wrong') })], () =>
      refused(name, /unable_to_(get|verify)|self-signed/),
    );
    await space.having([backendTls(name, { hostname: 'other.test', ...fromConfigMap('right') })], () =>
      refused(name, /other\.test/),
    );
    const names = { subjectAltNames: [{ type: 'Hostname', hostname: 'third.test' }] };
    await space.having([backendTls(name, { hostname: NAME, ...names, ...fromConfigMap('right') })], () =>
      refused(name, /expected_one_of_third\.test/),
    );
  });
});

describe.each([INSIDE, OUTSIDE])('a DestinationRule for %s', (name) => {
  test('SIMPLE: the name is asked for, and nobody need prove it where the user says so', async () => {
    const tls = { mode: 'SIMPLE', sni: NAME, insecureSkipVerify: true };
    await space.having([rule(name, tls)], async () => {
      expect(await secured(name)).toMatchObject({ tls: { serverName: NAME, alpn: 'http/1.1' } });
    });
  });

  test('SIMPLE: whom the system’s roots do not know is refused with the reason', async () => {
    await space.having([rule(name, { mode: 'SIMPLE', sni: NAME })], () =>
      refused(name, /unable_to_(get|verify)|self-signed/),
    );
  });
});

describe('a certificate of its own', () => {
  const FOLDER = '/etc/istio/credentials/bank';
  const mutual = { mode: 'MUTUAL', sni: NAME, credentialName: 'bank' };
  const files = {
    mode: 'MUTUAL',
    sni: NAME,
    clientCertificate: `${FOLDER}/tls.crt`,
    privateKey: `${FOLDER}/tls.key`,
    caCertificates: `${FOLDER}/ca.crt`,
  };
  /** What was renewed is for new connections. */
  const once = { connectionPool: { http: { maxRequestsPerConnection: 1 } } };
  const ruled = (tls: object) =>
    object('networking.istio.io/v1', 'DestinationRule', 'tls', {
      spec: { host: STRICT, trafficPolicy: { tls, ...once } },
    });

  async function secret(commonName: string): Promise<KubeObject> {
    const { certificate, key } = await authority.issue({ commonName });
    const stringData = {
      'tls.crt': certificate,
      'tls.key': key,
      'ca.crt': authority.certificate,
      other: 'x',
    };
    return object('v1', 'Secret', 'bank', { type: 'Opaque', stringData });
  }

  test('by a Secret: refused while it is missing; made, renewed and deleted without a restart', async () => {
    const { client: api } = suite.cluster;
    const annotations = { 'ambit.mesh/credentials': 'bank' };
    const body = { metadata: { annotations } };
    await api.patch(gateways, { namespace: space.name, name: 'waypoint' }, { type: 'merge', body });
    const rolled = await eventually(
      'pods with the mount',
      replicas,
      (all) =>
        all.length === 2 &&
        all.every((pod) => isReady(pod) && pod.metadata.annotations?.['ambit.mesh/credentials'] === 'bank'),
      { timeoutMs: 120_000, everyMs: 500 },
    );
    await space.having([ruled(mutual)], async () => {
      await refused(STRICT, /Secret_bank_has_no_cert_and_key,_or_tls\.crt_and_tls\.key/);
      await space.apply(await secret('asker'));
      await proven('asker');
      await space.apply(await secret('renewed'));
      await proven('renewed');
      // Not for everybody who may look into the pod: only what TLS needs is there, and no key is told.
      const [pod] = rolled;
      const at = { namespace: space.name, name: pod?.metadata.name ?? '', port: 15_000 };
      const { body: dump } = await askPod(api, at, 'GET', '/config_dump');
      expect(dump).toContain('"bank"');
      expect(dump).not.toContain('PRIVATE KEY');
      await space.having([ruled(files)], () => proven('renewed'));
      await space.apply(ruled({ mode: 'SIMPLE', sni: NAME, credentialName: 'bank' }));
      await proven(undefined);
      await space.apply(ruled({ ...mutual, subjectAltNames: ['other.test'] }));
      await refused(STRICT, /expected_one_of_other\.test/);
      await space.apply(ruled(mutual));
      await proven('renewed');
      await api.delete(secrets, { namespace: space.name, name: 'bank' });
      await proven(undefined);
      await refused(STRICT, /Secret_bank_has_no/);
    });
    const names = (await replicas()).map(({ metadata }) => metadata.name).sort();
    expect(names).toEqual(rolled.map(({ metadata }) => metadata.name).sort());
  });
});

describe('files that an overlay mounts', () => {
  const FOLDER = '/etc/files-of-bank';
  const files = {
    mode: 'MUTUAL',
    sni: NAME,
    clientCertificate: `${FOLDER}/mine.crt`,
    privateKey: `${FOLDER}/mine.key`,
    caCertificates: `${FOLDER}/theirs.crt`,
    caCrl: `${FOLDER}/theirs.crl`,
  };
  const ruled = () =>
    object('networking.istio.io/v1', 'DestinationRule', 'tls', {
      spec: {
        host: STRICT,
        trafficPolicy: { tls: files, connectionPool: { http: { maxRequestsPerConnection: 1 } } },
      },
    });
  const overlay = `spec:
  template:
    metadata: {annotations: {ambit.e2e/files: mounted}}
    spec:
      volumes: [{name: files-of-bank, secret: {secretName: files-of-bank}}]
      containers: [{name: istio-proxy, volumeMounts: [{name: files-of-bank, mountPath: ${FOLDER}, readOnly: true}]}]
`;

  async function mounted(commonName: string, ...takenBack: readonly string[]): Promise<KubeObject> {
    const { certificate, key } = await authority.issue({ commonName });
    const stringData = {
      'mine.crt': certificate,
      'mine.key': key,
      'theirs.crt': authority.certificate,
      'theirs.crl': await authority.revoking(...takenBack),
    };
    return object('v1', 'Secret', 'files-of-bank', { type: 'Opaque', stringData });
  }

  test('are read, and read anew under load without a failure; whom a list takes back is refused', async () => {
    const { client: api } = suite.cluster;
    await space.apply(await mounted('files-one'), overlays(space.name, 'tls-files', { deployment: overlay }));
    const at = { namespace: space.name, name: 'waypoint' };
    const parametersRef = { group: '', kind: 'ConfigMap', name: 'tls-files' };
    await api.patch(gateways, at, {
      type: 'merge',
      body: { spec: { infrastructure: { parametersRef } } },
    });
    const rolled = await eventually(
      'pods with the files',
      replicas,
      (all) =>
        all.length === 2 &&
        all.every((pod) => isReady(pod) && pod.metadata.annotations?.['ambit.e2e/files'] === 'mounted'),
      { timeoutMs: 120_000, everyMs: 500 },
    );
    await space.having([ruled()], async () => {
      await proven('files-one');
      const load = await client.load({
        host: STRICT,
        port: OVER.http,
        connections: 4,
        requestsPerSecond: 20,
      });
      await load.hasServed(40);
      await space.apply(await mounted('files-two'));
      await proven('files-two');
      const { ok } = await load.hasServed(40);
      await load.hasServed(ok + 20);
      const { failed, errors } = await load.end();
      expect([failed, errors]).toEqual([0, []]);
      await space.apply(await mounted('files-two', proof));
      await proven(undefined);
      await refused(STRICT, /CERT_REVOKED|certificate_revoked/i);
      await space.apply(await mounted('files-three'));
      await proven('files-three');
    });
    const names = (await replicas()).map(({ metadata }) => metadata.name).sort();
    expect(names).toEqual(rolled.map(({ metadata }) => metadata.name).sort());
  });
});
