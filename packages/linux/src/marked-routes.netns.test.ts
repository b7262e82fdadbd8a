import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { LinuxError } from './errors.ts';
import { routeMarkedToSelf, unrouteMarked } from './marked-routes.ts';
import { TestNamespaces, type TestNetns } from './testing/namespaces.ts';

const ROUTE = { mark: 0x111, mask: 0xfff, priority: 32_764, table: 100 };
const RULE = ['fwmark', '0x111/0xfff', 'pref', '32764', 'lookup', '100'];

let namespaces: TestNamespaces;
let netns: TestNetns;

beforeEach(() => {
  namespaces = new TestNamespaces();
  netns = namespaces.create();
});
afterEach(() => namespaces[Symbol.dispose]());

/** With details: protocol, scope and type as well. */
const stateOf = ({ run }: TestNetns) =>
  (['-4', '-6'] as const).flatMap((family) => [
    run('ip', '-d', family, 'rule'),
    run('ip', '-d', family, 'route', 'show', 'table', 'all').replace(/^(?!.*table 100).*\n/gm, ''),
  ]);

describe.each([
  { family: 4, destination: '0.0.0.0/0' },
  { family: 6, destination: '::/0' },
] as const)('IPv$family', ({ family, destination }) => {
  const byProgram = ({ run }: TestNetns) => {
    run('ip', `-${family}`, 'route', 'replace', 'local', destination, 'dev', 'lo', 'table', '100');
    run('ip', `-${family}`, 'rule', 'add', ...RULE);
  };

  test('is what ip makes, and may be repeated', () => {
    const other = namespaces.create();
    byProgram(other);
    const want = stateOf(other);
    expect(want.join('\n')).toContain('0x111/0xfff');
    routeMarkedToSelf(netns.fd, family, ROUTE);
    expect(stateOf(netns)).toEqual(want);
    routeMarkedToSelf(netns.fd, family, ROUTE);
    expect(stateOf(netns)).toEqual(want);
  });

  test('finds what ip made: nothing is there twice, and nothing stays', () => {
    const empty = stateOf(netns);
    byProgram(netns);
    const want = stateOf(netns);
    routeMarkedToSelf(netns.fd, family, ROUTE);
    expect(stateOf(netns)).toEqual(want);
    unrouteMarked(netns.fd, family, ROUTE);
    expect(stateOf(netns)).toEqual(empty);
    unrouteMarked(netns.fd, family, ROUTE);
    expect(stateOf(netns)).toEqual(empty);
  });
});

test('what the kernel refuses is told', () => {
  netns.run('sysctl', '-qw', 'net.ipv6.conf.all.disable_ipv6=1');
  expect(() => routeMarkedToSelf(netns.fd, 6, ROUTE)).toThrow(LinuxError);
});
