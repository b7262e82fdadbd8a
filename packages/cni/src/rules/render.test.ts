import { readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { PROBE_SOURCE_V4, PROBE_SOURCE_V6 } from './constants.ts';
import { isInterfaceName, type PodRules } from './pod-rules.ts';
import {
  isPodUid,
  renderHostIptables,
  renderHostIptablesRemoval,
  renderHostNft,
  renderIpsetRemoval,
  renderIpsets,
  renderProbeAddition,
  renderProbeRemoval,
} from './render-host.ts';
import {
  parseSaved,
  renderPodIptables,
  renderPodIptablesRemoval,
  renderPodIptablesWithoutRedirects,
} from './render-iptables.ts';
import {
  renderFirstPodNft,
  renderPodNft,
  renderPodNftRemoval,
  renderPodNftWithoutRedirects,
} from './render-nft.ts';
import { findNatOutputs, findResidue, renderResidueRemoval } from './residue.ts';

const TESTDATA = new URL('testdata/', import.meta.url);
const probeSources = { v4: PROBE_SOURCE_V4, v6: PROBE_SOURCE_V6 };
const pod = (over: Partial<PodRules> = {}): PodRules => ({
  ipv6: true,
  dnsCapture: true,
  bypassInbound: false,
  virtualInterfaces: [],
  probeSources,
  ...over,
});
const host = { ipv6: true, probeSources };
const pods = [
  { ip: '10.1.0.7', uid: '0b4cbb5c-4a35-4b63-9a3c-3c6d0a0d9f00' },
  { ip: 'fd00:1::7', uid: '0b4cbb5c-4a35-4b63-9a3c-3c6d0a0d9f00' },
];
const none = new Map();
const SAVED = [
  '*nat',
  ':PREROUTING ACCEPT [0:0]',
  ':ISTIO_PRERT - [0:0]',
  ':ISTIO_OLD - [0:0]',
  '-A PREROUTING -j ISTIO_PRERT',
  '-A PREROUTING -j ISTIO_PRERT',
  '-A OUTPUT -p tcp -j ISTIO_OLD',
  '-A ISTIO_PRERT -p tcp -j ISTIO_OLD',
  '-A PREROUTING -j SOMEBODY_ELSE',
  'COMMIT',
].join('\n');

describe('golden files', () => {
  const cases: Record<string, string> = {
    'pod.nft': renderPodNft(pod()),
    'pod-first.nft': renderFirstPodNft(pod()),
    'pod-first-without-dns.nft': renderFirstPodNft(pod({ dnsCapture: false })),
    'pod-ipv4.nft': renderPodNft(pod({ ipv6: false })),
    'pod-without-dns.nft': renderPodNft(pod({ dnsCapture: false })),
    'pod-ingress.nft': renderPodNft(pod({ bypassInbound: true })),
    'pod-virtual-interfaces.nft': renderPodNft(pod({ virtualInterfaces: ['net1', 'tap0'], ipv6: false })),
    'pod-without-redirects.nft': renderPodNftWithoutRedirects({ dns: 'captured', ownNat: [] }),
    'pod-with-own-nat-ipv4-without-redirects.nft': renderPodNftWithoutRedirects({
      dns: 'captured',
      ownNat: [4],
    }),
    'pod-without-redirects-nor-dns.nft': renderPodNftWithoutRedirects({ dns: 'not captured' }),
    'pod-removal.nft': renderPodNftRemoval(),
    'pod-v4.iptables': renderPodIptables(pod({ virtualInterfaces: ['net1'] }), 4, none),
    'pod-v6.iptables': renderPodIptables(pod(), 6, none),
    'pod-ingress-without-dns.iptables': renderPodIptables(
      pod({ bypassInbound: true, dnsCapture: false }),
      4,
      none,
    ),
    'pod-replaced.iptables': renderPodIptables(pod({ dnsCapture: false }), 4, parseSaved(SAVED)),
    'pod-without-redirects.iptables': renderPodIptablesWithoutRedirects(
      parseSaved(renderPodIptables(pod(), 4, none)),
    ),
    'pod-removal.iptables': renderPodIptablesRemoval(parseSaved(SAVED)),
    'host.nft': renderHostNft(host, pods),
    'host-kubelet-uid-ipv4.nft': renderHostNft({ ipv6: false, probeSources, kubeletUid: 0 }, []),
    'host-add.nft': renderProbeAddition(pods, () => false),
    'host-replace.nft': renderProbeAddition(pods, () => true),
    'host-remove.nft': renderProbeRemoval(['10.1.0.7', 'fd00:1::7']),
    'host.ipset': renderIpsets(host, pods),
    'host-remove.ipset': renderIpsetRemoval(['10.1.0.7']),
    'host-v4.iptables': renderHostIptables(host, 4, 2),
    'host-v6.iptables': renderHostIptables({ ...host, kubeletUid: 12 }, 6, 0),
    'host-removal.iptables': renderHostIptablesRemoval(1),
  };

  test.each(Object.entries(cases))('%s', (name, text) => {
    const file = new URL(`${name}.golden`, TESTDATA);
    if (process.env['UPDATE_GOLDEN'] === '1') writeFileSync(file, text);
    expect(text).toBe(readFileSync(file, 'utf8'));
  });
});

test('every redirect of TCP names SYN, whatever renders it', () => {
  const everything = pod({ virtualInterfaces: ['net1'] });
  const nft = renderPodNft(everything)
    .split('\n')
    .filter((line) => line.includes('redirect'));
  expect(nft).toHaveLength(8);
  for (const line of nft) expect(line).toMatch(/fin \| syn \| rst \| ack\) == syn|udp dport 53/);
  const iptables = renderPodIptables(everything, 4, none)
    .split('\n')
    .filter((line) => line.includes('REDIRECT'));
  expect(iptables).toHaveLength(5);
  for (const line of iptables) expect(line).toMatch(/--tcp-flags FIN,SYN,RST,ACK SYN|-p udp/);
});

test('guards come with the redirects and go with them', () => {
  const drops = (text: string) => text.split('\n').filter((line) => / drop$| -j DROP$/.test(line));
  expect(drops(renderPodNft(pod()))).toHaveLength(4);
  expect(drops(renderPodNft(pod({ ipv6: false })))).toHaveLength(2);
  expect(drops(renderPodNft(pod({ bypassInbound: true })))).toHaveLength(2);
  expect(drops(renderPodNft(pod({ virtualInterfaces: ['net1', 'net2'] })))).toHaveLength(6);
  expect(drops(renderPodIptables(pod(), 4, none))).toHaveLength(2);
  expect(drops(renderPodIptables(pod({ virtualInterfaces: ['net1'] }), 4, none))).toHaveLength(3);
  expect(drops(renderPodIptables(pod({ bypassInbound: true }), 6, none))).toHaveLength(1);
  const enrolled = parseSaved(renderPodIptables(pod(), 4, none).replaceAll(/^-I (\w+) 1/gm, '-A $1'));
  expect(enrolled.get('filter')?.jumps).toEqual([
    '-A INPUT -j ISTIO_INPUT',
    '-A FORWARD -j ISTIO_FORWARD',
    '-A OUTPUT -j ISTIO_OUTPUT',
  ]);
  const tables = (text: string) => text.match(/^\*.*$/gm);
  expect(tables(renderPodIptables(pod(), 4, none))).toEqual(['*mangle', '*raw', '*nat', '*filter']);
  expect(tables(renderPodIptablesWithoutRedirects(none))).toEqual(['*filter', '*nat']);
  expect(tables(renderPodIptablesWithoutRedirects(enrolled))).toEqual(['*filter', '*nat', '*raw']);
  expect(tables(renderPodIptablesRemoval(enrolled))).toEqual(['*filter', '*nat', '*raw', '*mangle']);
});

test('a pod without anything of Istio needs no removal by iptables', () => {
  expect(renderPodIptablesRemoval(parseSaved('*nat\n:PREROUTING ACCEPT [0:0]\nCOMMIT\n'))).toBe('');
});

test('names from annotations and objects cannot become rules', () => {
  for (const name of ['eth0', 'net1.100', 'veth_a-b', 'a'.repeat(15)])
    expect(isInterfaceName(name)).toBe(true);
  for (const name of ['', '-o', 'a b', 'a"b', 'a\n', 'a;b', 'a'.repeat(16), '../x', 'é'])
    expect(isInterfaceName(name)).toBe(false);
  expect(isPodUid('0b4cbb5c-4a35-4b63-9a3c-3c6d0a0d9f00')).toBe(true);
  for (const uid of ['', 'a"', 'a\n', 'x'.repeat(65)]) expect(isPodUid(uid)).toBe(false);
});

test('a chain that translates what the namespace’s own programs send is found, and no other', () => {
  const chain = (table: string, more = {}) => ({ chain: { family: 'inet', table, name: 'c', ...more } });
  const listed = [
    chain('own', { type: 'nat', hook: 'output', prio: -100 }),
    chain('inward', { type: 'nat', hook: 'prerouting' }),
    chain('filter', { type: 'filter', hook: 'output' }),
    chain('regular'),
    { table: { family: 'inet', name: 'own' } },
  ];
  expect(findNatOutputs(JSON.stringify({ nftables: listed }))).toEqual([{ family: 'inet', name: 'own' }]);
});

describe('what Istio left', () => {
  const ruleset = (...items: readonly unknown[]) =>
    JSON.stringify({ nftables: [{ metainfo: {} }, ...items] });
  const jump = (family: string, table: string, chain: string, target: string, handle: unknown) => ({
    rule: { family, table, chain, handle, expr: [{ counter: {} }, { jump: { target } }] },
  });

  test('its chains and the jumps into them are found, and nothing else', () => {
    const found = findResidue(
      ruleset(
        { table: { family: 'ip', name: 'nat' } },
        { chain: { family: 'ip', table: 'nat', name: 'ISTIO_PRERT' } },
        { chain: { family: 'ip', table: 'nat', name: 'PREROUTING' } },
        jump('ip', 'nat', 'PREROUTING', 'ISTIO_PRERT', 7),
        jump('ip', 'nat', 'PREROUTING', 'KUBE-SERVICES', 8),
        jump('ip', 'nat', 'ISTIO_PRERT', 'ISTIO_OUTPUT', 9),
        { chain: { family: 'inet', table: 'istio-ambient-nat', name: 'ISTIO_PRERT' } },
      ),
    );
    expect(renderResidueRemoval(found)).toBe(
      'delete rule ip nat PREROUTING handle 7\nflush chain ip nat ISTIO_PRERT\ndelete chain ip nat ISTIO_PRERT\n',
    );
  });

  test('a guard of ours is one of its chains', () => {
    const found = findResidue(
      ruleset(
        { chain: { family: 'ip6', table: 'filter', name: 'ISTIO_INPUT' } },
        jump('ip6', 'filter', 'INPUT', 'ISTIO_INPUT', 3),
      ),
    );
    expect(renderResidueRemoval(found)).toBe(
      'delete rule ip6 filter INPUT handle 3\nflush chain ip6 filter ISTIO_INPUT\ndelete chain ip6 filter ISTIO_INPUT\n',
    );
  });

  test('names that could be more than names are left alone', () => {
    const found = findResidue(
      ruleset(
        { chain: { family: 'ip', table: 'nat; flush ruleset', name: 'ISTIO_PRERT' } },
        { chain: { family: 'ip', table: 'nat', name: 'ISTIO_PRERT; x' } },
        jump('ip', 'nat', 'a b', 'ISTIO_PRERT', 1),
        jump('ip', 'nat', 'PREROUTING', 'ISTIO_PRERT', '1; x'),
      ),
    );
    expect(found).toEqual({ chains: [], jumps: [] });
  });

  test.each(['', '{', '[]', '{}', '{"nftables":{}}'])('%j is not a ruleset', (json) => {
    expect(() => findResidue(json)).toThrow(expect.objectContaining({ code: 'RULES' }));
  });
});
