/** Connections that are no HTTP, and copies of requests, through a waypoint: where TCPRoute, TLSRoute and mirrors lead. */
import { beforeAll, describe, expect, test } from '@jest/globals';
import type { KubeObject } from '@ambit/kube/resource';
import { PORTS } from '../echo/ports.ts';
import { runAmbit } from './kit/ambit.ts';
import { suiteAuthority } from './kit/certificates.ts';
import type { EchoPod } from './kit/echo-pod.ts';
import { service, serviceAccount } from './kit/objects.ts';
import { wasReadOnTheWay } from './kit/outcomes.ts';
import type { Space } from './kit/space.ts';
import { useSuite } from './kit/suite.ts';
import { EVERYBODY, eventually, LED, type Patience, until } from './kit/wait.ts';
import { policyFor, route } from './kit/waypoint-objects.ts';

const suite = useSuite('waypoint-streams');
const patience = LED;
/** A waypoint has two pods, which hear of a change each in its own time. */
const settled: Patience = { inARow: EVERYBODY };
const TLS_NAMES = ['one.test', 'two.test'] as const;
const MIRRORED_REQUESTS = 200;

let space: Space;
let client: EchoPod;

const ambit = (...args: readonly string[]) => runAmbit(suite.cluster, ...args);
const to = (name: string, port: number, weight = 1) => ({ name, port, weight });

/** Who greets whoever connects; `undefined`: nobody. */
async function greeter(name = 'first'): Promise<string | undefined> {
  const outcome = await client.ask({ kind: 'greeting', host: space.host(name), timeoutMs: 5_000 });
  return outcome.ok ? outcome.server?.pod : undefined;
}

/** Who answers over TLS that nobody on the way ends, and for which name; `undefined`: nobody. */
async function secured(tlsName: string, name = 'first') {
  const asked = { host: space.host(name), port: PORTS.https, tlsName, timeoutMs: 5_000 };
  const outcome = await client.ask(asked);
  return outcome.ok ? [outcome.server?.pod, outcome.server?.tls?.serverName] : undefined;
}

beforeAll(async () => {
  const [one, two] = suite.nodes;
  space = await suite.space('app', 'ambient');
  const authority = await suiteAuthority('streams');
  const { certificate, key } = await authority.issue({ dnsNames: [...TLS_NAMES] });
  const env = { TLS_CERTIFICATE: certificate, TLS_KEY: key };
  await space.apply(serviceAccount(space.name, 'client'));
  [client] = (await space.run(
    { name: 'client', node: one, serviceAccount: 'client' },
    { name: 'first', node: one, env },
    { name: 'second', node: two, env },
  )) as [EchoPod];
  const ports = [
    { name: 'http', port: PORTS.http },
    { name: 'tcp-greeting', port: PORTS.greeting },
    { name: 'tls-secured', port: PORTS.https },
  ];
  await space.apply(
    ...['first', 'second'].map((name) => service(space.name, name, { selector: { app: name }, ports })),
  );
  await space.enrolled(true, 'client', 'first', 'second');
  await ambit('waypoint', 'apply', '-n', space.name, '--enroll-namespace', '--waypoint-timeout', '150s');
  await until(
    'requests at L7',
    async () => wasReadOnTheWay(await client.ask({ host: space.host('first'), timeoutMs: 5_000 })),
    settled,
  );
  for (const name of ['first', 'second'])
    await until(`${name} greets`, async () => (await greeter(name)) === name, settled);
});

describe('TCPRoute', () => {
  const tcpRoute = (...backendRefs: readonly object[]): KubeObject =>
    route('TCPRoute', space.name, 'greeting', 'first', PORTS.greeting, [{ backendRefs }]);

  test('leads connections to another service, by weight, and those of its port alone', async () => {
    expect(await greeter()).toBe('first');
    await space.having([tcpRoute(to('second', PORTS.greeting))], async () => {
      await until('the route', async () => (await greeter()) === 'second', settled);
      const outcome = await client.mustReach({ host: space.host('first') });
      expect(outcome).toMatchObject({ ok: true, server: { pod: 'first' } });
      await space.apply(tcpRoute(to('first', PORTS.greeting, 1), to('second', PORTS.greeting, 1)));
      const greeters = await eventually(
        'both are greeted by',
        async () => new Set(await Promise.all(Array.from({ length: 20 }, () => greeter()))),
        (seen) => seen.size === 2,
        patience,
      );
      expect(greeters).toEqual(new Set(['first', 'second']));
    });
    await until('no route', async () => (await greeter()) === 'first', settled);
  });

  test('to nobody closes connections, and the explanation says so', async () => {
    await space.having([tcpRoute(to('nobody', PORTS.greeting))], async () => {
      await until('nobody greets', async () => (await greeter()) === undefined, settled);
      const said = await ambit('why', `${space.name}/client`, `${space.name}/first:${PORTS.greeting}`);
      expect([said.status, said.text]).toEqual([3, expect.stringContaining('greeting')]);
    });
    await until('no route', async () => (await greeter()) === 'first', settled);
  });

  test('a policy on the port counts for connections', async () => {
    const policy = policyFor(space.name, 'no-greeting', 'first', {
      action: 'DENY',
      rules: [{ to: [{ operation: { ports: [String(PORTS.greeting)] } }] }],
    });
    await space.having([policy], async () => {
      await until('nobody greets', async () => (await greeter()) === undefined, settled);
      const { server } = await client.mustReach({ kind: 'greeting', host: space.host('second') });
      expect(server?.pod).toBe('second');
    });
    await until('no policy', async () => (await greeter()) === 'first', settled);
  });
});

test('TLSRoute leads by the name that TLS asks for, and ends no TLS', async () => {
  const [one, two] = TLS_NAMES;
  await until('TLS goes through', async () => (await secured(one))?.join() === `first,${one}`, settled);
  const { spec, ...rest } = route('TLSRoute', space.name, 'by-name', 'first', PORTS.https, [
    { backendRefs: [to('second', PORTS.https)] },
  ]) as KubeObject & { readonly spec: object };
  const byName = { ...rest, spec: { ...spec, hostnames: [two] } };
  await space.having([byName], async () => {
    const led = await eventually(
      'the route',
      () => secured(two),
      (seen) => seen?.[0] === 'second',
      settled,
    );
    expect(led).toEqual(['second', two]);
    // Where there are routes by name, a name that none has leads nowhere.
    expect(await secured(one)).toBeUndefined();
    await until('the other service', async () => (await secured(one, 'second'))?.join() === `second,${one}`);
  });
  await until('no route', async () => (await secured(one))?.[0] === 'first', patience);
});

describe('a mirror', () => {
  const asked = async (host: string, path: string) =>
    (await client.mustReach({ host: space.host(host), path })).server;
  /** By it a request tells that the rule was in force for it. */
  const MARK = 'x-mirrored';
  const mirrored = (share: object) =>
    route('HTTPRoute', space.name, 'mirrored', 'first', PORTS.http, [
      {
        filters: [
          { type: 'RequestHeaderModifier', requestHeaderModifier: { set: [{ name: MARK, value: 'maybe' }] } },
          {
            type: 'RequestMirror',
            requestMirror: { backendRef: { name: 'second', port: PORTS.http }, ...share },
          },
        ],
        backendRefs: [to('first', PORTS.http)],
      },
    ]);
  const isMarked = async () => (await asked('first', '/marked'))?.headers?.[MARK] === 'maybe';
  /** Tells how many requests for it `second` has had, besides those by which it is asked that. */
  const hearing = (path: string) => {
    let questions = 0;
    return async () => {
      questions += 1;
      return ((await asked('second', path))?.timesAsked ?? 0) - questions;
    };
  };

  test.each([
    // Five standard deviations on either side.
    ['a fraction of requests', 'some', { fraction: { numerator: 1, denominator: 4 } }, [20, 80]],
    ['none of them', 'none', { percent: 0 }, [0, 0]],
  ] as const)('copies %s, and no client hears of it', async (_, name, share, [least, most]) => {
    await space.having([mirrored(share)], async () => {
      await until('the route', isMarked, settled);
      expect((await ambit('waypoint', 'routes', '-n', space.name)).text).toContain('mirrored');
      const pods = new Set<string | undefined>();
      for (let i = 0; i < MIRRORED_REQUESTS; i++) pods.add((await asked('first', `/${name}`))?.pod);
      expect([...pods]).toEqual(['first']);
      // No answer waits for a copy.
      const heard = hearing(`/${name}`);
      await eventually('as many copies as there must be', heard, (count) => count >= least);
      await new Promise((resolve) => setTimeout(resolve, 500));
      expect(await heard()).toBeLessThanOrEqual(most);
    });
    await until('no route', async () => !(await isMarked()), settled);
  });
});
