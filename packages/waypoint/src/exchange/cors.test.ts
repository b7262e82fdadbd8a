/** Answers that the waypoint makes itself: whether a script of another origin may read them. */
import { expect, test } from '@jest/globals';
import {
  AuthorizationAction,
  type WaypointFields,
  type WaypointResourceKind,
  type WaypointResources,
} from '@ambit/api/waypoint';
import { httpBackend } from '../testing/backend.ts';
import { testScope } from '../testing/scope.ts';
import { hostnameOf, NAMESPACE, SERVICE_PORT, startWaypoint } from '../testing/waypoint-network.ts';

const use = testScope();
const WEB = '10.9.0.1:80';
const ORIGIN = 'https://a.example';
const web = { namespace: NAMESPACE, hostname: hostnameOf('web'), port: SERVICE_PORT };

type Rule = NonNullable<WaypointFields<WaypointResources['HttpRoute']>['rules']>[number];
type Filter = NonNullable<Rule['filters']>[number];
type SetResource = <Kind extends WaypointResourceKind>(
  kind: Kind,
  fields: WaypointFields<WaypointResources[Kind]>,
) => void;

const cors: Filter = {
  kind: {
    $case: 'cors',
    value: { allowOrigins: [{ kind: { $case: 'exact', value: ORIGIN } }], exposeHeaders: ['x-a'] },
  },
};
const filter = (kind: NonNullable<Filter['kind']>): Rule => ({ filters: [cors, { kind }] });

interface Case {
  readonly rule?: Rule;
  readonly policy?: (set: SetResource) => void;
  readonly origin?: string;
  readonly status: number;
  /** Default: yes. */
  readonly mayRead?: false;
}

const cases: Record<string, Case> = {
  'no endpoint': { status: 503 },
  'no backend': { rule: { backends: [] }, status: 500 },
  'a backend that is not there': {
    rule: { backends: [{ target: { $case: 'status', value: 503 }, weight: 1 }] },
    status: 503,
  },
  'no answer in time': { rule: { ...backends('slow'), requestTimeoutMs: 50 }, status: 504 },
  'a fault': { rule: { fault: { abortPpm: 1_000_000, abortStatus: 418 } }, status: 418 },
  'an answer of the route': {
    rule: filter({ $case: 'directResponse', value: { status: 410, body: Buffer.from('gone') } }),
    status: 410,
  },
  'a redirect': { rule: filter({ $case: 'redirect', value: { hostname: 'b.example' } }), status: 302 },
  'a service that authorizes and is not there': {
    rule: filter({ $case: 'externalAuth', value: { kind: { $case: 'status', value: 500 } } }),
    status: 500,
  },
  'no answer for an origin that may not': {
    origin: 'https://b.example',
    status: 503,
    mayRead: false,
  },
  // Nothing is known of its route then, as in Istio.
  'a policy that denies': {
    policy: (set) => set('AuthorizationPolicy', { action: AuthorizationAction.DENY, rules: [{}] }),
    status: 403,
    mayRead: false,
  },
  'no route': {
    rule: { matches: [{ path: { kind: { $case: 'exact', value: '/other' } } }] },
    status: 404,
    mayRead: false,
  },
};

function backends(service: string): Rule {
  const value = { namespace: NAMESPACE, hostname: hostnameOf(service), port: SERVICE_PORT };
  return { backends: [{ target: { $case: 'service', value }, weight: 1 }] };
}

test.each(Object.entries(cases))(
  '%s',
  async (_, { rule, policy, origin = ORIGIN, status, mayRead = true }) => {
    const network = use(
      await startWaypoint({
        before: (controlPlane) => {
          const set: SetResource = (kind, fields) => {
            const made = { origin: { kind, namespace: NAMESPACE, name: 'r', createdMs: 1n }, ...fields };
            controlPlane.set(kind, `${NAMESPACE}/r`, made as typeof fields);
          };
          set('HttpRoute', { parents: [web], rules: [{ filters: [cors], ...backends('web'), ...rule }] });
          const target = { kind: { $case: 'service' as const, value: `${NAMESPACE}/${hostnameOf('web')}` } };
          policy?.((kind, fields) => set(kind, { targets: [target], ...fields } as typeof fields));
        },
      }),
    );
    network.service({ name: 'web', vip: '10.9.0.1' });
    network.service({ name: 'slow', vip: '10.9.0.2' });
    const { ip, port } = use(await httpBackend('127.0.0.2', () => undefined));
    network.endpoint({ name: 'slow-0', service: 'slow', ip, port });
    const answer = await (await network.client()).request(WEB, { headers: { origin } });
    expect(answer.status).toBe(status);
    const {
      vary,
      'access-control-allow-origin': allowed,
      'access-control-expose-headers': exposed,
    } = answer.headers;
    expect([allowed, exposed, vary]).toEqual(
      mayRead ? [ORIGIN, 'x-a', 'origin'] : [undefined, undefined, undefined],
    );
  },
);
