import { expect, test } from '@jest/globals';
import { fuzzing } from '@ambit/core/testing/seeded';
import {
  createWaypointResource,
  encodeWaypointResource,
  WAYPOINT_RESOURCE_KINDS,
  type WaypointFields,
  type WaypointResourceKind,
  type WaypointResources,
} from '@ambit/api/waypoint';
import type { ServiceKey } from '@ambit/model/address';
import { authorize, externalChecks, shadowVerdict } from '../../decide/authorize.ts';
import { answerPreflight } from '../../decide/cors.ts';
import { explainRequest } from '../../decide/why.ts';
import { forwardedRequest, forwardedResponse } from '../../decide/filters.ts';
import { decideRoute } from '../../decide/route.ts';
import { decideStream } from '../../decide/stream.ts';
import { connection, request } from '../../decide/testing/requests.ts';
import { ResourceStore } from '../store.ts';

const SERVICE: ServiceKey = 'n/s';
const parents = [{ namespace: 'n', hostname: 's', port: 80 }];
const backend = {
  target: { $case: 'service' as const, value: { namespace: 'n', hostname: 's', port: 80 } },
  weight: 3,
  subset: 'v',
};
const text = (value: string) => ({ kind: { $case: 'exact' as const, value } });
const targets = [{ kind: { $case: 'service' as const, value: { namespace: 'n', hostname: 's' } } }];

const SEEDS: { readonly [Kind in WaypointResourceKind]: WaypointFields<WaypointResources[Kind]> } = {
  MeshSettings: {
    trustDomain: 'td',
    rootNamespace: 'r',
    pathNormalization: 'MERGE_SLASHES',
    extensionProviders: [
      { name: 'a', kind: { $case: 'extAuthzHttp', value: { service: 's', port: 80, statusOnError: 403 } } },
      { name: 'b', kind: { $case: 'opentelemetry', value: { service: 's', port: 4317 } } },
    ],
  },
  HttpRoute: {
    origin: { kind: 'HTTPRoute', namespace: 'n', name: 'r', createdMs: 5n },
    parents,
    rules: [
      {
        name: 'x',
        matches: [
          {
            path: { kind: { $case: 'segmentPrefix', value: '/a' } },
            method: text('GET'),
            headers: [{ name: 'h', value: text('1') }],
            queryParameters: [{ name: 'q', value: { kind: { $case: 'regex', value: 'a.*' } } }],
          },
          { path: { kind: { $case: 'regex', value: '/a|/b' } } },
        ],
        filters: [
          {
            kind: {
              $case: 'requestHeaders',
              value: { set: [{ name: 'a', value: 'b' }], add: [{ name: 'c', value: 'd' }], remove: ['e'] },
            },
          },
          {
            kind: {
              $case: 'rewrite',
              value: {
                hostname: 'h',
                path: { kind: { $case: 'regex', value: { match: '(a)', rewrite: '\\1b' } } },
              },
            },
          },
          {
            kind: {
              $case: 'cors',
              value: { allowOrigins: [text('https://a')], allowMethods: ['GET'], maxAgeS: 5 },
            },
          },
          {
            kind: {
              $case: 'externalAuth',
              value: {
                kind: {
                  $case: 'http',
                  value: { service: 'n/s', port: 80, pathPrefix: '/p', headersToUpstreamOnAllow: ['*'] },
                },
              },
            },
          },
        ],
        backends: [backend],
        requestTimeoutMs: 100,
        retry: { attempts: 3, retryOn: ['5xx'], statusCodes: [503], backoffMs: 5 },
        session: { sessionName: 's', idleTimeoutMs: 5n },
        fault: { delayPpm: 10, delayMs: 5, abortPpm: 10, abortStatus: 503 },
      },
      {
        filters: [
          {
            kind: {
              $case: 'redirect',
              value: {
                scheme: 'https',
                status: 301,
                path: { kind: { $case: 'replacePrefix', value: '/x' } },
              },
            },
          },
        ],
      },
    ],
  },
  StreamRoute: {
    origin: { kind: 'TLSRoute', namespace: 'n', name: 'r', createdMs: 5n },
    parents,
    rules: [{ sniHosts: ['*.a'], tls: true, backends: [backend] }],
  },
  DestinationPolicy: {
    origin: { kind: 'DestinationRule', namespace: 'n', name: 'r', createdMs: 5n },
    hostname: 's',
    policy: {
      loadBalancer: {
        simple: 2,
        consistentHash: { key: { $case: 'header', value: 'h' }, algorithm: 1, tableSize: 251n },
        warmupMs: 5,
      },
      connectionPool: { maxRequests: 5, idleTimeoutMs: 5n },
      outlierDetection: { consecutive5xx: 3, intervalMs: 5 },
    },
    ports: [{ port: 81, policy: { proxyProtocol: 2 } }],
    subsets: [{ name: 'v', labels: new Map([['a', 'b']]), workloads: ['w'] }],
  },
  AuthorizationPolicy: {
    origin: { kind: 'AuthorizationPolicy', namespace: 'n', name: 'r', createdMs: 5n },
    targets,
    action: 1,
    rules: [
      {
        from: [{ principals: ['td/*'], notIpBlocks: ['10.0.0.0/8'] }],
        to: [{ paths: ['/a/{*}', '/b*'], methods: ['GET'], ports: ['80'] }],
        when: [{ key: 'request.headers[x]', values: ['1'] }],
      },
    ],
  },
  RequestAuthentication: {
    origin: { kind: 'RequestAuthentication', namespace: 'n', name: 'r', createdMs: 5n },
    targets,
    rules: [
      {
        issuer: 'i',
        jwksUri: 'https://i/k',
        fromHeaders: [{ name: 'h', prefix: 'p ' }],
        outputClaimToHeaders: [{ header: 'x', claim: 'a.b' }],
      },
    ],
  },
  Telemetry: {
    origin: { kind: 'Telemetry', namespace: 'n', name: 'r', createdMs: 5n },
    targets,
    tracing: [
      {
        mode: 'SERVER',
        providers: ['b'],
        samplingPercentage: 5,
        customTags: [{ name: 't', kind: { $case: 'header', value: 'H' } }],
      },
    ],
    metrics: [
      { overrides: [{ metric: 'REQUEST_COUNT', mode: 'SERVER', tags: [{ name: 'a', value: 'b' }] }] },
    ],
    accessLogging: [{ mode: 'SERVER', filter: 'true' }],
  },
};

function seedOf<Kind extends WaypointResourceKind>(kind: Kind): Uint8Array {
  return encodeWaypointResource(kind, createWaypointResource(kind, SEEDS[kind]));
}

test('any bytes become a value or a rejection, and whatever came, every decision is made: 28 000 mutations', () => {
  const chance = fuzzing(7);
  const random = () => chance.fraction();
  const store = new ResourceStore({ namespace: 'n', gatewayName: 'w' });
  const seeds = WAYPOINT_RESOURCE_KINDS.map((kind) => [kind, seedOf(kind)] as const);
  for (const [kind, bytes] of seeds) {
    expect([
      kind,
      store.apply(kind, [{ name: kind === 'MeshSettings' ? 'default' : 'HTTPRoute/n/r', bytes }], []),
    ]).toEqual([kind, []]);
  }
  const asked = [
    request('/a?q=ab', { headers: { h: '1', x: '1' } }),
    request('/b/c', {
      method: 'OPTIONS',
      headers: { origin: 'https://a', 'access-control-request-method': 'GET' },
    }),
    request('*'),
  ];
  const told = new Map<string, number>();
  for (let i = 0; i < 28_000; i++) {
    const [kind, seed] = seeds[i % seeds.length] ?? seeds[0] ?? ['Telemetry', new Uint8Array(0)];
    const cut = chance.damage(seed);
    const name = kind === 'MeshSettings' ? 'default' : `HTTPRoute/n/r${chance.below(2)}`;
    const rejections = store.apply(kind, [{ name, bytes: cut }], []);
    const key = `${kind} ${rejections.length === 0 ? 'value' : 'rejection'}`;
    told.set(key, (told.get(key) ?? 0) + 1);
    decideAll(store, asked[i % asked.length] ?? request('/'), random);
    if (chance.below(20) === 0) store.apply(kind, [], [name]);
  }
  const counts = WAYPOINT_RESOURCE_KINDS.flatMap((kind) => [
    told.get(`${kind} value`) ?? 0,
    told.get(`${kind} rejection`) ?? 0,
  ]);
  expect(Math.min(...counts)).toBeGreaterThan(100);
});

function decideAll(store: ResourceStore, asked: ReturnType<typeof request>, random: () => number): void {
  const from = connection({ identity: 'spiffe://td/ns/x/sa/y' });
  const config = store.servicePort(SERVICE, 80);
  const subject = { request: asked, connection: from, token: undefined };
  externalChecks(config.authorization, subject);
  authorize(config.authorization, { ...subject, request: undefined });
  shadowVerdict(config.authorization, subject);
  const decision = decideRoute(config.http, asked, from, random);
  answerPreflight(decision, asked);
  if (decision.kind === 'forward') {
    const { path, fields } = forwardedRequest(decision, asked);
    if (!path.startsWith('/') && asked.path !== '*') throw new Error(`sends ${path}`);
    if (fields.some((part) => /[\r\n\0]/.test(part))) throw new Error('sends a field that ends early');
    const { service, port } = decision.backend.to;
    store.destination(service, port, decision.backend.subset);
  }
  forwardedResponse(decision, asked, ['a', 'b']);
  const stream = { isTls: true, sni: 'x.a', sourceNamespace: 'x' };
  decideStream(config.streams, SERVICE, 80, stream, random);
  explainRequest({
    config,
    normalization: store.settings.pathNormalization,
    request: asked,
    connection: from,
    token: { kind: 'verified', claims: undefined },
    authorizes: () => true,
    keptFrom: () => undefined,
    destination: ({ backend: { to, subset } }) => store.destination(to.service, to.port, subset),
    endpoints: () => ({ kind: 'all', all: [] }),
  });
}
