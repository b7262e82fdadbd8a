import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { systemClock } from '@ambit/core/clock';
import { TestNamespaces, type TestNetns } from '@ambit/linux/testing/namespaces';
import { type Conversation, Peers } from '../testing/peers.ts';
import type { PodRulesBackend } from './backend.ts';
import { type Command, type RunCommand, runCommand } from './command.ts';
import { NFT_NAT, PROBE_SOURCE_V4, PROBE_SOURCE_V6, ZTUNNEL_MARK } from './constants.ts';
import { detectBackend } from './detect.ts';
import { CommandError } from './errors.ts';
import { forgetConnections, forgetQueries } from './forget-connections.ts';
import { IptablesBackend } from './iptables-backend.ts';
import { NftBackend } from './nft-backend.ts';
import type { PodRules } from './pod-rules.ts';
import { renderPodIptables } from './render-iptables.ts';

const CLIENT = { 4: '10.9.0.1', 6: 'fd09::1' };
const POD = { 4: '10.9.0.2', 6: 'fd09::2' };
const APP = 8080;

const rules = (over: Partial<PodRules> = {}): PodRules => ({
  ipv6: true,
  dnsCapture: true,
  bypassInbound: false,
  virtualInterfaces: [],
  probeSources: { v4: PROBE_SOURCE_V4, v6: PROBE_SOURCE_V6 },
  ...over,
});

const backends: Record<string, () => PodRulesBackend> = {
  nftables: () => new NftBackend(runCommand, systemClock),
  'iptables on nftables': () => new IptablesBackend(runCommand, systemClock, 'iptables-nft', true),
  'legacy iptables': () => new IptablesBackend(runCommand, systemClock, 'iptables-legacy', true),
};

let namespaces: TestNamespaces;
let peers: Peers;
/** ztunnel's DNS over UDP. */
let dns: Peers;
let client: TestNetns;
let pod: TestNetns;

beforeEach(async () => {
  namespaces = new TestNamespaces();
  peers = new Peers();
  dns = new Peers();
  client = namespaces.create();
  pod = namespaces.create();
  client.run('ip', 'link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', pod.path);
  for (const [netns, addresses, other] of [
    [client, CLIENT, POD],
    [pod, POD, CLIENT],
  ] as const) {
    netns.run('ip', 'addr', 'add', `${addresses[4]}/24`, 'dev', 'eth0');
    netns.run('ip', 'addr', 'add', `${addresses[6]}/64`, 'dev', 'eth0', 'nodad');
    netns.run('sysctl', '-qw', 'net.ipv6.conf.eth0.accept_dad=0');
    netns.run('ip', 'link', 'set', 'eth0', 'up');
    netns.run('ip', 'route', 'add', 'default', 'via', other[4]);
    netns.run('ip', '-6', 'route', 'add', 'default', 'via', other[6]);
  }
  client.run('ip', 'addr', 'add', `${PROBE_SOURCE_V4}/32`, 'dev', 'lo');
  client.run('ip', 'addr', 'add', `${PROBE_SOURCE_V6}/128`, 'dev', 'lo');
  peers.listen('client', client.fd, APP);
  peers.listen('client', client.fd, 53);
  peers.listen('app', pod.fd, APP);
  peers.listen('outbound', pod.fd, 15_001, { mark: ZTUNNEL_MARK });
  peers.listen('inbound', pod.fd, 15_006, { mark: ZTUNNEL_MARK });
  peers.listen('hbone', pod.fd, 15_008, { mark: ZTUNNEL_MARK });
  peers.listen('dns', pod.fd, 15_053, { mark: ZTUNNEL_MARK });
  for (const family of [4, 6] as const) {
    await peers.listenUdp('client', client.fd, CLIENT[family], 53);
    // Slow enough for one question or two to be under way, whatever happens.
    const loopback = family === 4 ? '127.0.0.1' : '::1';
    await dns.listenUdp('dns', pod.fd, loopback, 15_053, ZTUNNEL_MARK, 30);
  }
});

afterEach(async () => {
  await dns[Symbol.asyncDispose]();
  await peers[Symbol.asyncDispose]();
  namespaces[Symbol.dispose]();
});

/** All that decides about packets, without counters, handles and times. */
function stateOf(netns: TestNetns): string {
  const saved = ['iptables-legacy-save', 'ip6tables-legacy-save'].map((program) => netns.run(program));
  const lines = [
    netns.run('nft', '-s', 'list', 'ruleset'),
    ...saved.map((text) => text.replace(/^#.*\n/gm, '').replace(/\[\d+:\d+\]/g, '')),
    netns.run('ip', 'rule'),
    netns.run('ip', '-6', 'rule'),
    netns.run('ip', 'route', 'show', 'table', 'all').replace(/^(?!.*table 100).*\n/gm, ''),
    netns.run('ip', '-6', 'route', 'show', 'table', 'all').replace(/^(?!.*table 100).*\n/gm, ''),
  ];
  return lines.join('\n');
}

const spoofed = (family: 4 | 6) => ({
  mark: ZTUNNEL_MARK,
  bind: { ip: CLIENT[family], port: 0, transparent: true },
});

/** Whoever speaks first after the rules came is the one whom conntrack takes for the connection's beginner. */
const OLDER = [
  { family: 4, speaksFirst: 'caller' },
  { family: 4, speaksFirst: 'called' },
  { family: 6, speaksFirst: 'caller' },
  { family: 6, speaksFirst: 'called' },
] as const;
/** Conntrack forgets a reset connection after 2 s here, and the kernel sends a SYN after 1 and 3 s again. */
const UNTIL_FORGOTTEN_MS = 9_000;
let nextPort = 41_000;
/** Of somebody else: keeps conntrack and translation at work without our tables. */
const TRANSLATING =
  'table inet other { chain output { type nat hook output priority -100; tcp dport 9 redirect to :10; }; }';
/** Of the pod's own: what leaves it for a DNS server goes elsewhere. */
const bringingDns = (elsewhere: string) =>
  `table inet other { chain output { type nat hook output priority -100; oifname != "lo" udp dport 53 ${elsewhere}; }; }`;
const OTHER = { 4: ['10.7.0.1/32', 'dev', 'lo'], 6: ['fd07::1/128', 'dev', 'lo', 'nodad'] } as const;
const more: unknown = expect.any(Number);

/** Connections older than `wanted` that the called side resets afterwards; each can be tried again from its port. */
async function resetOlder(
  backend: PodRulesBackend,
  wanted: PodRules,
  way: 'in' | 'out',
  callers: Readonly<Record<4 | 6, string>> = way === 'in' ? CLIENT : POD,
): Promise<readonly ((waitMs?: number) => Promise<string>)[]> {
  const [from, called] = way === 'in' ? [client, POD] : [pod, CLIENT];
  const older = [];
  for (const { family, speaksFirst } of OLDER) {
    nextPort += 1;
    const bind = { ip: callers[family], port: nextPort, transparent: false };
    const conversation = await peers.connect(from.fd, called[family], APP, { bind });
    expect(conversation.name).toBe(way === 'in' ? 'app' : 'client');
    older.push({ conversation, speaksFirst, bind, ip: called[family] });
  }
  await backend.apply(pod.fd, wanted);
  pod.run('sysctl', '-qw', 'net.netfilter.nf_conntrack_tcp_timeout_close=2');
  for (const { conversation, speaksFirst, bind } of older) {
    const served = peers.servedTo(bind.port);
    if (speaksFirst === 'called') {
      served.write('unasked\n');
      await conversation.hears('unasked');
    }
    await conversation.echoes('after the rules came');
    const closed = new Promise((resolve) => conversation.socket.once('close', resolve));
    served.resetAndDestroy();
    await closed;
  }
  return older.map(
    ({ bind, ip }) =>
      (waitMs?: number) =>
        peers.whoAnswers(from.fd, ip, APP, { bind, ...(waitMs === undefined ? {} : { waitMs }) }),
  );
}

describe.each(Object.entries(backends))('%s', (_, make) => {
  test.each([4, 6] as const)('new IPv%i connections go where they must', async (family) => {
    await make().apply(pod.fd, rules());
    const from = (netns: TestNetns, ip: string, port: number, options = {}) =>
      peers.whoAnswers(netns.fd, ip, port, options);
    const probe = family === 4 ? PROBE_SOURCE_V4 : PROBE_SOURCE_V6;
    expect({
      outbound: await from(pod, CLIENT[family], APP),
      inbound: await from(client, POD[family], APP),
      hbone: await from(client, POD[family], 15_008),
      inboundPort: await from(client, POD[family], 15_006),
      loopback: await from(pod, family === 4 ? '127.0.0.1' : '::1', APP),
      ownAddress: await from(pod, POD[family], APP),
      fromZtunnel: await from(pod, CLIENT[family], APP, { mark: ZTUNNEL_MARK }),
      withTheClientsAddress: await from(pod, POD[family], APP, spoofed(family)),
      probe: await from(client, POD[family], APP, { bind: { ip: probe, port: 0, transparent: false } }),
      dns: await from(pod, CLIENT[family], 53),
    }).toEqual({
      outbound: 'outbound',
      inbound: 'inbound',
      hbone: 'hbone',
      inboundPort: 'inbound',
      loopback: 'app',
      ownAddress: 'app',
      fromZtunnel: 'client',
      withTheClientsAddress: 'app',
      probe: 'app',
      dns: 'dns',
    });
  });

  test.each([4, 6] as const)('DNS queries over IPv%i are captured, ztunnel’s own are not', async (family) => {
    const ask = (mark?: number) => peers.askUdp(pod.fd, POD[family], CLIENT[family], 53, mark);
    await make().apply(pod.fd, rules());
    expect(await ask()).toBe(`dns from ${CLIENT[family]}:53`);
    expect(await ask(ZTUNNEL_MARK)).toBe(`client from ${CLIENT[family]}:53`);
    await make().apply(pod.fd, rules({ dnsCapture: false }));
    expect(await ask()).toBe(`client from ${CLIENT[family]}:53`);
    expect(await peers.whoAnswers(pod.fd, CLIENT[family], 53)).toBe('outbound');
  });

  test.each([
    ['alone', 4],
    ['alone', 6],
    ['with translation of its own', 4],
    ['with translation of its own', 6],
    ['with translation of the other family', 4],
    ['with translation of the other family', 6],
  ] as const)(
    'a DNS client has every answer at its one port as the pod comes and leaves, %s, over IPv%i',
    async (what, family) => {
      if (what !== 'alone')
        pod.nft(
          what.endsWith('family') ? TRANSLATING.replace('inet', family === 4 ? 'ip6' : 'ip') : TRANSLATING,
        );
      const backend = make();
      nextPort += 1;
      const bind = { ip: POD[family], port: nextPort };
      const stop = await peers.keepAskingUdp(pod.fd, bind, CLIENT[family], 53);
      await systemClock.sleep(100);
      await backend.apply(pod.fd, rules());
      await systemClock.sleep(200);
      const came = await stop();
      expect(came).toEqual({ answers: expect.objectContaining({ client: more }), errors: [], unanswered: 0 });

      nextPort += 1;
      const another = { ip: POD[family], port: nextPort };
      const stopToo = await peers.keepAskingUdp(pod.fd, another, CLIENT[family], 53);
      await systemClock.sleep(400);
      await backend.removeRedirects(pod.fd);
      await backend.removeRedirects(pod.fd);
      await systemClock.sleep(100);
      await dns[Symbol.asyncDispose]();
      await systemClock.sleep(200);
      await backend.remove(pod.fd);
      await systemClock.sleep(200);
      const left = await stopToo();
      expect(left).toEqual({ answers: { dns: more, client: more }, errors: [], unanswered: 0 });
    },
  );

  test.each([
    ['a resolver within it', 4],
    ['a resolver within it', 6],
    ['another server', 4],
    ['another server', 6],
  ] as const)(
    'a pod whose own rules bring DNS to %s has every answer as it leaves, over IPv%i',
    async (where, family) => {
      if (where === 'another server') {
        client.run('ip', 'addr', 'add', ...OTHER[family]);
        const ip = OTHER[family][0].split('/')[0] ?? '';
        await peers.listenUdp('own', client.fd, ip, 53);
        pod.nft(bringingDns(`dnat ${family === 4 ? 'ip' : 'ip6'} to ${ip}`));
      } else {
        await peers.listenUdp('own', pod.fd, family === 4 ? '127.0.0.1' : '::1', 5_353);
        pod.nft(bringingDns('redirect to :5353'));
      }
      const ask = () => {
        nextPort += 1;
        return peers.keepAskingUdp(pod.fd, { ip: POD[family], port: nextPort }, CLIENT[family], 53);
      };
      const backend = make();
      await backend.apply(pod.fd, rules());
      const within = await ask();
      await systemClock.sleep(400);
      await backend.removeRedirects(pod.fd);
      const leaving = await ask();
      await systemClock.sleep(200);
      await dns[Symbol.asyncDispose]();
      await systemClock.sleep(200);
      await backend.remove(pod.fd);
      const after = await ask();
      await systemClock.sleep(200);
      const all = await Promise.all([within(), leaving(), after()]);
      const answered = (...by: readonly string[]) => ({
        answers: Object.fromEntries(by.map((name) => [name, more])),
        errors: [],
        unanswered: 0,
      });
      expect(all).toEqual([answered('dns', 'own'), answered('own'), answered('own')]);
    },
  );

  test.each([4, 6] as const)(
    'a pod that turns round has its DNS captured again, at the same port too, over IPv%i',
    async (family) => {
      const backend = make();
      nextPort += 1;
      const bind = { ip: POD[family], port: nextPort };
      await backend.apply(pod.fd, rules());
      const stop = await peers.keepAskingUdp(pod.fd, bind, CLIENT[family], 53);
      await systemClock.sleep(200);
      await backend.removeRedirects(pod.fd);
      await systemClock.sleep(200);
      await backend.apply(pod.fd, rules());
      await systemClock.sleep(200);
      const { answers, ...rest } = await stop();
      expect([Object.keys(answers).sort(), rest]).toEqual([['client', 'dns'], { errors: [], unanswered: 0 }]);
      expect(answers['dns']).toBeGreaterThan(12);
    },
  );

  test('without IPv6, IPv6 is not touched', async () => {
    await make().apply(pod.fd, rules({ ipv6: false }));
    expect(await peers.whoAnswers(pod.fd, CLIENT[4], APP)).toBe('outbound');
    expect(await peers.whoAnswers(pod.fd, CLIENT[6], APP)).toBe('client');
    expect(await peers.whoAnswers(client.fd, POD[6], APP)).toBe('app');
  });

  test('ingress mode captures nothing inbound', async () => {
    await make().apply(pod.fd, rules({ bypassInbound: true }));
    expect(await peers.whoAnswers(client.fd, POD[4], APP)).toBe('app');
    expect(await peers.whoAnswers(client.fd, POD[4], 15_008)).toBe('hbone');
    expect(await peers.whoAnswers(pod.fd, CLIENT[4], APP)).toBe('outbound');
  });

  test('what comes in through a virtual interface is outbound', async () => {
    await make().apply(pod.fd, rules({ virtualInterfaces: ['eth0'] }));
    expect(await peers.whoAnswers(client.fd, POD[4], APP)).toBe('outbound');
  });

  test.each(['conntrack new to it', 'conntrack knowing it'])(
    'a connection older than the rules outlives them, %s',
    async (knowledge) => {
      if (knowledge === 'conntrack knowing it')
        pod.nft(
          'table inet other { chain input { type filter hook input priority 0; ct state new accept; }; }',
        );
      const backend = make();
      const old: Conversation[] = [];
      for (const family of [4, 6] as const) {
        old.push(await peers.connect(client.fd, POD[family], APP));
        old.push(await peers.connect(pod.fd, CLIENT[family], APP));
      }
      expect(old.map(({ name }) => name)).toEqual(['app', 'client', 'app', 'client']);
      const all = (line: string) => Promise.all(old.map((conversation) => conversation.echoes(line)));
      await backend.apply(pod.fd, rules());
      await all('after the rules came');
      expect(await peers.whoAnswers(pod.fd, CLIENT[4], APP)).toBe('outbound');
      await backend.apply(pod.fd, rules());
      await all('after they came again');
      await backend.removeRedirects(pod.fd);
      await all('after the redirects went');
      await backend.remove(pod.fd);
      await all('after all went');
    },
  );

  test('a connection that was redirected outlives the redirects', async () => {
    const backend = make();
    await backend.apply(pod.fd, rules());
    const redirected = [
      await peers.connect(pod.fd, CLIENT[4], APP),
      await peers.connect(client.fd, POD[6], APP),
      await peers.connect(pod.fd, POD[4], APP, spoofed(4)),
    ];
    expect(redirected.map(({ name }) => name)).toEqual(['outbound', 'inbound', 'app']);
    await backend.removeRedirects(pod.fd);
    await Promise.all(redirected.map((conversation) => conversation.echoes('still here')));
    expect(await peers.whoAnswers(pod.fd, CLIENT[4], APP)).toBe('client');
    expect(await peers.whoAnswers(client.fd, POD[6], APP)).toBe('app');
    expect(await peers.whoAnswers(pod.fd, POD[4], APP, spoofed(4))).toBe('app');
  });

  test.each([
    ['was redirected', 4],
    ['was redirected', 6],
    ['began as the pod left', 4],
    ['began as the pod left', 6],
  ] as const)(
    'in the mesh again, the pod has nothing of a connection that %s, over IPv%i',
    async (what, family) => {
      const backend = make();
      nextPort += 1;
      const bind = { ip: POD[family], port: nextPort, transparent: false };
      const connect = () => peers.connect(pod.fd, CLIENT[family], APP, { bind });
      await backend.apply(pod.fd, rules());
      if (what === 'was redirected') (await connect()).socket.resetAndDestroy();
      await backend.removeRedirects(pod.fd);
      const leaving = what === 'was redirected' ? undefined : await connect();
      await backend.remove(pod.fd);
      leaving?.socket.resetAndDestroy();
      await systemClock.sleep(50);
      const older = await connect();
      expect(older.name).toBe('client');
      await backend.apply(pod.fd, rules());
      peers.servedTo(bind.port).write('unasked\n');
      await older.hears('unasked');
      await older.echoes('after the rules came');
    },
  );

  test.each([4, 6] as const)(
    'in the mesh again, a connection is redirected from the port of one that was open as the pod left, over IPv%i',
    async (family) => {
      const backend = make();
      nextPort += 1;
      const bind = { ip: POD[family], port: nextPort, transparent: false };
      await backend.apply(pod.fd, rules());
      await backend.removeRedirects(pod.fd);
      const leaving = await peers.connect(pod.fd, CLIENT[family], APP, { bind });
      expect(leaving.name).toBe('client');
      await backend.remove(pod.fd);
      await leaving.echoes('still here');
      leaving.socket.resetAndDestroy();
      await systemClock.sleep(50);
      await backend.apply(pod.fd, rules());
      expect(await peers.whoAnswers(pod.fd, CLIENT[family], APP, { bind })).toBe('outbound');
    },
  );

  test.each(['in', 'out'] as const)(
    'a reset of an older connection opens no way %s in clear',
    async (way) => {
      const again = await resetOlder(make(), rules(), way);
      const answers = await Promise.all(again.map((connect) => connect(UNTIL_FORGOTTEN_MS)));
      const expected = way === 'in' ? 'inbound' : 'outbound';
      expect(answers).toEqual(again.map(() => expected));
    },
  );

  test('nor does one of a machine behind a virtual interface', async () => {
    const machine = namespaces.create();
    machine.run('ip', 'link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', 'net1', 'netns', pod.path);
    machine.run('ip', 'addr', 'add', '10.8.0.2/24', 'dev', 'eth0');
    machine.run('ip', 'link', 'set', 'eth0', 'up');
    pod.run('ip', 'addr', 'add', '10.8.0.1/24', 'dev', 'net1');
    pod.run('ip', 'link', 'set', 'net1', 'up');
    machine.run('ip', 'route', 'add', 'default', 'via', '10.8.0.1');
    pod.run('sysctl', '-qw', 'net.ipv4.ip_forward=1');
    const bind = { ip: '10.8.0.2', port: 41_000, transparent: false };
    const older = await peers.connect(machine.fd, CLIENT[4], APP, { bind });
    expect(older.name).toBe('client');
    await make().apply(pod.fd, rules({ virtualInterfaces: ['net1'] }));
    pod.run('sysctl', '-qw', 'net.netfilter.nf_conntrack_tcp_timeout_close=2');
    await older.echoes('after the rules came');
    const closed = new Promise((resolve) => older.socket.once('close', resolve));
    peers.servedTo(bind.port).resetAndDestroy();
    await closed;
    const again = peers.whoAnswers(machine.fd, CLIENT[4], APP, { bind, waitMs: UNTIL_FORGOTTEN_MS });
    expect(await again).toBe('outbound');
  });

  test('guards spare what is not redirected, and go with the redirects', async () => {
    const backend = make();
    const ingress = await resetOlder(backend, rules({ bypassInbound: true }), 'in');
    expect(await Promise.all(ingress.map((connect) => connect()))).toEqual(ingress.map(() => 'app'));
    await backend.remove(pod.fd);
    const probe = await resetOlder(backend, rules(), 'in', { 4: PROBE_SOURCE_V4, 6: PROBE_SOURCE_V6 });
    expect(await Promise.all(probe.map((connect) => connect()))).toEqual(probe.map(() => 'app'));
    await backend.remove(pod.fd);
    for (const way of ['in', 'out'] as const) {
      const left = await resetOlder(backend, rules(), way);
      await backend.removeRedirects(pod.fd);
      const expected = way === 'in' ? 'app' : 'client';
      expect(await Promise.all(left.map((connect) => connect()))).toEqual(left.map(() => expected));
    }
  });

  test('applied twice is as applied once, and removal leaves nothing', async () => {
    const backend = make();
    await backend.remove(pod.fd);
    const before = stateOf(pod);
    await backend.apply(pod.fd, rules());
    const once = stateOf(pod);
    expect(once).not.toBe(before);
    await backend.apply(pod.fd, rules());
    expect(stateOf(pod)).toBe(once);
    await backend.removeRedirects(pod.fd);
    await backend.apply(pod.fd, rules({ dnsCapture: false }));
    await backend.removeRedirects(pod.fd);
    await backend.removeRedirects(pod.fd);
    await backend.remove(pod.fd);
    await backend.remove(pod.fd);
    const empty = (text: string) =>
      text.replace(/^\s*chain [A-Z]+ \{[^}]*\}\n/gm, '').replace(/^table \S+ \S+ \{\s*\}\n/gm, '');
    const kept = (text: string) => empty(text).replace(/^[*:].*\n|COMMIT\n/gm, '');
    expect(kept(stateOf(pod))).toBe(kept(before));
    expect(stateOf(pod)).not.toMatch(/istio|15001|0x111/i);
  });

  test('rules stand until the last has gone; those of a sidecar are no such rules', async () => {
    pod.run('iptables-nft', '-t', 'nat', '-N', 'ISTIO_OUTPUT');
    pod.run('iptables-legacy', '-t', 'nat', '-N', 'ISTIO_OUTPUT');
    const backend = make();
    const stand = [await backend.stand(pod.fd)];
    for (const program of ['iptables-nft', 'iptables-legacy'])
      pod.run(program, '-t', 'nat', '-X', 'ISTIO_OUTPUT');
    await backend.apply(pod.fd, rules({ dnsCapture: false }));
    stand.push(await backend.stand(pod.fd));
    await backend.removeRedirects(pod.fd);
    stand.push(await backend.stand(pod.fd));
    await backend.remove(pod.fd);
    stand.push(await backend.stand(pod.fd));
    expect(stand).toEqual([false, true, true, false]);
  });

  test('two at once, and others who change rules meanwhile, do not hinder each other', async () => {
    const backend = make();
    const stranger = async () => {
      for (let round = 0; round < 5; round += 1) {
        const script = 'add table ip stranger\nadd chain ip stranger a\ndelete table ip stranger\n';
        await runCommand({ file: 'nft', args: ['-f', '-'], stdin: script, netnsFd: pod.fd });
      }
    };
    await Promise.all([backend.apply(pod.fd, rules()), stranger(), backend.apply(pod.fd, rules())]);
    const state = stateOf(pod);
    expect(await peers.whoAnswers(client.fd, POD[4], APP)).toBe('inbound');
    await backend.apply(pod.fd, rules());
    expect(stateOf(pod)).toBe(state);
  });
});

const CHANGES = Object.keys(backends).flatMap((before) =>
  Object.keys(backends)
    .filter((after) => after !== before)
    .map((after) => ({ before, after })),
);

describe.each(CHANGES)('a change from $before to $after', ({ before, after }) => {
  const applied = async (name: string) => {
    const backend = backends[name]?.();
    if (!backend) throw new Error(`no backend ${name}`);
    await backend.apply(pod.fd, rules());
    return backend;
  };

  test('keeps what is redirected, and loses no connection that comes meanwhile', async () => {
    await applied(before);
    const kept = [
      await peers.connect(pod.fd, CLIENT[4], APP),
      await peers.connect(client.fd, POD[6], APP),
      await peers.connect(pod.fd, POD[4], APP, spoofed(4)),
    ];
    expect(kept.map(({ name }) => name)).toEqual(['outbound', 'inbound', 'app']);
    const answers = new Set<string>();
    let changing = true;
    const meanwhile = async (...to: Parameters<Peers['connect']>) => {
      while (changing) answers.add(await peers.whoAnswers(...to));
    };
    const comers = [
      meanwhile(pod.fd, CLIENT[4], APP),
      meanwhile(pod.fd, CLIENT[6], APP),
      meanwhile(client.fd, POD[4], APP),
      meanwhile(client.fd, POD[6], APP),
      meanwhile(pod.fd, POD[4], APP, spoofed(4)),
    ];
    await applied(after);
    await Promise.all(kept.map((conversation) => conversation.echoes('after the change')));
    changing = false;
    await Promise.all(comers);
    expect([...answers].sort()).toEqual(['app', 'inbound', 'outbound']);
  });

  test('leaves nothing of the old rules', async () => {
    await applied(before);
    const backend = await applied(after);
    expect(await peers.whoAnswers(pod.fd, CLIENT[4], APP)).toBe('outbound');
    await backend.removeRedirects(pod.fd);
    expect(await peers.whoAnswers(pod.fd, CLIENT[4], APP)).toBe('client');
    await backend.remove(pod.fd);
    expect(stateOf(pod)).not.toMatch(/istio|15001|0x111/i);
  });
});

test.each(['iptables-nft', 'iptables-legacy'] as const)(
  'what Istio left with %s is replaced, other rules stay',
  async (program) => {
    for (const family of [4, 6] as const) {
      const variant = family === 4 ? program : program.replace('iptables', 'ip6tables');
      const stdin = renderPodIptables(rules(), family, new Map());
      await runCommand({ file: `${variant}-restore`, args: ['--noflush'], stdin, netnsFd: pod.fd });
      pod.run(variant, '-t', 'nat', '-A', 'PREROUTING', '-p', 'tcp', '--dport', '9', '-j', 'ACCEPT');
    }
    const backend = new NftBackend(runCommand, systemClock);
    await backend.apply(pod.fd, rules({ bypassInbound: true }));
    expect(stateOf(pod)).not.toMatch(/ISTIO_/);
    expect(pod.run(program, '-t', 'nat', '-S')).toContain('--dport 9');
    expect(await peers.whoAnswers(client.fd, POD[4], APP)).toBe('app');
    expect(await peers.whoAnswers(pod.fd, CLIENT[6], APP)).toBe('outbound');
    await backend.remove(pod.fd);
    expect(pod.run(program, '-t', 'nat', '-S')).toContain('--dport 9');
  },
);

test.each(['iptables-nft', 'iptables-legacy'] as const)(
  'an agent that applies rules by %s takes over from one that used nftables, and the other way round',
  async (program) => {
    const nft = new NftBackend(runCommand, systemClock);
    const iptables = new IptablesBackend(runCommand, systemClock, program, true);
    await nft.apply(pod.fd, rules());
    await iptables.apply(pod.fd, rules());
    expect(pod.run('nft', 'list', 'tables')).not.toContain('istio-ambient');
    expect(await peers.whoAnswers(pod.fd, CLIENT[4], APP)).toBe('outbound');
    await nft.apply(pod.fd, rules());
    expect(await peers.whoAnswers(client.fd, POD[6], APP)).toBe('inbound');
    await nft.remove(pod.fd);
    expect(await peers.whoAnswers(pod.fd, CLIENT[4], APP)).toBe('client');
    expect(await peers.whoAnswers(client.fd, POD[6], APP)).toBe('app');
  },
);

test('the first rules of a pod are the work of one program, which deletes nothing', async () => {
  const started: Command[] = [];
  const run: RunCommand = (command) => {
    started.push(command);
    return runCommand(command);
  };
  const backend = new NftBackend(run, systemClock);
  await backend.apply(pod.fd, rules());
  expect(started.map(({ file, args }) => [file, ...args].join(' '))).toEqual(['nft -f -']);
  expect(started[0]?.stdin).not.toMatch(/delete|flush/);
  const first = stateOf(pod);
  await backend.apply(pod.fd, rules());
  expect(started).toHaveLength(2);
  expect(stateOf(pod)).toBe(first);
});

describe('rules that were prepared', () => {
  const KINDS = { usual: rules(), 'of IPv4 alone, without DNS': rules({ ipv6: false, dnsCapture: false }) };
  let started: Command[];
  let backend: NftBackend;

  beforeEach(() => {
    started = [];
    backend = new NftBackend((command) => {
      started.push(command);
      return runCommand(command);
    }, systemClock);
  });

  test.each(Object.entries(KINDS))(
    '%s: come without a program, and are what nft makes',
    async (_, wanted) => {
      await backend.prepare(wanted);
      started = [];
      await backend.apply(pod.fd, wanted);
      expect(started).toEqual([]);
      const came = stateOf(pod);
      expect(await peers.whoAnswers(pod.fd, CLIENT[4], APP)).toBe('outbound');
      await backend.remove(pod.fd);
      await new NftBackend(runCommand, systemClock).apply(pod.fd, wanted);
      expect(came).toBe(stateOf(pod));
    },
  );

  test.each([
    [
      'has some already',
      () => new NftBackend(runCommand, systemClock).apply(pod.fd, rules({ dnsCapture: false })),
    ],
    [
      'has an earlier iptables’',
      () => new IptablesBackend(runCommand, systemClock, 'iptables-nft', true).apply(pod.fd, rules()),
    ],
    [
      'has those of legacy iptables',
      () => new IptablesBackend(runCommand, systemClock, 'iptables-legacy', true).apply(pod.fd, rules()),
    ],
  ])('are for nft to apply where the pod %s', async (_, before) => {
    await before();
    await backend.prepare(rules());
    started = [];
    await backend.apply(pod.fd, rules());
    expect(started.length).toBeGreaterThan(0);
    const came = stateOf(pod);
    await new NftBackend(runCommand, systemClock).apply(pod.fd, rules());
    expect(came).toBe(stateOf(pod));
  });

  test('are for nft to apply where the pod wants others', async () => {
    await backend.prepare(rules());
    started = [];
    await backend.apply(pod.fd, rules({ bypassInbound: true }));
    expect(started).toHaveLength(1);
    expect(await peers.whoAnswers(client.fd, POD[4], APP)).toBe('app');
  });

  test.each(['Resource temporarily unavailable', 'Device or resource busy'])(
    'are prepared although nft fails once: %s',
    async (problem) => {
      let left = 1;
      const busyOnce = new NftBackend(async (command) => {
        started.push(command);
        if (left-- > 0) throw new CommandError('nft', 1, `Error: Could not process rule: ${problem}`);
        return await runCommand(command);
      }, systemClock);
      await busyOnce.prepare(rules());
      started = [];
      await busyOnce.apply(pod.fd, rules());
      expect(started).toEqual([]);
      expect(await peers.whoAnswers(pod.fd, CLIENT[4], APP)).toBe('outbound');
    },
  );

  test('are not where nft makes a set of them: that is told, and they are for nft to apply', async () => {
    const more = `add rule inet ${NFT_NAT} prerouting tcp dport { 1, 2 } accept\n`;
    const withSet = new NftBackend((command) => {
      started.push(command);
      return runCommand({ ...command, stdin: `${command.stdin ?? ''}${more}` });
    }, systemClock);
    await expect(withSet.prepare(rules())).rejects.toMatchObject({
      code: 'RULES',
      message: expect.stringMatching(/cannot be copied: .*istio-ambient-nat have sets/),
    });
    started = [];
    await withSet.apply(pod.fd, rules());
    expect(started).toHaveLength(1);
    expect(await peers.whoAnswers(pod.fd, CLIENT[4], APP)).toBe('outbound');
  });
});

test('the first rules of a pod replace others of ours that came between looking and writing', async () => {
  const before = async () => await new NftBackend(runCommand, systemClock).apply(pod.fd, rules());
  let others = 1;
  const run: RunCommand = async (command) => {
    if (others-- > 0) await before();
    return await runCommand(command);
  };
  await new NftBackend(run, systemClock).apply(pod.fd, rules({ dnsCapture: false, bypassInbound: true }));
  const replaced = stateOf(pod);
  await new NftBackend(runCommand, systemClock).remove(pod.fd);
  await new NftBackend(runCommand, systemClock).apply(
    pod.fd,
    rules({ dnsCapture: false, bypassInbound: true }),
  );
  expect(stateOf(pod)).toBe(replaced);
});

/** Somebody else's transaction in the moment between looking and writing, `times` times. */
function meeting(script: string, times: number): typeof runCommand {
  let left = times;
  return async (command) => {
    const output = await runCommand(command);
    if (command.file === 'nft' && command.args.includes('ruleset') && left-- > 0)
      await runCommand({ file: 'nft', args: ['-f', '-'], stdin: script, netnsFd: pod.fd });
    return output;
  };
}

describe.each([
  [
    'changes the rule that leads to it',
    'flush chain ip nat OUTPUT\nadd rule ip nat OUTPUT counter jump ISTIO_OUTPUT\n',
    /No such file/,
  ],
  [
    'leads to it from elsewhere',
    'add chain ip nat STRANGER\nflush chain ip nat STRANGER\nadd rule ip nat STRANGER jump ISTIO_OUTPUT\n',
    /busy/,
  ],
])('somebody who %s while an earlier iptables’ chain is taken away', (_, script, problem) => {
  const legacy = (times: number) =>
    new IptablesBackend(meeting(script, times), systemClock, 'iptables-legacy', true);
  const strangers = 'flush chain ip nat STRANGER\ndelete chain ip nat STRANGER\n';

  beforeEach(() => new IptablesBackend(runCommand, systemClock, 'iptables-nft', true).apply(pod.fd, rules()));

  test('is a reason to try again', async () => {
    await legacy(1).apply(pod.fd, rules());
    expect(pod.run('nft', 'list', 'ruleset')).not.toMatch(/redirect|chain ISTIO/);
    expect(await peers.whoAnswers(pod.fd, CLIENT[4], APP)).toBe('outbound');
  });

  test('and does it again and again is told, redirection in force, until it is over', async () => {
    await expect(legacy(Number.POSITIVE_INFINITY).apply(pod.fd, rules())).rejects.toMatchObject({
      code: 'RULES_COMMAND',
      message: expect.stringMatching(problem),
    });
    expect(await peers.whoAnswers(pod.fd, CLIENT[4], APP)).toBe('outbound');
    if (script.includes('STRANGER'))
      await runCommand({ file: 'nft', args: ['-f', '-'], stdin: strangers, netnsFd: pod.fd });
    await legacy(0).apply(pod.fd, rules());
    expect(pod.run('nft', 'list', 'ruleset')).not.toMatch(/redirect|chain ISTIO/);
  });
});

test.each(['is not there', 'does not work'])(
  'where nft %s, iptables has nothing to take away',
  async (how) => {
    const without: typeof runCommand = (command) =>
      runCommand(
        command.file === 'nft'
          ? { ...command, file: how === 'is not there' ? 'nft-none' : 'false' }
          : command,
      );
    for (const program of ['iptables-nft', 'iptables-legacy'] as const)
      await new IptablesBackend(without, systemClock, program, true).apply(pod.fd, rules());
    expect(await peers.whoAnswers(pod.fd, CLIENT[4], APP)).toBe('outbound');
  },
);

test('queries that cannot be forgotten are told, and are no error, since what follows is not to wait for them', () => {
  const notANetns = 1_000_000;
  expect(forgetQueries(notANetns)).toBe('failed');
  expect(() => forgetConnections(notANetns)).toThrow(/EBADF/);
});

test('rules that the kernel refuses change nothing, and the error says what nft said', async () => {
  const backend = new NftBackend(runCommand, systemClock);
  await backend.apply(pod.fd, rules());
  const before = stateOf(pod);
  const impossible = rules({ probeSources: { v4: 'not an address', v6: PROBE_SOURCE_V6 } });
  await expect(backend.apply(pod.fd, impossible)).rejects.toMatchObject({
    code: 'RULES_COMMAND',
    message: expect.stringMatching(/^nft failed \(exit 1\): .*Error/s),
  });
  expect(stateOf(pod)).toBe(before);
});

test('the backend is found by trying, and a missing program is named', async () => {
  const found = await detectBackend(runCommand, systemClock, { wanted: 'auto', ipv6: true });
  expect([found.backend.name, found.because]).toEqual(['nftables', undefined]);
  const without: typeof runCommand = (command) =>
    runCommand(command.file === 'nft' ? { ...command, file: 'nft-that-is-not-there' } : command);
  const fallback = await detectBackend(without, systemClock, { wanted: 'auto', ipv6: true });
  expect(fallback).toMatchObject({
    backend: { name: 'iptables' },
    because: expect.stringContaining('nft-that-is-not-there'),
  });
  await expect(detectBackend(without, systemClock, { wanted: 'nftables', ipv6: true })).rejects.toMatchObject(
    {
      code: 'RULES',
      message: expect.stringContaining('nft-that-is-not-there'),
    },
  );
});
