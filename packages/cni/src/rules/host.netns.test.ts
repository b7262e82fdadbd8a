import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { once } from 'node:events';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { systemClock } from '@ambit/core/clock';
import { listenTcp } from '@ambit/linux/sockets';
import { TestNamespaces, type TestNetns } from '@ambit/linux/testing/namespaces';
import { type HostProbes, NftHostProbes } from '../agent/host-probes.ts';
import { Peers } from '../testing/peers.ts';
import { type Command, type RunCommand, runCommand } from './command.ts';
import { NFT_NAT, PROBE_SET_V6, PROBE_SOURCE_V4, PROBE_SOURCE_V6 } from './constants.ts';
import { IptablesHostProbes } from './host-iptables.ts';
import { kubeletUid } from './kubelet-user.ts';
import type { HostRules } from './render-host.ts';

const HOST = { 4: '10.9.0.1', 6: 'fd09::1' };
const POD = { 4: '10.9.0.2', 6: 'fd09::2' };
const SOURCES = { 4: PROBE_SOURCE_V4, 6: PROBE_SOURCE_V6 };
const PORT = 8080;

const rules: HostRules = { ipv6: true, probeSources: { v4: PROBE_SOURCE_V4, v6: PROBE_SOURCE_V6 } };

/** What was warned of. */
const warnings: string[] = [];
const log = {
  warn: (message: string, fields: Readonly<Record<string, unknown>> = {}) =>
    void warnings.push(`${message}: ${String(fields['error'])}`),
};

type Make = (hostNetnsFd: number, over?: Partial<HostRules>, run?: RunCommand) => HostProbes;

const common = (hostNetnsFd: number, over: Partial<HostRules> = {}, run = runCommand) =>
  ({ run, clock: systemClock, hostNetnsFd, rules: { ...rules, ...over }, log }) as const;

const implementations: Record<string, Make> = {
  nftables: (...given) => new NftHostProbes(common(...given)),
  'iptables on nftables': (...given) =>
    new IptablesHostProbes({ ...common(...given), program: 'iptables-nft' }),
  'legacy iptables': (...given) =>
    new IptablesHostProbes({ ...common(...given), program: 'iptables-legacy' }),
};

let namespaces: TestNamespaces;
let peers: Peers;
let host: TestNetns;
let pod: TestNetns;
let server: Server;
/** Where the last connection to the pod came from. */
let source: string | undefined;

beforeEach(async () => {
  warnings.length = 0;
  namespaces = new TestNamespaces();
  peers = new Peers();
  host = namespaces.create();
  pod = namespaces.create();
  host.run('ip', 'link', 'add', 'pod0', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', pod.path);
  for (const [netns, link, addresses, other] of [
    [host, 'pod0', HOST, POD],
    [pod, 'eth0', POD, HOST],
  ] as const) {
    netns.run('ip', 'addr', 'add', `${addresses[4]}/24`, 'dev', link);
    netns.run('ip', 'addr', 'add', `${addresses[6]}/64`, 'dev', link, 'nodad');
    netns.run('sysctl', '-qw', `net.ipv6.conf.${link}.accept_dad=0`);
    netns.run('ip', 'link', 'set', link, 'up');
    if (netns === pod) {
      netns.run('ip', 'route', 'add', 'default', 'via', other[4]);
      netns.run('ip', '-6', 'route', 'add', 'default', 'via', other[6]);
    }
  }
  server = createServer((socket) => {
    source = socket.remoteAddress?.replace('::ffff:', '');
    socket.on('error', () => undefined);
    socket.end('pod\n');
  });
  server.listen({ fd: listenTcp({ netnsFd: pod.fd, ip: '::', port: PORT }).fd });
  await once(server, 'listening');
});

afterEach(async () => {
  await peers[Symbol.asyncDispose]();
  await new Promise((resolve) => server.close(resolve));
  namespaces[Symbol.dispose]();
});

async function sourceOf(family: 4 | 6, netns = host): Promise<string | undefined> {
  source = undefined;
  await peers.whoAnswers(netns.fd, POD[family], PORT);
  return source;
}

/** How many users this process's user namespace has. */
function usersHere(): number {
  return Number(readFileSync('/proc/self/uid_map', 'utf8').trim().split(/\s+/)[2]);
}

function stateOf(netns: TestNetns): string {
  const saved = ['iptables-legacy-save', 'ip6tables-legacy-save'].map((program) => netns.run(program));
  return [netns.run('nft', '-s', 'list', 'ruleset'), netns.run('ipset', 'save'), ...saved]
    .join('\n')
    .replace(/^#.*\n/gm, '')
    .replace(/ initval \S+| hashsize \d+/g, '')
    .replace(/\[\d+:\d+\]/g, '');
}

describe.each(Object.entries(implementations))('%s', (_, make) => {
  test('the node’s own connections to an enrolled pod come from the probe address, to others not', async () => {
    const probes = make(host.fd);
    await probes.start([{ ip: POD[4], uid: 'u-1' }]);
    expect([await sourceOf(4), await sourceOf(6)]).toEqual([SOURCES[4], HOST[6]]);
    await probes.add([{ ip: POD[6], uid: 'u-1' }]);
    expect(await sourceOf(6)).toBe(SOURCES[6]);
    await probes.remove('u-1', [POD[4], POD[6]]);
    expect([await sourceOf(4), await sourceOf(6)]).toEqual([HOST[4], HOST[6]]);
  });

  test('what the node forwards keeps its source', async () => {
    const other = namespaces.create();
    host.run('ip', 'link', 'add', 'pod1', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', other.path);
    host.run('ip', 'addr', 'add', '10.10.0.1/24', 'dev', 'pod1');
    host.run('ip', 'link', 'set', 'pod1', 'up');
    host.run('sysctl', '-qw', 'net.ipv4.ip_forward=1');
    other.run('ip', 'addr', 'add', '10.10.0.2/24', 'dev', 'eth0');
    other.run('ip', 'link', 'set', 'eth0', 'up');
    other.run('ip', 'route', 'add', 'default', 'via', '10.10.0.1');
    await make(host.fd).start([{ ip: POD[4], uid: 'u-1' }]);
    expect([await sourceOf(4, other), await sourceOf(4)]).toEqual(['10.10.0.2', SOURCES[4]]);
  });

  test('only the kubelet’s user, where it is known', async () => {
    await make(host.fd, { kubeletUid: process.getuid?.() ?? 0 }).start([{ ip: POD[4], uid: 'u-1' }]);
    expect(await sourceOf(4)).toBe(SOURCES[4]);
    // A user that this user namespace does not know cannot be named in a rule.
    if (usersHere() <= 4_242) return;
    await make(host.fd, { kubeletUid: 4_242 }).start([{ ip: POD[4], uid: 'u-1' }]);
    expect(await sourceOf(4)).toBe(HOST[4]);
  });

  test('an address that is another pod’s by now is not taken from it', async () => {
    const probes = make(host.fd);
    await probes.start([{ ip: POD[4], uid: 'old' }]);
    await probes.add([{ ip: POD[4], uid: 'new' }]);
    expect(stateOf(host)).toMatch(/comment "new"/);
    await probes.remove('old', [POD[4]]);
    expect(await sourceOf(4)).toBe(SOURCES[4]);
    await probes.remove('new', [POD[4]]);
    expect(await sourceOf(4)).toBe(HOST[4]);
  });

  test('a new agent replaces what the last one left, and a stop leaves nothing', async () => {
    await make(host.fd).start([{ ip: '10.9.0.99', uid: 'gone' }]);
    const probes = make(host.fd);
    await probes.start([{ ip: POD[4], uid: 'u-1' }]);
    const once = stateOf(host);
    expect(once).not.toContain('10.9.0.99');
    await make(host.fd).start([{ ip: POD[4], uid: 'u-1' }]);
    expect(stateOf(host)).toBe(once);
    await make(host.fd).stop();
    expect(stateOf(host)).not.toMatch(/istio|169\.254/i);
    expect(await sourceOf(4)).toBe(HOST[4]);
  });

  test('without IPv6, IPv6 addresses are no error', async () => {
    const probes = make(host.fd, { ipv6: false });
    await probes.start([{ ip: POD[4], uid: 'u-1' }]);
    await probes.add([{ ip: POD[6], uid: 'u-1' }]);
    await probes.remove('u-1', [POD[4], POD[6]]);
    expect([await sourceOf(4), await sourceOf(6)]).toEqual([HOST[4], HOST[6]]);
  });
});

const CHANGES = Object.entries(implementations).flatMap(([before, makeBefore]) =>
  Object.entries(implementations)
    .filter(([after]) => after !== before)
    .map(([after, makeAfter]) => ({ before, after, makeBefore, makeAfter })),
);

describe.each(CHANGES)(
  'an agent with $after after one with $before',
  ({ before, after, makeBefore, makeAfter }) => {
    const CHAIN = '-A POSTROUTING -j ISTIO_POSTRT';
    const stranger = (program: string) =>
      host.run(program, '-t', 'nat', '-A', 'POSTROUTING', '-d', '10.99.0.1', '-j', 'ACCEPT');

    test('leaves its own probe rules alone, those of others, and with its end nothing', async () => {
      for (const program of ['iptables-nft', 'iptables-legacy']) stranger(program);
      await makeBefore(host.fd).start([{ ip: '10.9.0.99', uid: 'gone' }]);
      const probes = makeAfter(host.fd);
      await probes.start([{ ip: POD[4], uid: 'u-1' }]);
      expect(await sourceOf(4)).toBe(SOURCES[4]);
      expect({
        nftables: host.run('nft', 'list', 'tables').includes('istio-ambient-nat'),
        'iptables on nftables': host.run('iptables-nft-save').includes(CHAIN),
        'legacy iptables': host.run('iptables-legacy-save').includes(CHAIN),
        sets: host.run('ipset', 'list', '-name').includes('istio-inpod-probes'),
      }).toEqual({
        nftables: after === 'nftables',
        'iptables on nftables': after === 'iptables on nftables',
        'legacy iptables': after === 'legacy iptables',
        sets: after !== 'nftables',
      });
      expect(stateOf(host)).not.toContain('10.9.0.99');
      await probes.stop();
      expect(stateOf(host)).not.toMatch(/istio|169\.254/i);
      for (const program of ['iptables-nft', 'iptables-legacy'])
        expect(host.run(program, '-t', 'nat', '-S')).toContain('10.99.0.1');
      expect(warnings).toEqual([]);
    });

    if (before === 'iptables on nftables')
      test('says what stays when somebody keeps changing it, and serves', async () => {
        await makeBefore(host.fd).start([{ ip: POD[4], uid: 'u-1' }]);
        const script =
          'add chain ip nat STRANGER\nflush chain ip nat STRANGER\nadd rule ip nat STRANGER jump ISTIO_POSTRT\n';
        const meeting: RunCommand = async (command) => {
          const output = await runCommand(command);
          if (command.file === 'nft' && command.args.includes('chains'))
            await runCommand({ file: 'nft', args: ['-f', '-'], stdin: script, netnsFd: host.fd });
          return output;
        };
        await makeAfter(host.fd, {}, meeting).start([{ ip: POD[4], uid: 'u-1' }]);
        expect(warnings).toContainEqual(
          expect.stringMatching(/^probe rules of an earlier agent stay on the node: nft failed .*busy/s),
        );
        expect(await sourceOf(4)).toBe(SOURCES[4]);
      });
  },
);

test('with nftables, an address is added without a program, unless it may be there', async () => {
  const started: Command[] = [];
  const run: RunCommand = (command) => {
    started.push(command);
    return runCommand(command);
  };
  const probes = new NftHostProbes(common(host.fd, {}, run));
  await probes.start([]);
  started.length = 0;
  await probes.add([
    { ip: POD[4], uid: 'u-1' },
    { ip: POD[6], uid: 'u-1' },
  ]);
  expect([started, await sourceOf(4), await sourceOf(6)]).toEqual([[], SOURCES[4], SOURCES[6]]);
  const added = stateOf(host);
  await probes.add([{ ip: POD[4], uid: 'u-2' }]);
  expect([started.length, stateOf(host)]).toEqual([
    1,
    added.replace(`${POD[4]} comment "u-1"`, `${POD[4]} comment "u-2"`),
  ]);
});

test('with nftables, the addresses of a pod are added together or not at all', async () => {
  const probes = new NftHostProbes(common(host.fd));
  await probes.start([]);
  host.nft(`flush chain inet ${NFT_NAT} postrouting; delete set inet ${NFT_NAT} ${PROBE_SET_V6}`);
  const before = stateOf(host);
  const added = probes.add([
    { ip: POD[4], uid: 'u-1' },
    { ip: POD[6], uid: 'u-1' },
  ]);
  await expect(added).rejects.toMatchObject({ code: 'RULES_COMMAND' });
  expect(stateOf(host)).toBe(before);
  // Nothing of the first is left to speak for the next one that has the address.
  await probes.add([{ ip: POD[4], uid: 'u-2' }]);
  expect(stateOf(host)).toContain(`${POD[4]} comment "u-2"`);
});

test('the kubelet is found by its name', () => {
  const proc = mkdtempSync(join(tmpdir(), 'ambit-proc-'));
  const add = (pid: string, comm: string, commandLine: string) => {
    mkdirSync(join(proc, pid));
    writeFileSync(join(proc, pid, 'comm'), `${comm}\n`);
    writeFileSync(join(proc, pid, 'cmdline'), commandLine);
  };
  mkdirSync(join(proc, 'self'));
  mkdirSync(join(proc, '7'));
  add('1', 'systemd', '/sbin/init');
  add('2', 'kubelite', '/snap/kubelite --scheduler-args');
  expect(kubeletUid(proc)).toBeUndefined();
  add('3', 'kubelet', '/usr/bin/kubelet');
  expect(kubeletUid(proc)).toBe(process.getuid?.());
  rmSync(proc, { recursive: true });
});
