import { describe, expect, test } from '@jest/globals';
import { ConfigError } from '@ambit/core/config/schema';
import { type Config, configFrom, type ConfigFiles, logFilterText, MESH_FILE } from './config.ts';

type Env = Readonly<Record<string, string>>;

const filesWith = (contents: Readonly<Record<string, string>>): ConfigFiles => ({
  exists: (path) => path in contents,
  read: (path) => contents[path],
  machineCpus: 8,
});

const read = (env: Env, contents: Readonly<Record<string, string>> = {}) =>
  configFrom(env, filesWith(contents));

function problemsOf(env: Env, contents: Readonly<Record<string, string>> = {}): readonly string[] {
  try {
    read(env, contents);
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
  return [];
}

describe('what follows from the environment', () => {
  const root = './var/run/secrets/istio/root-cert.pem';
  const token = './var/run/secrets/tokens/istio-token';
  const cases: Record<string, { env: Env; files?: Readonly<Record<string, string>>; want: Partial<Config> }> =
    {
      'nothing set': {
        env: {},
        want: {
          mode: 'shared',
          proxyEnabled: true,
          dns: true,
          dnsAddress: { kind: 'localhost', port: 15053 },
          adminPort: 15000,
          statsPort: 15020,
          clusterId: 'Kubernetes',
          clusterDomain: 'cluster.local',
          xds: { uri: 'https://localhost:15012', authority: 'localhost:15012', tls: true },
          ca: { uri: 'https://localhost:15012', authority: 'localhost:15012', tls: true },
          xdsRoot: { kind: 'file', path: root },
          token: { kind: 'none' },
          localSource: undefined,
          self: undefined,
          packetMark: 1337,
          portReuse: true,
          terminationDeadlineMs: 5_000,
          secretTtlMs: 86_400_000,
          workers: 2,
          agentSocket: '/var/run/ztunnel/ztunnel.sock',
          illegalPorts: [15008, 15006, 15001],
          missingPolicy: 'refuse',
          trustDomain: 'cluster.local',
          instanceIp: '1.1.1.1',
        },
      },
      'on Kubernetes': {
        env: { KUBERNETES_SERVICE_HOST: '10.0.0.1' },
        files: { [root]: 'PEM', [token]: 'TOKEN' },
        want: {
          xds: {
            uri: 'https://istiod.istio-system.svc:15012',
            authority: 'istiod.istio-system.svc:15012',
            tls: true,
          },
          xdsRoot: { kind: 'file', path: root },
          caRoot: { kind: 'file', path: root },
          token: { kind: 'file', path: token },
        },
      },
      'addresses and tokens as given': {
        env: {
          XDS_ADDRESS: 'http://127.0.0.1:15010',
          CA_ADDRESS: 'ca:1',
          XDS_ROOT_CA: 'SYSTEM',
          CA_ROOT_CA: '-----BEGIN CERTIFICATE',
          AUTH_TOKEN: 'abc',
        },
        want: {
          xds: { uri: 'http://127.0.0.1:15010', authority: '127.0.0.1:15010', tls: false },
          ca: { uri: 'https://ca:1', authority: 'ca:1', tls: true },
          xdsRoot: { kind: 'system' },
          caRoot: { kind: 'pem', pem: '-----BEGIN CERTIFICATE' },
          token: { kind: 'literal', token: 'abc' },
        },
      },
      'a control plane in clear, for whoever has no token': {
        env: { XDS_ADDRESS: 'http://istiod:15010', AUTH_TOKEN: '' },
        files: { [token]: 'TOKEN' },
        want: {
          xds: { uri: 'http://istiod:15010', authority: 'istiod:15010', tls: false },
          token: { kind: 'none' },
        },
      },
      'no control plane, a local file, a fake CA': {
        env: { XDS_ADDRESS: '', CA_ADDRESS: '', FAKE_CA: 'true', LOCAL_XDS_PATH: 'mesh.yaml' },
        want: { xds: undefined, ca: undefined, localSource: { kind: 'file', value: 'mesh.yaml' } },
      },
      'one workload': {
        env: { PROXY_MODE: 'dedicated', PROXY_WORKLOAD_INFO: 'ns/name/sa' },
        want: {
          mode: 'dedicated',
          workloadInfo: { namespace: 'ns', name: 'name', serviceAccount: 'sa' },
          packetMark: undefined,
        },
      },
      'a pod of its own, when all three are told': {
        env: { POD_NAME: 'z', POD_NAMESPACE: 'istio-system', SERVICE_ACCOUNT: 'ztunnel' },
        want: { self: { name: 'z', namespace: 'istio-system', serviceAccount: 'ztunnel' } },
      },
      'no pod of its own, when one is missing': {
        env: { POD_NAME: 'z', POD_NAMESPACE: 'istio-system' },
        want: { self: undefined },
      },
      'DNS off, by variable or by metadata': {
        env: { PROXY_CONFIG: '{"proxyMetadata": {"ISTIO_META_DNS_CAPTURE": "false"}}' },
        want: { dns: false, proxyMetadata: { DNS_CAPTURE: 'false' } },
      },
      'DNS elsewhere': {
        env: { ISTIO_META_DNS_PROXY_ADDR: '[::1]:53', ISTIO_META_DNS_CAPTURE: 'True' },
        want: { dns: true, dnsAddress: { kind: 'ip', ip: '::1', port: 53 } },
      },
      'the mesh file, under PROXY_CONFIG, under ISTIO_META_': {
        env: {
          PROXY_CONFIG: 'statsPort: 1\nproxyMetadata: {ISTIO_META_A: env, B: env}',
          ISTIO_META_B: 'var',
          ISTIO_METAJSON_C: '{"d": 1}',
        },
        files: {
          [MESH_FILE]:
            'defaultConfig: {discoveryAddress: "istiod:1", statsPort: 2, proxyAdminPort: 3, proxyMetadata: {A: file, X: file}}\nother: 1',
        },
        want: {
          statsPort: 1,
          adminPort: 3,
          xds: { uri: 'https://istiod:1', authority: 'istiod:1', tls: true },
          proxyMetadata: { A: 'env', X: 'file', B: 'var' },
          jsonMetadata: { C: { d: 1 } },
        },
      },
      'headers in lower case': {
        env: { XDS_HEADER_FOO_BAR: 'x y', CA_HEADER_A: 'b' },
        want: { xdsHeaders: [['foo_bar', 'x y']], caHeaders: [['a', 'b']] },
      },
      'cluster id: the ISTIO_META_ one wins': {
        env: { CLUSTER_ID: 'a', ISTIO_META_CLUSTER_ID: 'b' },
        want: { clusterId: 'b' },
      },
      'a long grace period leaves 5 s': {
        env: { TERMINATION_GRACE_PERIOD_SECONDS: '30' },
        want: { terminationDeadlineMs: 25_000 },
      },
      'a short grace period leaves 1 s': {
        env: { TERMINATION_GRACE_PERIOD_SECONDS: '10' },
        want: { terminationDeadlineMs: 9_000 },
      },
      'no grace period still leaves 1 s': {
        env: { TERMINATION_GRACE_PERIOD_SECONDS: '0' },
        want: { terminationDeadlineMs: 1_000 },
      },
      'a deadline wins over the grace period': {
        env: { TERMINATION_GRACE_PERIOD_SECONDS: '30', CONNECTION_TERMINATION_DEADLINE: '1m 30' },
        want: { terminationDeadlineMs: 90_000 },
      },
      'SOCKS5 adds a port that leads back': {
        env: { UNSTABLE_ENABLE_SOCKS5: 'true' },
        want: { illegalPorts: [15008, 15006, 15001, 15080] },
      },
      'exact words of TLS': {
        env: { TLS12_ENABLED: 'True', COMPLIANCE_POLICY: 'pqc' },
        want: { tls: { tls12: false, postQuantumOnly: true, preferredCipher: 'aes-128' } },
      },
    };

  test.each(Object.entries(cases))('%s', (_, { env, files, want }) => {
    expect(read(env, files)).toMatchObject(want);
  });

  test('bad JSON metadata is left out with a warning', () => {
    const config = read({ ISTIO_METAJSON_X: '{' });
    expect([config.jsonMetadata, config.warnings]).toEqual([
      {},
      ['ISTIO_METAJSON_X is not JSON and is left out'],
    ]);
  });
});

describe('the number of workers', () => {
  const cases: Record<string, { env: Env; want: number }> = {
    'as said': { env: { ZTUNNEL_WORKER_THREADS: '3' }, want: 3 },
    'all cores': { env: { ZTUNNEL_WORKER_THREADS: '0', ZTUNNEL_CPU_LIMIT: '6' }, want: 6 },
    'a share, rounded up': { env: { ZTUNNEL_WORKER_THREADS: '30%' }, want: 3 },
    'a share is never none': { env: { ZTUNNEL_WORKER_THREADS: '1%' }, want: 1 },
    'concurrency of the ProxyConfig': { env: { PROXY_CONFIG: 'concurrency: 5' }, want: 5 },
    'concurrency 0 is all cores': { env: { PROXY_CONFIG: 'concurrency: 0' }, want: 8 },
    'the limit, rounded up': { env: { ZTUNNEL_RESOURCE_CPU_LIMIT: '1500m' }, want: 2 },
    'a request above the limit': {
      env: { ZTUNNEL_RESOURCE_CPU_LIMIT: '1', ZTUNNEL_RESOURCE_CPU_REQUEST: '4' },
      want: 4,
    },
    'a quarter of many cores': { env: { ZTUNNEL_CPU_LIMIT: '17' }, want: 5 },
    'at least two': { env: { ZTUNNEL_CPU_LIMIT: '1' }, want: 2 },
  };
  test.each(Object.entries(cases))('%s', (_, { env, want }) => expect(read(env).workers).toBe(want));
});

describe('log levels', () => {
  const cases: Record<string, [given: string, want: string]> = {
    'a level': ['debug', 'debug'],
    'scopes, with and without the name of the crate': [
      'info,access=debug,ztunnel::proxy=trace',
      'access=debug,proxy=trace,info',
    ],
    'a bare scope is everything': ['warn,dns', 'dns=trace,warn'],
    'the name of the crate is all': ['ztunnel=debug', 'debug'],
  };
  test.each(Object.entries(cases))('%s', (_, [given, want]) =>
    expect(logFilterText(read({ RUST_LOG: given }))).toBe(want),
  );
});

describe('what cannot be', () => {
  const cases: Record<string, { env: Env; files?: Readonly<Record<string, string>>; want: string }> = {
    'a flag in other words': {
      env: { ENABLE_PROXY: 'True' },
      want: 'invalid env var ENABLE_PROXY=True: want true or false',
    },
    'an empty flag': { env: { IPV6_ENABLED: '' }, want: 'invalid env var IPV6_ENABLED=: want true or false' },
    'a hexadecimal mark': { env: { PACKET_MARK: '0x539' }, want: 'invalid env var PACKET_MARK=0x539' },
    'a fraction of a second': { env: { SECRET_TTL: '1.5s' }, want: 'invalid env var SECRET_TTL=1.5s' },
    'an unknown mode': {
      env: { PROXY_MODE: 'both' },
      want: 'invalid env var PROXY_MODE=both: want shared or dedicated',
    },
    'a frame that HTTP/2 does not allow': {
      env: { HTTP2_FRAME_SIZE: '1' },
      want: 'invalid env var HTTP2_FRAME_SIZE=1',
    },
    'a dedicated proxy of nobody': {
      env: { PROXY_MODE: 'dedicated' },
      want: 'PROXY_WORKLOAD_INFO must be set',
    },
    'half a workload': { env: { PROXY_WORKLOAD_INFO: 'a/b' }, want: 'want namespace/name/serviceAccount' },
    'nothing to do': {
      env: { ENABLE_PROXY: 'false', ISTIO_META_DNS_CAPTURE: 'no' },
      want: 'without any servers enabled',
    },
    'on demand with DNS': { env: { XDS_ON_DEMAND: 'true' }, want: 'XDS_ON_DEMAND needs' },
    'two local meshes': { env: { LOCAL_XDS: '', LOCAL_XDS_PATH: 'x' }, want: 'only one of' },
    'no CA': { env: { CA_ADDRESS: '' }, want: 'CA_ADDRESS must be set' },
    'an address that is none': {
      env: { XDS_ADDRESS: 'https://' },
      want: 'XDS_ADDRESS=https://: invalid uri',
    },
    'a token in clear': {
      env: { XDS_ADDRESS: 'http://istiod:15010', AUTH_TOKEN: 'hush' },
      want: 'XDS_ADDRESS=http://istiod:15010: want https, since a token goes there',
    },
    'a token of a file in clear': {
      env: { XDS_ADDRESS: 'http://10.0.0.1:15010' },
      files: { './var/run/secrets/tokens/istio-token': 'TOKEN' },
      want: 'XDS_ADDRESS=http://10.0.0.1:15010: want https',
    },
    'a token in clear, to an address of a ProxyConfig': {
      env: { PROXY_CONFIG: 'discoveryAddress: http://[fd00::1]:15010', XDS_HEADER_AUTHORIZATION: 'Bearer x' },
      want: 'discoveryAddress=http://[fd00::1]:15010: want https, since a header authorization goes there',
    },
    'a cookie in clear': {
      env: { XDS_ADDRESS: 'http://istiod:15010', XDS_HEADER_cookie: 'session=x', XDS_HEADER_A: 'b' },
      want: 'XDS_ADDRESS=http://istiod:15010: want https, since a header cookie goes there',
    },
    'a key in clear': {
      env: { XDS_ADDRESS: 'http://istiod:15010', XDS_HEADER_X_API_KEY: 'x' },
      want: 'XDS_ADDRESS=http://istiod:15010: want https, since a header x_api_key goes there',
    },
    'a token in clear, as metadata': {
      env: { XDS_ADDRESS: 'http://istiod:15010', ISTIO_META_A: 'b', ISTIO_META_ACCESSTOKEN: 'x' },
      want: 'XDS_ADDRESS=http://istiod:15010: want https, since metadata ACCESSTOKEN goes there',
    },
    'a password in clear, of a ProxyConfig': {
      env: {
        PROXY_CONFIG:
          '{"discoveryAddress": "http://istiod:15010", "proxyMetadata": {"ISTIO_META_DB_PASS": "x"}}',
      },
      want: 'discoveryAddress=http://istiod:15010: want https, since metadata DB_PASS goes there',
    },
    'a key in clear, within metadata': {
      env: { XDS_ADDRESS: 'http://istiod:15010', ISTIO_METAJSON_A: '[{"b": {"signingKey": "x"}}]' },
      want: 'XDS_ADDRESS=http://istiod:15010: want https, since metadata signingKey goes there',
    },
    'a binary header': { env: { XDS_HEADER_X_BIN: 'a', 'XDS_HEADER_A-bin': 'b' }, want: 'XDS_HEADER_A-bin' },
    'a DNS address that is none': {
      env: { ISTIO_META_DNS_PROXY_ADDR: 'somewhere:53' },
      want: 'failed to parse DNS_PROXY_ADDR',
    },
    'a log level that is none': { env: { RUST_LOG: 'a=b=c' }, want: 'invalid env var RUST_LOG=a=b=c' },
    'a ProxyConfig that is none': {
      env: { PROXY_CONFIG: '{"statsPort": 70000}' },
      want: 'error parsing proxy config: failed parsing proxy config env: statsPort: want a whole number',
    },
    'a mesh file that is not YAML': {
      env: {},
      files: { [MESH_FILE]: 'a: [' },
      want: 'failed parsing mesh config file',
    },
    'too many workers': {
      env: { ZTUNNEL_WORKER_THREADS: '101%' },
      want: 'invalid env var ZTUNNEL_WORKER_THREADS=101%',
    },
  };
  test.each(Object.entries(cases))('%s', (_, { env, files, want }) => {
    expect(problemsOf(env, files).join('\n')).toContain(want);
  });

  test('all of it is told at once, and the token is not', () => {
    const problems = problemsOf({ ENABLE_PROXY: 'x', FAKE_CA: 'y', AUTH_TOKEN: 'hush', PROXY_MODE: 'z' });
    expect(problems).toHaveLength(3);
    expect(problems.join()).not.toContain('hush');
  });
});
