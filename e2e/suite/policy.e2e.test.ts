import { beforeAll, describe, expect, test } from '@jest/globals';
import { PORTS } from '../echo/ports.ts';
import type { KubeObject } from '@ambit/kube/resource';
import type { EchoPod } from './kit/echo-pod.ts';
import { linesWith } from './kit/access-log.ts';
import { SYSTEM } from './kit/mesh.ts';
import { authorizationPolicy, peerAuthentication, serviceAccount } from './kit/objects.ts';
import type { Space } from './kit/space.ts';
import { useSuite } from './kit/suite.ts';
import { eventually } from './kit/wait.ts';

const suite = useSuite('policy');

/** Who is let in: `friend` and `other` differ in account, `neighbour` in namespace, `outsider` is not in the mesh. */
type Caller = 'friend' | 'other' | 'neighbour' | 'outsider';
const CALLERS: readonly Caller[] = ['friend', 'other', 'neighbour', 'outsider'];

let home: Space;
let next: Space;
let server: EchoPod;
const callers = new Map<Caller, EchoPod>();

const principal = (account: string, namespace = home.name) => `cluster.local/ns/${namespace}/sa/${account}`;
const caller = (name: Caller) => callers.get(name) ?? unknownCaller(name);
function unknownCaller(name: Caller): never {
  throw new Error(`${name} was not started`);
}

/** Who gets an answer from a port of the server, by its Service. */
async function admitted(port: number): Promise<readonly Caller[]> {
  const kind = port === PORTS.tcp ? 'tcp' : 'http';
  const outcomes = await Promise.all(
    CALLERS.map(async (name) => {
      const { ok } = await caller(name).ask({ kind, port, host: home.host('server'), timeoutMs: 3_000 });
      return ok ? [name] : [];
    }),
  );
  return outcomes.flat();
}

/** Puts objects there, waits until exactly `wanted` get in, and takes the objects away again. */
async function expectAdmitted(
  policies: readonly KubeObject[],
  wanted: Readonly<Record<number, readonly Caller[]>>,
): Promise<void> {
  await home.apply(...policies);
  try {
    for (const [port, names] of Object.entries(wanted)) await eventuallyAdmitted(Number(port), names);
  } finally {
    await home.remove(...policies);
  }
}

async function eventuallyAdmitted(port: number, names: readonly Caller[]): Promise<void> {
  await eventually(
    `port ${port} serves exactly ${names.join(', ') || 'nobody'}`,
    () => admitted(port),
    (seen) => seen.join() === names.join(),
  );
}

beforeAll(async () => {
  const [first, second] = suite.nodes;
  home = await suite.space('home', 'ambient');
  next = await suite.space('next', 'ambient');
  const outside = await suite.space('out');
  await home.apply(serviceAccount(home.name, 'friend'), serviceAccount(home.name, 'other'));
  await next.apply(serviceAccount(next.name, 'friend'));
  const started = await Promise.all([
    home.run(
      { name: 'server', node: second },
      { name: 'friend', node: first, serviceAccount: 'friend' },
      { name: 'other', node: second, serviceAccount: 'other' },
    ),
    next.run({ name: 'neighbour', node: first, serviceAccount: 'friend' }),
    outside.run({ name: 'outsider', node: first }),
  ]);
  for (const pod of started.flat()) {
    if (pod.name === 'server') server = pod;
    else callers.set(pod.name as Caller, pod);
  }
  await Promise.all([home.enrolled(true, 'server', 'friend', 'other'), next.enrolled(true, 'neighbour')]);
  await eventuallyAdmitted(PORTS.http, CALLERS);
});

const MESHED: readonly Caller[] = ['friend', 'other', 'neighbour'];

describe('PeerAuthentication', () => {
  const mtls = (options: Parameters<typeof peerAuthentication>[2]) => [
    peerAuthentication(home.name, 'mtls', { app: 'server', ...options }),
  ];

  test('STRICT serves the mesh alone', async () => {
    await expectAdmitted(mtls({ mode: 'STRICT' }), { [PORTS.http]: MESHED, [PORTS.tcp]: MESHED });
  });

  test('STRICT with a port that is PERMISSIVE serves everybody there', async () => {
    await expectAdmitted(mtls({ mode: 'STRICT', ports: { [PORTS.tcp]: 'PERMISSIVE' } }), {
      [PORTS.http]: MESHED,
      [PORTS.tcp]: CALLERS,
    });
  });

  test('PERMISSIVE with a port that is STRICT serves the mesh alone there', async () => {
    await expectAdmitted(mtls({ mode: 'PERMISSIVE', ports: { [PORTS.tcp]: 'STRICT' } }), {
      [PORTS.http]: CALLERS,
      [PORTS.tcp]: MESHED,
    });
  });

  test('of the namespace counts for its pods, and one of a pod overrides it', async () => {
    const strict = peerAuthentication(home.name, 'default', { mode: 'STRICT' });
    await expectAdmitted([strict], { [PORTS.http]: MESHED });
    await expectAdmitted([strict, ...mtls({ mode: 'PERMISSIVE' })], { [PORTS.http]: CALLERS });
  });

  test('of the mesh, in the root namespace, counts everywhere, and one of a namespace overrides it', async () => {
    const strict = peerAuthentication(SYSTEM, 'default', { mode: 'STRICT' });
    await expectAdmitted([strict], { [PORTS.http]: MESHED });
    const own = peerAuthentication(home.name, 'default', { mode: 'PERMISSIVE' });
    await expectAdmitted([strict, own], { [PORTS.http]: CALLERS });
  });

  test('when it is gone, everybody is served', () => eventuallyAdmitted(PORTS.http, CALLERS));
});

describe('AuthorizationPolicy', () => {
  interface Case {
    readonly action?: 'ALLOW' | 'DENY';
    readonly rules: () => readonly object[];
    readonly http: readonly Caller[];
    /** Of the TCP port, where that differs. */
    readonly tcp?: readonly Caller[];
  }
  const source = (fields: object) => ({ from: [{ source: fields }] });
  const operation = (fields: object) => ({ to: [{ operation: fields }] });
  const when = (key: string, fields: object) => ({ when: [{ key, ...fields }] });
  const cases: Readonly<Record<string, Case>> = {
    'ALLOW of nothing': { rules: () => [], http: [] },
    'DENY of everything': { action: 'DENY', rules: () => [{}], http: [] },
    'ALLOW of everything': { rules: () => [{}], http: CALLERS },
    principals: { rules: () => [source({ principals: [principal('friend')] })], http: ['friend'] },
    'principals by prefix': {
      rules: () => [source({ principals: [`cluster.local/ns/${home.name}/*`] })],
      http: ['friend', 'other'],
    },
    'principals by suffix': {
      rules: () => [source({ principals: ['*/sa/friend'] })],
      http: ['friend', 'neighbour'],
    },
    'principals by presence': { rules: () => [source({ principals: ['*'] })], http: MESHED },
    'notPrincipals, which clear text passes': {
      rules: () => [source({ notPrincipals: [principal('friend')] })],
      http: ['other', 'neighbour', 'outsider'],
    },
    'DENY of notPrincipals, which clear text does not pass': {
      action: 'DENY',
      rules: () => [source({ notPrincipals: [principal('friend')] })],
      http: ['friend'],
    },
    namespaces: { rules: () => [source({ namespaces: [next.name] })], http: ['neighbour'] },
    'DENY of namespaces': {
      action: 'DENY',
      rules: () => [source({ namespaces: [next.name] })],
      http: ['friend', 'other', 'outsider'],
    },
    notNamespaces: {
      rules: () => [source({ notNamespaces: [next.name] })],
      http: ['friend', 'other', 'outsider'],
    },
    serviceAccounts: {
      rules: () => [source({ serviceAccounts: ['friend'] })],
      http: ['friend'],
    },
    'serviceAccounts with their namespace': {
      rules: () => [source({ serviceAccounts: [`${next.name}/friend`] })],
      http: ['neighbour'],
    },
    'notServiceAccounts, which clear text passes': {
      rules: () => [source({ notServiceAccounts: [`${home.name}/friend`] })],
      http: ['other', 'neighbour', 'outsider'],
    },
    ipBlocks: {
      rules: () => [source({ ipBlocks: [caller('other').ip, `${caller('outsider').ip}/32`] })],
      http: ['other', 'outsider'],
    },
    notIpBlocks: {
      rules: () => [source({ notIpBlocks: [caller('other').ip] })],
      http: ['friend', 'neighbour', 'outsider'],
    },
    ports: { rules: () => [operation({ ports: [String(PORTS.tcp)] })], http: [], tcp: CALLERS },
    notPorts: { rules: () => [operation({ notPorts: [String(PORTS.tcp)] })], http: CALLERS, tcp: [] },
    'DENY of ports': {
      action: 'DENY',
      rules: () => [operation({ ports: [String(PORTS.http)] })],
      http: [],
      tcp: CALLERS,
    },
    'source and operation together': {
      rules: () => [
        { ...source({ principals: [principal('friend')] }), ...operation({ ports: [String(PORTS.tcp)] }) },
      ],
      http: [],
      tcp: ['friend'],
    },
    'either of two rules': {
      rules: () => [source({ principals: [principal('friend')] }), source({ namespaces: [next.name] })],
      http: ['friend', 'neighbour'],
    },
    'when source.ip': {
      rules: () => [when('source.ip', { values: [caller('friend').ip] })],
      http: ['friend'],
    },
    'when source.namespace': {
      rules: () => [when('source.namespace', { values: [next.name] })],
      http: ['neighbour'],
    },
    'when source.ip is another': {
      rules: () => [when('source.ip', { notValues: [caller('friend').ip] })],
      http: ['other', 'neighbour', 'outsider'],
    },
    'when source.namespace is another': {
      rules: () => [when('source.namespace', { notValues: [next.name] })],
      http: ['friend', 'other', 'outsider'],
    },
    'when source.principal is another': {
      rules: () => [when('source.principal', { notValues: [principal('friend')] })],
      http: ['other', 'neighbour', 'outsider'],
    },
    'when destination.port': {
      rules: () => [when('destination.port', { values: [String(PORTS.tcp)] })],
      http: [],
      tcp: CALLERS,
    },
    'when destination.ip': {
      rules: () => [when('destination.ip', { values: [server.ip] })],
      http: CALLERS,
    },
    'when destination.ip is another': {
      rules: () => [when('destination.ip', { notValues: [server.ip] })],
      http: [],
    },
  };

  test.each(Object.entries(cases))('%s', async (_, { action = 'ALLOW', rules, http, tcp = http }) => {
    const policy = authorizationPolicy(home.name, 'rule', { action, app: 'server', rules: rules() });
    await expectAdmitted([policy], { [PORTS.http]: http, [PORTS.tcp]: tcp });
  });

  test('DENY wins over ALLOW', async () => {
    const allow = authorizationPolicy(home.name, 'allow', { rules: [{}] });
    const deny = authorizationPolicy(home.name, 'deny', {
      action: 'DENY',
      rules: [source({ principals: [principal('friend')] })],
    });
    await expectAdmitted([allow, deny], { [PORTS.http]: ['other', 'neighbour', 'outsider'] });
  });

  test('of the root namespace counts in the whole mesh, beside those of the namespace', async () => {
    const mesh = (name: string, action: 'ALLOW' | 'DENY', rules: readonly object[]) =>
      authorizationPolicy(SYSTEM, name, { action, rules });
    const neighbours = source({ namespaces: [next.name] });
    await expectAdmitted([mesh('e2e-mesh', 'DENY', [neighbours])], {
      [PORTS.http]: ['friend', 'other', 'outsider'],
    });
    const friends = source({ principals: [principal('friend')] });
    await expectAdmitted(
      [
        mesh('e2e-mesh', 'ALLOW', [neighbours]),
        authorizationPolicy(home.name, 'own', { app: 'server', rules: [friends] }),
      ],
      { [PORTS.http]: ['friend', 'neighbour'] },
    );
  });

  test('what it refuses is in the access log, with the policy’s name', async () => {
    const deny = authorizationPolicy(home.name, 'no-friend', {
      action: 'DENY',
      app: 'server',
      rules: [source({ principals: [principal('friend')] })],
    });
    await expectAdmitted([deny], { [PORTS.http]: ['other', 'neighbour', 'outsider'] });
    const lines = await eventually(
      'lines of the refusal',
      async () =>
        linesWith(await suite.mesh.accessLogOf(server.node), {
          direction: 'inbound',
          'src.workload': 'friend',
          'dst.workload': 'server',
          'dst.namespace': home.name,
          error: /policy rejection.*no-friend/,
        }),
      (found) => found.length > 0,
    );
    expect(lines[0]?.fields['error']).toBe(
      `connection closed due to policy rejection: explicitly denied by: ${home.name}/no-friend`,
    );
    expect(lines[0]?.fields['src.identity']).toBe(`spiffe://${principal('friend')}`);
  });

  test('a policy that comes later ends connections that it would not have let in', async () => {
    const load = await caller('friend').load({
      host: home.host('server'),
      connections: 5,
      requestsPerSecond: 25,
    });
    await load.hasServed(20);
    const deny = authorizationPolicy(home.name, 'later', { action: 'DENY', app: 'server', rules: [{}] });
    await home.apply(deny);
    await eventually(
      'its held connections are refused',
      () => load.report(),
      ({ failed }) => failed >= 5,
    );
    await home.remove(deny);
    await eventuallyAdmitted(PORTS.http, CALLERS);
    const { ok } = await load.report();
    await eventually(
      'they are served again',
      () => load.report(),
      (now) => now.ok > ok + 10,
    );
    await load.end();
  });
});

describe('bad input', () => {
  /** In the API server's words: there was no answer, or none in time. */
  const NOT_ASKED = /failed calling webhook/;
  const refusals: Readonly<Record<string, readonly [() => KubeObject, RegExp]>> = {
    'an unknown action': [
      () => ({
        ...authorizationPolicy(home.name, 'bad', { rules: [{}] }),
        ...{ spec: { action: 'PERHAPS', rules: [{}] } },
      }),
      /action/,
    ],
    'an address that is none': [
      () =>
        authorizationPolicy(home.name, 'bad', {
          rules: [{ from: [{ source: { ipBlocks: ['10.0.0.999'] } }] }],
        }),
      /10\.0\.0\.999/,
    ],
    'a port that is none': [
      () => authorizationPolicy(home.name, 'bad', { rules: [{ to: [{ operation: { ports: ['http'] } }] }] }),
      /port/i,
    ],
    'a principal as a URI': [
      () =>
        authorizationPolicy(home.name, 'bad', {
          rules: [{ from: [{ source: { principals: [`spiffe://${principal('friend')}`] } }] }],
        }),
      /spiffe/,
    ],
    'a PeerAuthentication with an unknown mode': [
      () => peerAuthentication(home.name, 'bad', { mode: 'SOMETIMES' as 'STRICT' }),
      /mode/,
    ],
  };

  test.each(Object.entries(refusals))(
    '%s is refused at admission, with the field',
    async (_, [make, says]) => {
      const object = make();
      const refusal = await eventually(
        'it is asked in time',
        () =>
          home.apply(object).then(
            () => 'admitted',
            (error: unknown) => String(error),
          ),
        (said) => !NOT_ASKED.test(said),
      );
      await home.remove(object);
      expect(refusal).toMatch(says);
    },
  );
});
