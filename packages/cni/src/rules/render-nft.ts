/**
 * nftables text of a pod: redirection, its removal in two steps, and nothing else.
 *
 * Invariant: only a connection's first packet (SYN) is redirected. Where conntrack was not running before, it takes a
 * packet in the middle of a connection for a new one; redirecting that packet would reset a connection that began in
 * clear. Each text is one transaction for `nft -f -`, replaces whatever the tables held, and may be applied twice.
 *
 * Hence the guards: the entry that conntrack made of such a packet is not translated, and it stays for some seconds
 * after a reset. A SYN between the same ports then either belongs to that entry or is invalid, and the nat chains see
 * neither. Filter chains behind them drop every SYN that ought to have been redirected and was not. They live in the
 * nat table so that they come and go with the redirects: without those, they would cut the pod off.
 */
import type { Family } from '@ambit/core/ip';
import {
  DNS_CAPTURE_PORT,
  DNS_ZONE,
  hex,
  INBOUND_HBONE_PORT,
  INBOUND_PLAINTEXT_PORT,
  MARK_MASK,
  NFT_FORWARD_GUARD,
  NFT_INPUT_GUARD,
  NFT_MANGLE,
  NFT_NAT,
  NFT_OUTPUT,
  NFT_OUTPUT_GUARD,
  NFT_PREROUTING,
  NFT_RAW,
  NFT_TABLES,
  OUTBOUND_PORT,
  RETURN_MARK,
  ZTUNNEL_MARK,
} from './constants.ts';
import { familiesOf, type PodRules } from './pod-rules.ts';

const SYN = 'tcp flags & (fin | syn | rst | ack) == syn';
const TCP = 'meta l4proto tcp';
const MASK = hex(MARK_MASK);
const FROM_ZTUNNEL = `meta mark & ${MASK} == ${hex(ZTUNNEL_MARK)}`;
const NOT_FROM_ZTUNNEL = `meta mark & ${MASK} != ${hex(ZTUNNEL_MARK)}`;
const KEPT_BITS = hex((~MARK_MASK & 0xffff_ffff) >>> 0);

interface Chain {
  readonly name: string;
  /** Present on a base chain: what the kernel calls it for. */
  readonly hook?: string;
  readonly rules: readonly string[];
}

interface Table {
  readonly name: string;
  readonly chains: readonly Chain[];
}

const NAT_HOOKS = {
  prerouting: 'type nat hook prerouting priority -100; policy accept;',
  output: 'type nat hook output priority -100; policy accept;',
};

/** Redirection in force, in place of whatever stood in the tables before. */
export function renderPodNft(rules: PodRules): string {
  return `${dropTables()}${tablesOf(rules).map(tableText).join('')}`;
}

/**
 * The same where none of the tables stands; it fails if one does. The kernel lets go of what a transaction deletes only when
 * every processor has passed a point of rest, and has nft wait for that; this one deletes nothing.
 */
export function renderFirstPodNft(rules: PodRules): string {
  return tablesOf(rules)
    .map((table) => `create table inet ${table.name}\n${tableText(table)}`)
    .join('');
}

/** Of the tables that the first rules make. */
export function tableNamesOf(rules: PodRules): readonly string[] {
  return tablesOf(rules).map(({ name }) => name);
}

function tablesOf(rules: PodRules): readonly Table[] {
  return [mangleTable(rules), ...(rules.dnsCapture ? [rawTable(rules)] : []), natTable(rules)];
}

/**
 * The first step of removal: nothing new is redirected, and no guard asks for it. The tables and their hooks stay, because translation of the
 * connections already redirected ends with the last nat hook, and ztunnel's replies need the marks.
 *
 * DNS over UDP has no first packet: conntrack would go on translating a query from a port that asked before, also when
 * ztunnel listens no more, and each query would prolong that. So the pod's queries change the zone, in which ours translates
 * nothing. What ztunnel was asked before, it still answers in the old one.
 *
 * Answers are looked for in the new zone if they come from port 53. Where the pod's own rules may bring its queries elsewhere, to a
 * resolver within it for one, nothing tells what is an answer: there the zone is the queries' alone. Not everywhere,
 * for what is tracked so may keep the pod from asking from that port once nobody translates any more.
 *
 * @param leaving - Whether the pod's DNS was captured, so that the table of zones stands; and of which families somebody else translates what it sends.
 */
export function renderPodNftWithoutRedirects(
  leaving:
    | { readonly dns: 'captured'; readonly ownNat: readonly Family[] }
    | { readonly dns: 'not captured' },
): string {
  const chains = Object.entries(NAT_HOOKS).map(
    ([name, hook]) => `add chain inet ${NFT_NAT} ${name} { ${hook} }\n`,
  );
  const nat = `add table inet ${NFT_NAT}\n${chains.join('')}flush table inet ${NFT_NAT}\n`;
  if (leaving.dns === 'not captured') return nat;
  return `${nat}flush table inet ${NFT_RAW}\n${tableText(leavingRawTable(leaving.ownNat))}`;
}

/** The last step of removal, once no connection goes through ztunnel any more. */
export function renderPodNftRemoval(): string {
  return dropTables();
}

/** Adding first makes the deletion succeed whether or not the table is there. */
function dropTables(): string {
  return NFT_TABLES.map((name) => `add table inet ${name}\ndelete table inet ${name}\n`).join('');
}

function tableText({ name, chains }: Table): string {
  return `table inet ${name} {\n${chains.map(chainText).join('')}}\n`;
}

function chainText({ name, hook, rules }: Chain): string {
  const lines = [...(hook === undefined ? [] : [hook]), ...rules];
  return `\tchain ${name} {\n${lines.map((line) => `\t\t${line}\n`).join('')}\t}\n`;
}

/** Regular chains come first, since a jump needs its target. */
function table(
  name: string,
  hooks: { readonly prerouting: string; readonly output: string },
  prerouting: readonly string[],
  output: readonly string[],
): Table {
  return {
    name,
    chains: [
      { name: NFT_PREROUTING, rules: prerouting },
      { name: NFT_OUTPUT, rules: output },
      { name: 'prerouting', hook: hooks.prerouting, rules: [`counter jump ${NFT_PREROUTING}`] },
      { name: 'output', hook: hooks.output, rules: [`counter jump ${NFT_OUTPUT}`] },
    ],
  };
}

function mangleTable(rules: PodRules): Table {
  const only = rules.ipv6 ? '' : 'meta nfproto ipv4 ';
  return table(
    NFT_MANGLE,
    {
      prerouting: 'type filter hook prerouting priority -150; policy accept;',
      output: 'type route hook output priority -150; policy accept;',
    },
    [`${only}${FROM_ZTUNNEL} counter ct mark set ct mark & ${KEPT_BITS} | ${hex(RETURN_MARK)}`],
    [`${only}ct mark & ${MASK} == ${hex(RETURN_MARK)} counter meta mark set ct mark`],
  );
}

/** All that may have been redirected. IPv6 that was left alone changes as well: ours translates it in neither zone. */
const OWN_QUERIES = `oifname != "lo" ${NOT_FROM_ZTUNNEL} udp dport 53 counter ct zone set ${DNS_ZONE}`;
/** ztunnel's too, since no rule brings its answers into the zone. */
const ALL_QUERIES = `oifname != "lo" udp dport 53 counter ct original zone set ${DNS_ZONE}`;

const QUERIES_OF_ZTUNNEL = `${FROM_ZTUNNEL} udp dport 53 counter ct zone set ${DNS_ZONE}`;
const ANSWERS = `${NOT_FROM_ZTUNNEL} udp sport 53 counter ct zone set ${DNS_ZONE}`;

function rawTable(rules: PodRules): Table {
  const only = rules.ipv6 ? '' : 'meta nfproto ipv4 ';
  return rawTableOf([`${only}${ANSWERS}`], [`${only}${QUERIES_OF_ZTUNNEL}`]);
}

function leavingRawTable(ownNat: readonly Family[]): Table {
  if (ownNat.length === 0) return rawTableOf([ANSWERS], [QUERIES_OF_ZTUNNEL, OWN_QUERIES]);
  const all: readonly Family[] = [4, 6];
  const others = all.filter((family) => !ownNat.includes(family));
  const of = (families: readonly Family[], rule: string) =>
    families.map((family) => `meta nfproto ipv${family} ${rule}`);
  return rawTableOf(of(others, ANSWERS), [
    ...of(ownNat, ALL_QUERIES),
    ...of(others, QUERIES_OF_ZTUNNEL),
    ...of(others, OWN_QUERIES),
  ]);
}

function rawTableOf(prerouting: readonly string[], output: readonly string[]): Table {
  const hooks = {
    prerouting: 'type filter hook prerouting priority -300; policy accept;',
    output: 'type filter hook output priority -300; policy accept;',
  };
  return table(NFT_RAW, hooks, prerouting, output);
}

function natTable(rules: PodRules): Table {
  const families = familiesOf(rules);
  const perFamily = (render: (family: Family) => string) => families.map(render);
  const probe = (family: Family) => (family === 4 ? rules.probeSources.v4 : rules.probeSources.v6);
  const only = rules.ipv6 ? '' : 'meta nfproto ipv4 ';

  const virtual = rules.virtualInterfaces.flatMap((name) => [
    `${only}iifname "${name}" ${SYN} counter redirect to :${OUTBOUND_PORT}`,
    `${only}iifname "${name}" ${TCP} counter return`,
  ]);
  const inbound = rules.bypassInbound
    ? []
    : [
        ...perFamily((family) => `${word(family)} saddr ${probe(family)} ${TCP} counter accept`),
        ...perFamily(
          (family) =>
            `${notLoopback(family)} tcp dport != ${INBOUND_HBONE_PORT} ${NOT_FROM_ZTUNNEL} ${SYN} ` +
            `counter redirect to :${INBOUND_PLAINTEXT_PORT}`,
        ),
      ];
  const dns = rules.dnsCapture
    ? [
        `${only}oifname != "lo" ${NOT_FROM_ZTUNNEL} udp dport 53 counter redirect to :${DNS_CAPTURE_PORT}`,
        ...perFamily(
          (family) =>
            `${notLoopback(family)} tcp dport 53 ${NOT_FROM_ZTUNNEL} ${SYN} ` +
            `counter redirect to :${DNS_CAPTURE_PORT}`,
        ),
      ]
    : [];
  const outbound = [
    ...perFamily((family) => `${word(family)} daddr ${probe(family)} ${TCP} counter accept`),
    ...dns,
    `${only}${TCP} meta mark & ${MASK} == ${hex(RETURN_MARK)} counter accept`,
    ...perFamily((family) => `oifname "lo" ${notLoopback(family)} counter accept`),
    ...perFamily(
      (family) => `${notLoopback(family)} ${NOT_FROM_ZTUNNEL} ${SYN} counter redirect to :${OUTBOUND_PORT}`,
    ),
  ];
  const nat = table(NFT_NAT, NAT_HOOKS, [...virtual, ...inbound], outbound);
  return { ...nat, chains: [...nat.chains, ...guards(rules)] };
}

/**
 * Dropped, not reset: the SYN is sent again, and finds its way to ztunnel once the old entry is gone (10 s after a
 * reset, which a dropped SYN does not prolong). A reset would fail the caller, and prolong the entry.
 *
 * `ct status` never matches a packet that conntrack found invalid, so it may only excuse one, never condemn it. A
 * connection to 15006 itself is redirected to where it was going, which conntrack does not count as translation.
 */
function guards(rules: PodRules): readonly Chain[] {
  const families = familiesOf(rules);
  const probe = (family: Family) => (family === 4 ? rules.probeSources.v4 : rules.probeSources.v6);
  // In two comparisons, not in a set: what has sets is not copied from one namespace to another.
  const notToZtunnel = `tcp dport != ${INBOUND_PLAINTEXT_PORT} tcp dport != ${INBOUND_HBONE_PORT}`;
  const redirected = 'ct status dnat counter return';
  const input = families.map(
    (family) =>
      `iifname != "lo" ${word(family)} saddr != ${probe(family)} ${NOT_FROM_ZTUNNEL} ${SYN} ` +
      `${notToZtunnel} counter drop`,
  );
  const output = families.map(
    (family) =>
      `oifname != "lo" ${word(family)} daddr != ${probe(family)} ${NOT_FROM_ZTUNNEL} ${SYN} counter drop`,
  );
  const only = rules.ipv6 ? '' : 'meta nfproto ipv4 ';
  const forward = rules.virtualInterfaces.map((name) => `${only}iifname "${name}" ${SYN} counter drop`);
  const guard = (
    direction: 'input' | 'forward' | 'output',
    name: string,
    drops: readonly string[],
  ): readonly Chain[] => [
    { name, rules: [redirected, ...drops] },
    {
      name: `${direction}-guard`,
      hook: `type filter hook ${direction} priority 0; policy accept;`,
      rules: [`counter jump ${name}`],
    },
  ];
  return [
    ...(rules.bypassInbound ? [] : guard('input', NFT_INPUT_GUARD, input)),
    ...(forward.length === 0 ? [] : guard('forward', NFT_FORWARD_GUARD, forward)),
    ...guard('output', NFT_OUTPUT_GUARD, output),
  ];
}

function word(family: Family): string {
  return family === 4 ? 'ip' : 'ip6';
}

function notLoopback(family: Family): string {
  return family === 4 ? 'ip daddr != 127.0.0.1' : 'ip6 daddr != ::1';
}
