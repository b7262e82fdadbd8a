import { describe, expect, test } from '@jest/globals';
import { decodeAuthorization, encodeAuthorization } from './authorization.ts';
import {
  decodeCertificateRequest,
  decodeCertificateResponse,
  encodeCertificateRequest,
  encodeCertificateResponse,
} from './ca.ts';
import { ProtobufError } from './codec.ts';
import {
  createCheckRequest,
  createCheckResponse,
  decodeCheckRequest,
  decodeCheckResponse,
  encodeCheckRequest,
  encodeCheckResponse,
} from './external-authorization.ts';
import {
  decodeDeltaRequest,
  decodeDeltaResponse,
  encodeDeltaRequest,
  encodeDeltaResponse,
} from './discovery.ts';
import { decodeAddress, decodeWorkload, encodeAddress, encodeWorkload } from './workload.ts';
import {
  decodeWorkloadRequest,
  decodeWorkloadResponse,
  decodeZdsHello,
  encodeWorkloadRequest,
  encodeWorkloadResponse,
  encodeZdsHello,
} from './zds.ts';

/** Protobuf bytes by hand: the numbers stand here a second time, so that a slip in the .proto files shows. */
const number = (field: number, value: number) => [...varint(field * 8), ...varint(value)];
const bytes = (field: number, value: readonly number[]) => [
  ...varint(field * 8 + 2),
  ...varint(value.length),
  ...value,
];
const text = (field: number, value: string) => bytes(field, [...new TextEncoder().encode(value)]);
const message = (field: number, ...parts: readonly (readonly number[])[]) => bytes(field, parts.flat());

function varint(value: number): number[] {
  return value < 128 ? [value] : [(value % 128) + 128, ...varint(Math.floor(value / 128))];
}

interface Fixture {
  readonly wire: readonly (readonly number[])[];
  readonly decode: (wire: Uint8Array) => unknown;
  readonly encode: (value: never) => Uint8Array;
  readonly want: unknown;
}

const gateway = message(8, message(1, text(1, 'istio-system'), text(2, 'wp.local')), number(3, 15008));
const wantGateway = {
  destination: { $case: 'hostname', value: { namespace: 'istio-system', hostname: 'wp.local' } },
  hboneMtlsPort: 15008,
};

const fixtures: Record<string, Fixture> = {
  'istio.workload.Workload': {
    decode: decodeWorkload,
    encode: encodeWorkload,
    wire: [
      text(1, 'name'),
      text(2, 'namespace'),
      bytes(3, [10, 0, 0, 1]),
      text(4, 'network'),
      number(5, 1),
      text(6, 'trust-domain'),
      text(7, 'service-account'),
      gateway,
      text(9, 'node'),
      text(10, 'canonical-name'),
      text(11, 'canonical-revision'),
      number(12, 2),
      text(13, 'workload-name'),
      number(14, 1),
      text(16, 'ns/policy'),
      number(17, 1),
      text(18, 'cluster'),
      message(19, message(2, text(1, 'net'), bytes(2, [1, 2, 3, 4]), number(3, 24))),
      text(20, 'uid'),
      text(21, 'hostname'),
      message(22, text(1, 'ns/svc'), message(2, message(1, number(1, 80), number(2, 8080), number(3, 2)))),
      message(23, number(1, 1), number(2, 90)),
      message(24, text(1, 'region'), text(2, 'zone'), text(3, 'subzone')),
      number(25, 1),
      message(26, text(1, 'ext'), message(2, text(1, 'type'), bytes(2, [7]))),
      message(27, number(1, 3)),
    ],
    want: {
      name: 'name',
      namespace: 'namespace',
      addresses: [Uint8Array.of(10, 0, 0, 1)],
      network: 'network',
      tunnelProtocol: 1,
      trustDomain: 'trust-domain',
      serviceAccount: 'service-account',
      waypoint: wantGateway,
      node: 'node',
      canonicalName: 'canonical-name',
      canonicalRevision: 'canonical-revision',
      workloadType: 2,
      workloadName: 'workload-name',
      nativeTunnel: true,
      authorizationPolicies: ['ns/policy'],
      status: 1,
      clusterId: 'cluster',
      networkGateway: {
        destination: {
          $case: 'address',
          value: { network: 'net', address: Uint8Array.of(1, 2, 3, 4), length: 24 },
        },
        hboneMtlsPort: 0,
      },
      uid: 'uid',
      hostname: 'hostname',
      services: new Map([['ns/svc', { ports: [{ servicePort: 80, targetPort: 8080, appProtocol: 2 }] }]]),
      applicationTunnel: { protocol: 1, port: 90 },
      locality: { region: 'region', zone: 'zone', subzone: 'subzone' },
      networkMode: 1,
      extensions: [{ name: 'ext', config: { typeUrl: 'type', value: Uint8Array.of(7) } }],
      capacity: 3,
    },
  },
  'istio.workload.Address with a Service': {
    decode: decodeAddress,
    encode: encodeAddress,
    wire: [
      message(
        2,
        text(1, 'name'),
        text(2, 'namespace'),
        text(3, 'hostname'),
        message(4, bytes(2, [10, 0, 0, 9])),
        message(5, number(1, 80), number(2, 8080), number(3, 5)),
        text(6, 'spiffe://td/ns/a/sa/b'),
        message(7, message(2, bytes(2, [1, 2, 3, 4]))),
        message(8, bytes(1, [1, 6]), number(2, 2), number(3, 1)),
        number(9, 3),
        message(10, text(1, 'ext')),
        number(11, 1),
        number(12, 1),
        message(13, message(1, number(3, 1)), number(2, 70)),
        number(14, 1),
      ),
    ],
    want: {
      type: {
        $case: 'service',
        value: {
          name: 'name',
          namespace: 'namespace',
          hostname: 'hostname',
          addresses: [{ network: '', address: Uint8Array.of(10, 0, 0, 9) }],
          ports: [{ servicePort: 80, targetPort: 8080, appProtocol: 5 }],
          subjectAltNames: ['spiffe://td/ns/a/sa/b'],
          waypoint: {
            destination: { $case: 'address', value: { network: '', address: Uint8Array.of(1, 2, 3, 4) } },
            hboneMtlsPort: 0,
          },
          loadBalancing: { routingPreference: [1, 6], mode: 2, healthPolicy: 1 },
          ipFamilies: 3,
          extensions: [{ name: 'ext' }],
          canonical: true,
          ingressUseWaypoint: true,
          weightedWaypoints: [{ destination: { hboneMtlsPort: 1 }, weight: 70 }],
          visibility: 1,
        },
      },
    },
  },
  'istio.workload.Address with a Workload': {
    decode: (wire) => {
      const { type } = decodeAddress(wire);
      return { type: type?.$case, name: type?.value.name };
    },
    encode: () => Uint8Array.from(message(1, text(1, 'w'))),
    wire: [message(1, text(1, 'w'))],
    want: { type: 'workload', name: 'w' },
  },
  'istio.security.Authorization': {
    decode: decodeAuthorization,
    encode: encodeAuthorization,
    wire: [
      text(1, 'name'),
      text(2, 'namespace'),
      number(3, 2),
      number(4, 1),
      message(
        5,
        message(
          1,
          message(
            2,
            message(1, text(1, 'exact')),
            message(2, text(2, 'prefix')),
            message(3, text(3, 'suffix')),
            message(4, message(4)),
            message(5, bytes(1, [10, 0, 0, 0]), number(2, 8)),
            message(6, bytes(1, [10, 1, 0, 0]), number(2, 16)),
            message(7, bytes(1, [10, 2, 0, 0]), number(2, 16)),
            message(8, bytes(1, [10, 3, 0, 0]), number(2, 16)),
            bytes(9, [80, ...varint(443)]),
            bytes(10, [81]),
            message(11, text(1, 'ns'), text(2, 'sa')),
            message(12, text(1, 'ns2'), text(2, 'sa2')),
            message(13, text(1, 'ext')),
          ),
        ),
      ),
      number(6, 1),
      message(7, text(1, 'policy-ext')),
    ],
    want: {
      name: 'name',
      namespace: 'namespace',
      scope: 2,
      action: 1,
      rules: [
        {
          clauses: [
            {
              matches: [
                {
                  namespaces: [{ matchType: { $case: 'exact', value: 'exact' } }],
                  notNamespaces: [{ matchType: { $case: 'prefix', value: 'prefix' } }],
                  principals: [{ matchType: { $case: 'suffix', value: 'suffix' } }],
                  notPrincipals: [{ matchType: { $case: 'presence', value: {} } }],
                  sourceIps: [{ address: Uint8Array.of(10, 0, 0, 0), length: 8 }],
                  notSourceIps: [{ address: Uint8Array.of(10, 1, 0, 0), length: 16 }],
                  destinationIps: [{ address: Uint8Array.of(10, 2, 0, 0), length: 16 }],
                  notDestinationIps: [{ address: Uint8Array.of(10, 3, 0, 0), length: 16 }],
                  destinationPorts: [80, 443],
                  notDestinationPorts: [81],
                  serviceAccounts: [{ namespace: 'ns', serviceAccount: 'sa' }],
                  notServiceAccounts: [{ namespace: 'ns2', serviceAccount: 'sa2' }],
                  extensions: [{ name: 'ext' }],
                },
              ],
            },
          ],
        },
      ],
      dryRun: true,
      extensions: [{ name: 'policy-ext' }],
    },
  },
  'istio.v1.auth.IstioCertificateRequest': {
    decode: decodeCertificateRequest,
    encode: encodeCertificateRequest,
    wire: [
      text(1, 'csr'),
      number(3, 86_400),
      message(4, message(1, text(1, 'ImpersonatedIdentity'), message(2, text(3, 'spiffe://td/ns/a/sa/b')))),
    ],
    want: {
      csr: 'csr',
      validityDuration: 86_400n,
      metadata: { ImpersonatedIdentity: 'spiffe://td/ns/a/sa/b' },
    },
  },
  'istio.v1.auth.IstioCertificateResponse': {
    decode: decodeCertificateResponse,
    encode: encodeCertificateResponse,
    wire: [text(1, 'leaf'), text(1, 'root')],
    want: { certChain: ['leaf', 'root'] },
  },
  'envoy.service.discovery.v3.DeltaDiscoveryRequest': {
    decode: decodeDeltaRequest,
    encode: encodeDeltaRequest,
    wire: [
      message(
        1,
        text(1, 'ztunnel~1'),
        text(2, 'cluster'),
        message(3, message(1, text(1, 'NAME'), message(2, text(3, 'z')))),
      ),
      text(2, 'type'),
      text(3, 'sub'),
      text(4, 'unsub'),
      message(5, text(1, 'name'), text(2, 'version')),
      text(6, 'nonce'),
      message(7, number(1, 3), text(2, 'why')),
    ],
    want: {
      node: { id: 'ztunnel~1', cluster: 'cluster', metadata: { NAME: 'z' } },
      typeUrl: 'type',
      resourceNamesSubscribe: ['sub'],
      resourceNamesUnsubscribe: ['unsub'],
      initialResourceVersions: new Map([['name', 'version']]),
      responseNonce: 'nonce',
      errorDetail: { code: 3, message: 'why', details: [] },
    },
  },
  'envoy.service.discovery.v3.DeltaDiscoveryResponse': {
    decode: decodeDeltaResponse,
    encode: encodeDeltaResponse,
    wire: [
      text(1, 'system'),
      message(
        2,
        text(1, 'version'),
        message(2, text(1, 'type'), bytes(2, [1, 2])),
        text(3, 'name'),
        text(4, 'alias'),
        message(6, number(1, 5), number(2, 6)),
      ),
      text(4, 'type'),
      text(5, 'nonce'),
      text(6, 'gone'),
    ],
    want: {
      systemVersionInfo: 'system',
      resources: [
        {
          version: 'version',
          resource: { typeUrl: 'type', value: Uint8Array.of(1, 2) },
          name: 'name',
          aliases: ['alias'],
          ttl: { seconds: 5n, nanos: 6 },
        },
      ],
      typeUrl: 'type',
      nonce: 'nonce',
      removedResources: ['gone'],
    },
  },
  'zds: hello': {
    decode: decodeZdsHello,
    encode: encodeZdsHello,
    wire: [[0x08, 0x01]],
    want: { version: 1 },
  },
  'zds: success': {
    decode: decodeWorkloadResponse,
    encode: encodeWorkloadResponse,
    wire: [[0x0a, 0x00]],
    want: { payload: { $case: 'ack', value: { error: '' } } },
  },
  'zds: failure': {
    decode: decodeWorkloadResponse,
    encode: encodeWorkloadResponse,
    wire: [message(1, text(1, 'no'))],
    want: { payload: { $case: 'ack', value: { error: 'no' } } },
  },
  'zds: snapshot sent': {
    decode: decodeWorkloadRequest,
    encode: encodeWorkloadRequest,
    wire: [[0x1a, 0x00]],
    want: { payload: { $case: 'snapshotSent', value: {} } },
  },
  'zds: add': {
    decode: decodeWorkloadRequest,
    encode: encodeWorkloadRequest,
    wire: [
      message(
        1,
        text(1, 'uid'),
        message(2, text(1, 'name'), text(2, 'ns'), text(3, 'sa')),
        number(1000, 1),
        number(1002, 1),
      ),
    ],
    want: {
      payload: {
        $case: 'add',
        value: {
          uid: 'uid',
          workloadInfo: { name: 'name', namespace: 'ns', serviceAccount: 'sa' },
          inboundBypassed: true,
          waitsOutside: true,
        },
      },
    },
  },
  'zds: delete, whose uid is number 2': {
    decode: decodeWorkloadRequest,
    encode: encodeWorkloadRequest,
    wire: [message(2, text(2, 'uid'))],
    want: { payload: { $case: 'del', value: { uid: 'uid' } } },
  },
  'zds: keep': {
    decode: decodeWorkloadRequest,
    encode: encodeWorkloadRequest,
    wire: [message(5, text(1, 'uid'))],
    want: { payload: { $case: 'keep', value: { uid: 'uid' } } },
  },
  'envoy.service.auth.v3.CheckRequest': {
    decode: (wire) => decodeCheckRequest(wire),
    encode: encodeCheckRequest,
    wire: [
      message(
        1,
        message(1, message(1, message(1, text(2, '10.0.0.1'), number(3, 7))), text(4, 'spiffe://a')),
        message(2, message(1, message(1, text(2, '10.0.0.2'), number(3, 80)))),
        message(
          4,
          message(1, number(1, 5)),
          message(
            2,
            text(1, 'id'),
            text(2, 'GET'),
            message(3, text(1, 'a'), text(2, 'b')),
            text(4, '/p?q'),
            text(5, 'host'),
            text(6, 'http'),
            text(7, 'q'),
            number(9, 3),
            text(10, 'HTTP/1.1'),
            text(11, 'body'),
            bytes(12, [1]),
          ),
        ),
        message(12, text(1, 'sni')),
      ),
    ],
    want: createCheckRequest({
      attributes: {
        source: {
          address: { socketAddress: { address: '10.0.0.1', portValue: 7 } },
          principal: 'spiffe://a',
        },
        destination: { address: { socketAddress: { address: '10.0.0.2', portValue: 80 } } },
        request: {
          time: new Date(5_000),
          http: {
            id: 'id',
            method: 'GET',
            headers: new Map([['a', 'b']]),
            path: '/p?q',
            host: 'host',
            scheme: 'http',
            query: 'q',
            size: 3n,
            protocol: 'HTTP/1.1',
            body: 'body',
            rawBody: Uint8Array.of(1),
          },
        },
        tlsSession: { sni: 'sni' },
      },
    }),
  },
  'envoy.service.auth.v3.CheckResponse that denies': {
    decode: decodeCheckResponse,
    encode: encodeCheckResponse,
    wire: [
      message(1, number(1, 7)),
      message(
        2,
        message(1, number(1, 401)),
        message(
          2,
          message(1, text(1, 'k'), text(2, 'v'), bytes(3, [2])),
          message(2, number(1, 1)),
          number(3, 2),
        ),
        text(3, 'no'),
      ),
    ],
    want: createCheckResponse({
      status: { code: 7 },
      httpResponse: {
        $case: 'deniedResponse',
        value: {
          status: { code: 401 },
          headers: [
            { header: { key: 'k', value: 'v', rawValue: Uint8Array.of(2) }, append: true, appendAction: 2 },
          ],
          body: 'no',
        },
      },
    }),
  },
  'envoy.service.auth.v3.CheckResponse that allows': {
    decode: decodeCheckResponse,
    encode: encodeCheckResponse,
    wire: [
      message(3, message(2, message(1, text(1, 'a'))), text(5, 'b'), message(6, message(1, text(1, 'c')))),
    ],
    want: createCheckResponse({
      httpResponse: {
        $case: 'okResponse',
        value: {
          headers: [{ header: { key: 'a' } }],
          headersToRemove: ['b'],
          responseHeadersToAdd: [{ header: { key: 'c' } }],
        },
      },
    }),
  },
};

describe('numbers on the wire', () => {
  test.each(Object.entries(fixtures))('%s', (_, { wire, decode, encode, want }) => {
    const given = Uint8Array.from(wire.flat());
    const value = decode(given);
    expect(value).toEqual(want);
    expect([...encode(value as never)]).toEqual([...given]);
  });
});

describe('malformed bytes are refused, not half understood', () => {
  const cases: Record<string, readonly number[]> = {
    'cut off in a string': [0x0a, 0x05, 0x61],
    'a nested message longer than its parent': [0x0a, 0x02, 0x0a, 0x05, 0x61, 0x61, 0x61, 0x61, 0x61],
    'a zero tag': [0x00, 0x01],
    'text that is not UTF-8': [0x0a, 0x03, 0x0a, 0x01, 0xff],
    'a varint without an end': Array<number>(12).fill(0xff),
    'an end group without a start': [0x0c],
  };
  test.each(Object.entries(cases))('%s', (_, wire) => {
    expect(() => decodeAddress(Uint8Array.from(wire))).toThrow(ProtobufError);
  });

  test('more bytes than a resource may have', () => {
    expect(() => decodeAddress(new Uint8Array(1_048_577))).toThrow(
      'malformed istio.workload.Address: 1048577 bytes where at most 1048576 are read',
    );
  });

  test('a structure nested without end', () => {
    let value = text(3, 'x');
    for (let depth = 0; depth < 200; depth++) value = message(5, message(1, text(1, 'k'), message(2, value)));
    const wire = Uint8Array.from(message(4, message(1, text(1, 'k'), message(2, value))));
    expect(() => decodeCertificateRequest(wire)).toThrow('recursion limit');
  });

  test('every prefix and every changed byte ends in a message or a ProtobufError', () => {
    const whole = Uint8Array.from(fixtures['istio.workload.Workload']?.wire.flat() ?? []);
    const outcome = (wire: Uint8Array) => {
      try {
        decodeWorkload(wire);
        return true;
      } catch (error) {
        return error instanceof ProtobufError;
      }
    };
    for (let i = 0; i < whole.length; i++) {
      expect(outcome(whole.subarray(0, i))).toBe(true);
      for (const flip of [0x01, 0x80, 0xff]) {
        expect(outcome(whole.with(i, (whole[i] ?? 0) ^ flip))).toBe(true);
      }
    }
  });
});

test('newer peers are understood: unknown fields are skipped, unknown numbers kept', () => {
  const wire = Uint8Array.from([number(5, 9), text(99, 'new'), text(1, 'w')].flat());
  const workload = decodeWorkload(wire);
  expect([workload.name, workload.tunnelProtocol]).toEqual(['w', 9]);
});

test('shared memory can be decoded from', () => {
  const wire = Uint8Array.from(text(1, 'näme'));
  const shared = new Uint8Array(new SharedArrayBuffer(wire.length));
  shared.set(wire);
  expect(decodeWorkload(shared).name).toBe('näme');
});
