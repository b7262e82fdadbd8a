/** Why requests did not end well, as the access log and the metrics of a whole waypoint say it. */
import type { RequestListener } from 'node:http';
import { describe, expect, test } from '@jest/globals';
import {
  AuthorizationAction,
  type PolicyTarget,
  type WaypointFields,
  type WaypointResources,
} from '@ambit/api/waypoint';
import type { Client, ClientRequest } from '../testing/client.ts';
import { httpBackend, tcpBackend } from '../testing/backend.ts';
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
  readonly request?: ClientRequest;
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
const once = { retry: { attempts: 0 } };
const custom = (set: SetOwn) =>
  set('AuthorizationPolicy', { action: AuthorizationAction.CUSTOM, provider: 'asker', rules: [{}] });
const tokens = (set: SetOwn) => {
  set('RequestAuthentication', {
    rules: [{ issuer: 'https://issuer.example', jwks: '{"keys":[{"kty":"EC","crv":"P-256","kid":"k"}]}' }],
  });
};

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
  'a token that is none': {
    resources: tokens,
    request: { headers: { authorization: 'Bearer a.b.c' } },
    lines: ['401 - jwt_authn_access_denied{Jwt_header_is_an_invalid_Base64url_encoded}'],
  },
  'a token whose keys cannot be had': {
    resources: (set) =>
      set('RequestAuthentication', { rules: [{ issuer: 'i', jwksUri: 'http://127.0.0.1:1/keys' }] }),
    request: {
      headers: {
        authorization: `Bearer ${[{ alg: 'ES256', kid: 'k' }, { iss: 'i' }].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.')}.eA`,
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
    resources: route(once),
    lines: ['503 UF upstream_reset_before_response_started{connection_failure}'],
  },
  'nobody there, tried as often as may be': {
    endpoint: 'nobody',
    resources: route({ retry: { attempts: 1, retryOn: ['connect-failure'], backoffMs: 1 } }),
    lines: ['503 UF,URX upstream_reset_before_response_started{connection_failure}'],
  },
  'an endpoint that hangs up': {
    endpoint: 'hangs-up',
    resources: route(once),
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
    resources: route({ backendRequestTimeoutMs: 100, ...once }),
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

describe('a request is told of with its reason', () => {
  test.each(Object.entries(cases))(
    '%s',
    async (_, { resources, endpoint = hello, authorizes, request, ask, lines }) => {
      const service = authorizes && use(await httpBackend('127.0.0.3', authorizes));
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
                  kind: {
                    $case: 'extAuthzHttp',
                    value: { service: hostnameOf('authz'), port: 80, timeoutMs: 100, maxRequestBytes: 100 },
                  },
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
      network.service({ name: 'authz', vip: '10.9.0.3', attached: false });
      if (service)
        network.endpoint({ name: 'authz-0', service: 'authz', ip: service.ip, port: service.port });
      const client = await network.client();
      await (ask ? ask(client, network) : client.request(WEB, request));
      await until(() => network.lines.length >= lines.length, 'it is logged');
      expect(network.lines.map((line) => line.trimEnd())).toEqual(lines);
      expect(await counted(network)).toEqual(lines.map((line) => line.split(' ').slice(0, 2).join(' ')));
    },
  );
});
