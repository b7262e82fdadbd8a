/** Why requests did not end well, as the access log and the metrics of a whole waypoint say it. */
import { once } from 'node:events';
import type { RequestListener } from 'node:http';
import { beforeAll, describe, expect, test } from '@jest/globals';
import {
  AuthorizationAction,
  type PolicyTarget,
  type WaypointFields,
  type WaypointResources,
} from '@ambit/api/waypoint';
import { AppProtocol } from '@ambit/api/workload';
import { type TokenIssuer, tokenIssuer } from '../security/testing/token-issuer.ts';
import type { Client, ClientRequest } from '../testing/client.ts';
import { http2Backend, httpBackend, tcpBackend } from '../testing/backend.ts';
import { MESH_SETTINGS } from '../testing/control-plane.ts';
import { testScope } from '../testing/scope.ts';
import { until } from '../testing/until.ts';
import {
  hostnameOf,
  NAMESPACE,
  SERVICE_PORT,
  startWaypoint,
  type WaypointNetwork,
} from '../testing/waypoint-network.ts';

const use = testScope();
const WEB = '10.9.0.1:80';
const FORMAT = '%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS%\n';
const TARGETS: readonly PolicyTarget[] = [{ kind: { $case: 'gateway', value: `${NAMESPACE}/waypoint` } }];

type Own = 'HttpRoute' | 'DestinationPolicy' | 'AuthorizationPolicy' | 'RequestAuthentication';
type Rule = NonNullable<WaypointFields<WaypointResources['HttpRoute']>['rules']>[number];

type SetOwn = <K extends Own>(kind: K, fields: WaypointFields<WaypointResources[K]>) => void;

interface Case {
  readonly resources?: (set: SetOwn) => void;
  /** Of the service behind; without one it has no endpoint. `nobody`: one where nobody listens. */
  readonly endpoint?: RequestListener | 'nobody' | 'hangs-up' | 'none';
  /** Answers questions of the provider `asker`. */
  readonly authorizes?: RequestListener;
  /** The same over gRPC, and nothing ever comes of it. */
  readonly hangsOverGrpc?: boolean;
  readonly request?: ClientRequest | (() => Promise<ClientRequest>);
  /** Instead of one request. */
  readonly ask?: (client: Client, network: WaypointNetwork) => Promise<unknown>;
  /** What is logged, in its order. */
  readonly lines: readonly string[];
}

const hello: RequestListener = (request, response) =>
  void request.resume().on('end', () => response.end('hello'));
const never: RequestListener = () => undefined;

const rule = (parts: Rule) => ({
  parents: [{ namespace: NAMESPACE, hostname: hostnameOf('web'), port: SERVICE_PORT }],
  rules: [
    {
      backends: [
        {
          target: {
            $case: 'service' as const,
            value: { namespace: NAMESPACE, hostname: hostnameOf('web'), port: SERVICE_PORT },
          },
          weight: 1,
        },
      ],
      ...parts,
    },
  ],
});
const route = (parts: Rule) => (set: SetOwn) => set('HttpRoute', rule(parts));
const asking = (parts: object = {}): NonNullable<Rule['filters']>[number] => ({
  kind: {
    $case: 'externalAuth',
    value: {
      kind: {
        $case: 'http',
        value: { service: `${NAMESPACE}/${hostnameOf('authz')}`, port: SERVICE_PORT, ...parts },
      },
    },
  },
});
const triedOnce = { retry: { attempts: 0 } };
const custom = (set: SetOwn) =>
  set('AuthorizationPolicy', { action: AuthorizationAction.CUSTOM, provider: 'asker', rules: [{}] });

const ISSUER = 'https://issuer.example';
const CLAIMS = { iss: ISSUER, sub: 'alice', aud: 'shop' };
let issuer: TokenIssuer;
let stranger: TokenIssuer;
beforeAll(async () => {
  [issuer, stranger] = await Promise.all([tokenIssuer('k'), tokenIssuer('k')]);
});
const tokens = (set: SetOwn) =>
  set('RequestAuthentication', {
    rules: [{ issuer: ISSUER, audiences: ['shop'], jwks: issuer.jwks }],
  });
const encoded = (part: object) => Buffer.from(JSON.stringify(part)).toString('base64url');

/** A request with a token of the issuer's own, unless another is named. */
async function bearer(claims: object, kid = 'k', by = issuer): Promise<ClientRequest> {
  return { headers: { authorization: `Bearer ${await by.sign({ ...CLAIMS, ...claims }, kid)}` } };
}

const cases: Record<string, Case> = {
  'answered by an endpoint': { lines: ['200 - via_upstream'] },
  'a policy that denies': {
    resources: (set) => set('AuthorizationPolicy', { action: AuthorizationAction.DENY, rules: [{}] }),
    lines: ['403 - rbac_access_denied_matched_policy[shop/p]'],
  },
  'policies that allow others': {
    resources: (set) =>
      set('AuthorizationPolicy', {
        action: AuthorizationAction.ALLOW,
        rules: [{ from: [{ namespaces: ['other'] }] }],
      }),
    lines: ['403 - rbac_access_denied_matched_policy[none]'],
  },
  'a token that is believed': {
    resources: tokens,
    request: () => bearer({}),
    lines: ['200 - via_upstream'],
  },
  'a token that is none': {
    resources: tokens,
    request: { headers: { authorization: 'Bearer a.b.c' } },
    lines: ['401 - jwt_authn_access_denied{Jwt_header_is_an_invalid_Base64url_encoded}'],
  },
  'a token that has expired': {
    resources: tokens,
    request: () => bearer({ exp: 1_000_000_000 }),
    lines: ['401 - jwt_authn_access_denied{Jwt_is_expired}'],
  },
  'a token of another key': {
    resources: tokens,
    request: () => bearer({}, 'k', stranger),
    lines: ['401 - jwt_authn_access_denied{Jwt_verification_fails}'],
  },
  'a token of a key that nobody knows': {
    resources: tokens,
    request: () => bearer({}, 'other'),
    lines: ["401 - jwt_authn_access_denied{Jwks_doesn't_have_key_to_match_kid_or_alg_from_Jwt}"],
  },
  'a token for somebody else': {
    resources: tokens,
    request: () => bearer({ aud: 'elsewhere' }),
    lines: ['403 - jwt_authn_access_denied{Audiences_in_Jwt_are_not_allowed}'],
  },
  'a token of another issuer': {
    resources: tokens,
    request: () => bearer({ iss: 'https://other.example' }),
    lines: ['401 - jwt_authn_access_denied{Jwt_issuer_is_not_configured}'],
  },
  'a token that nobody signed': {
    resources: tokens,
    request: {
      headers: { authorization: `Bearer ${encoded({ alg: 'none', kid: 'k' })}.${encoded(CLAIMS)}.` },
    },
    lines: ['401 - jwt_authn_access_denied{Jwt_signature_is_an_invalid_Base64url_encoded}'],
  },
  'a token with a signature, and an algorithm that is none': {
    resources: tokens,
    request: {
      headers: { authorization: `Bearer ${encoded({ alg: 'none', kid: 'k' })}.${encoded(CLAIMS)}.AA` },
    },
    lines: ["401 - jwt_authn_access_denied{Jwks_doesn't_have_key_to_match_kid_or_alg_from_Jwt}"],
  },
  'a token whose keys cannot be had': {
    resources: (set) =>
      set('RequestAuthentication', { rules: [{ issuer: 'i', jwksUri: 'http://127.0.0.1:1/keys' }] }),
    request: {
      headers: {
        authorization: `Bearer ${encoded({ alg: 'ES256', kid: 'k' })}.${encoded({ iss: 'i' })}.eA`,
      },
    },
    lines: ['401 - jwt_authn_access_denied{Jwks_remote_fetch_is_failed}'],
  },
  'a service that authorizes says no': {
    resources: custom,
    authorizes: (_, response) => response.writeHead(401).end(),
    lines: ['401 UAEX ext_authz_denied'],
  },
  'a service that authorizes hangs': {
    resources: custom,
    authorizes: never,
    lines: ['403 UAEX ext_authz_error'],
  },
  'a service that authorizes over gRPC hangs': {
    resources: custom,
    hangsOverGrpc: true,
    lines: ['403 UAEX ext_authz_error'],
  },
  'a body that such a service may not see': {
    resources: custom,
    authorizes: hello,
    request: { method: 'POST', body: 'x'.repeat(101) },
    lines: ['413 - request_payload_too_large'],
  },
  'a service that the route has asked says no': {
    resources: route({ filters: [asking()] }),
    authorizes: (_, response) => response.writeHead(401).end(),
    lines: ['401 UAEX ext_authz_denied'],
  },
  'a service that the route has asked hangs': {
    resources: route({ filters: [asking({ timeoutMs: 100 })] }),
    authorizes: never,
    lines: ['403 UAEX ext_authz_error'],
  },
  'a service that the route has asked is slower than the route allows': {
    resources: route({ filters: [asking()], requestTimeoutMs: 100 }),
    authorizes: never,
    lines: ['504 UT response_timeout'],
  },
  'a body that the service of a route may not see': {
    resources: route({ filters: [asking({ maxRequestBytes: 100 })] }),
    authorizes: hello,
    request: { method: 'POST', body: 'x'.repeat(101) },
    lines: ['413 - request_payload_too_large'],
  },
  'a service that a route would have asked is not there': {
    resources: route({
      filters: [{ kind: { $case: 'externalAuth', value: { kind: { $case: 'status', value: 500 } } } }],
    }),
    lines: ['500 UAEX ext_authz_invalid_backend'],
  },
  'a path that nobody can decide upon': {
    request: { path: '/%00' },
    lines: ['400 - path_normalization_failed{nul-in-path}'],
  },
  'a method that nobody knows': { request: { method: 'PROPFIND' }, lines: ['200 - via_upstream'] },
  'a method that nobody knows, and no policy allows': {
    resources: (set) =>
      set('AuthorizationPolicy', {
        action: AuthorizationAction.ALLOW,
        rules: [{ to: [{ methods: ['GET', 'PUT'] }] }],
      }),
    request: { method: 'PROPFIND' },
    lines: ['403 - rbac_access_denied_matched_policy[none]'],
  },
  'a method that no route matches': {
    resources: route({ matches: [{ method: { kind: { $case: 'exact', value: 'GET' } } }] }),
    request: { method: 'SUBSCRIBE' },
    lines: ['404 NR route_not_found'],
  },
  'a method that opens a tunnel': {
    ask: async (client) => {
      const connection = await client.connect(WEB);
      connection.write('CONNECT 10.0.0.9:22 HTTP/1.1\r\nhost: 10.0.0.9:22\r\n\r\n');
      await once(connection, 'data');
      connection.destroy();
    },
    lines: ['405 - connect_not_carried'],
  },
  'a handshake for a WebSocket that is no GET': {
    ask: async (client) => {
      const connection = await client.connect(WEB);
      const fields = 'connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n';
      connection.write(`PUT / HTTP/1.1\r\nhost: web\r\n${fields}\r\n`);
      await once(connection, 'data');
      connection.destroy();
    },
    lines: ['400 - websocket_handshake_not_get'],
  },
  'no route': {
    resources: route({ matches: [{ path: { kind: { $case: 'exact', value: '/other' } } }] }),
    lines: ['404 NR route_not_found'],
  },
  'a rule that cannot be read': {
    resources: route({ unreadable: 'no such filter' }),
    lines: ['500 NR unreadable'],
  },
  'a fault that aborts': {
    resources: route({ fault: { abortPpm: 1_000_000, abortStatus: 418 } }),
    lines: ['418 FI fault_filter_abort'],
  },
  'a fault that delays': {
    resources: route({ fault: { delayPpm: 1_000_000, delayMs: 5 } }),
    lines: ['200 DI via_upstream'],
  },
  'a fault that does both': {
    resources: route({ fault: { delayPpm: 1_000_000, delayMs: 5, abortPpm: 1_000_000, abortStatus: 503 } }),
    lines: ['503 DI,FI fault_filter_abort'],
  },
  'no endpoint': { endpoint: 'none', lines: ['503 UH no_healthy_upstream'] },
  'nobody at the endpoint': {
    endpoint: 'nobody',
    resources: route(triedOnce),
    lines: ['503 UF upstream_reset_before_response_started{connection_failure}'],
  },
  'nobody there, tried as often as may be': {
    endpoint: 'nobody',
    resources: route({ retry: { attempts: 1, retryOn: ['connect-failure'], backoffMs: 1 } }),
    lines: ['503 UF,URX upstream_reset_before_response_started{connection_failure}'],
  },
  'an endpoint that hangs up': {
    endpoint: 'hangs-up',
    resources: route(triedOnce),
    lines: ['503 UC upstream_reset_before_response_started{connection_termination}'],
  },
  'an endpoint that fails, tried as often as may be': {
    endpoint: (_, response) => response.writeHead(503).end(),
    resources: route({ retry: { attempts: 1, retryOn: ['5xx'], backoffMs: 1 } }),
    lines: ['503 URX via_upstream'],
  },
  'an endpoint that does not answer in time': {
    endpoint: never,
    resources: route({ requestTimeoutMs: 100 }),
    lines: ['504 UT response_timeout'],
  },
  'a try that is not answered in time': {
    endpoint: never,
    resources: route({ backendRequestTimeoutMs: 100, ...triedOnce }),
    lines: ['504 UT upstream_per_try_timeout'],
  },
  'more than a destination takes': {
    endpoint: never,
    resources: (set) =>
      set('DestinationPolicy', {
        hostname: hostnameOf('web'),
        policy: { connectionPool: { maxRequests: 1 } },
      }),
    ask: async (client, network) => {
      const first = client.request(WEB);
      first.catch(() => undefined);
      await until(async () => {
        const { body } = await network.page('stats', '/metrics');
        return /^ambit_waypoint_in_use\{what="requests"\} 1$/m.test(body);
      }, 'the first is under way');
      await client.request(WEB);
    },
    lines: ['503 UO upstream_reset_before_response_started{overflow}'],
  },
  'a client that goes away': {
    endpoint: never,
    ask: async (client, network) => {
      const connection = await client.connect(WEB);
      connection.write('GET / HTTP/1.1\r\nhost: web\r\n\r\n');
      await until(async () => {
        const { body } = await network.page('stats', '/metrics');
        return /^ambit_waypoint_in_use\{what="requests"\} 1$/m.test(body);
      }, 'it is under way');
      connection.destroy();
    },
    lines: ['0 DC downstream_remote_disconnect'],
  },
};

async function endpointOf(endpoint: NonNullable<Case['endpoint']>) {
  if (endpoint === 'none') return undefined;
  if (typeof endpoint === 'function') return use(await httpBackend('127.0.0.2', endpoint));
  if (endpoint === 'hangs-up')
    return use(await tcpBackend('127.0.0.2', (socket) => socket.once('data', () => socket.end())));
  return { ip: '127.0.0.2', port: 1 };
}

/** By status and flags, of `istio_requests_total`. */
async function counted(network: WaypointNetwork): Promise<string[]> {
  const { body } = await network.page('stats', '/stats/prometheus');
  return body
    .split('\n')
    .filter((line) => line.startsWith('istio_requests_total{'))
    .map((line) => {
      const label = (name: string) => new RegExp(`[{,]${name}="([^"]*)"`).exec(line)?.[1];
      return `${label('response_code')} ${label('response_flags')}`;
    });
}

/** The reasons of `ambit_waypoint_failed_requests_total`, and how often. */
async function failures(network: WaypointNetwork): Promise<string[]> {
  const { body } = await network.page('stats', '/metrics');
  return [...body.matchAll(/^ambit_waypoint_failed_requests_total\{reason="(.*)"\} (\d+)$/gm)].map(
    ([, reason, count]) => `${reason} ${count}`,
  );
}
/** As in the metric, from that in the log. */
const failureOf = (line: string) => (line.split(' ')[2] ?? '').replace(/\[\w*\/?\w*\]$/, '');

describe('a request is told of with its reason', () => {
  test.each(Object.entries(cases))(
    '%s',
    async (_, { resources, endpoint = hello, authorizes, hangsOverGrpc, request, ask, lines }) => {
      const service = hangsOverGrpc
        ? use(await http2Backend('127.0.0.3', () => undefined))
        : authorizes && use(await httpBackend('127.0.0.3', authorizes));
      // Of those who answer, time is never what decides.
      const timeoutMs = hangsOverGrpc || authorizes === never ? 100 : 60_000;
      const about = { service: hostnameOf('authz'), port: 80, timeoutMs };
      const network = use(
        await startWaypoint({
          before: (controlPlane) => {
            controlPlane.set('MeshSettings', 'default', {
              ...MESH_SETTINGS,
              accessLogFile: '/dev/stdout',
              accessLogFormat: FORMAT,
              extensionProviders: [
                ...(MESH_SETTINGS.extensionProviders ?? []),
                {
                  name: 'asker',
                  kind: hangsOverGrpc
                    ? { $case: 'extAuthzGrpc', value: about }
                    : { $case: 'extAuthzHttp', value: { ...about, maxRequestBytes: 100 } },
                },
              ],
            });
            resources?.((kind, fields) => {
              const origin = { kind, namespace: NAMESPACE, name: 'p', createdMs: 1n };
              controlPlane.set(kind, `${NAMESPACE}/p`, {
                origin,
                targets: TARGETS,
                ...fields,
              } as typeof fields);
            });
          },
        }),
      );
      network.service({ name: 'web', vip: '10.9.0.1' });
      const backend = await endpointOf(endpoint);
      if (backend) network.endpoint({ name: 'web-0', service: 'web', ip: backend.ip, port: backend.port });
      const protocol = hangsOverGrpc ? AppProtocol.GRPC : AppProtocol.HTTP11;
      network.service({ name: 'authz', vip: '10.9.0.3', attached: false, protocol });
      if (service)
        network.endpoint({ name: 'authz-0', service: 'authz', ip: service.ip, port: service.port });
      const client = await network.client();
      const asked = typeof request === 'function' ? await request() : request;
      await (ask ? ask(client, network) : client.request(WEB, asked));
      await until(() => network.lines.length >= lines.length, 'it is logged');
      expect(network.lines.map((line) => line.trimEnd())).toEqual(lines);
      expect(await counted(network)).toEqual(lines.map((line) => line.split(' ').slice(0, 2).join(' ')));
      const failed = lines.map(failureOf).filter((reason) => reason !== 'via_upstream');
      expect(await failures(network)).toEqual(failed.map((reason) => `${reason} 1`));
    },
  );
});
