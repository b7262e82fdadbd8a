/**
 * The same redirection as text for `iptables-restore --noflush` and `ip6tables-restore --noflush`, one per family.
 *
 * Invariant: as in the nftables text, only SYN packets are redirected. A chain's declaration empties it, and each jump
 * is deleted as often as it is there before it is added once, so a text may be applied twice. Each table is one
 * transaction. nat comes after what brings replies back. filter, the guards against a SYN that nat missed (see
 * `render-nft.ts`), comes after nat and goes before it: guards without redirects would cut the pod off.
 */
import type { Family } from '@ambit/core/ip';
import {
  DNS_CAPTURE_PORT,
  DNS_ZONE,
  hex,
  INBOUND_HBONE_PORT,
  INBOUND_PLAINTEXT_PORT,
  IPTABLES_FORWARD,
  IPTABLES_INPUT,
  IPTABLES_OUTPUT,
  IPTABLES_PREROUTING,
  IPTABLES_TABLES,
  MARK_MASK,
  OUTBOUND_PORT,
  RETURN_MARK,
  ZTUNNEL_MARK,
} from './constants.ts';
import type { PodRules } from './pod-rules.ts';

type TableName = (typeof IPTABLES_TABLES)[number];

/** Per table, the jumps to Istio's chains that are there now, as `iptables-save` writes them. */
export interface SavedTable {
  readonly chains: ReadonlySet<string>;
  readonly jumps: readonly string[];
}
export type SavedTables = ReadonlyMap<string, SavedTable>;

const FROM_ZTUNNEL = `-m mark --mark ${hex(ZTUNNEL_MARK)}/${hex(MARK_MASK)}`;
const NOT_FROM_ZTUNNEL = `-m mark ! --mark ${hex(ZTUNNEL_MARK)}/${hex(MARK_MASK)}`;
const RETURNING = `${hex(RETURN_MARK)}/${hex(MARK_MASK)}`;
const SYN = '-m tcp --tcp-flags FIN,SYN,RST,ACK SYN';

interface Place {
  readonly chains: readonly string[];
  readonly jumps: readonly string[];
}
const REDIRECTING: Place = {
  chains: [IPTABLES_PREROUTING, IPTABLES_OUTPUT],
  jumps: [`-A PREROUTING -j ${IPTABLES_PREROUTING}`, `-A OUTPUT -j ${IPTABLES_OUTPUT}`],
};
/** First in their chains: somebody else's ACCEPT would end the table before a guard at the end of it. */
const GUARDING: Place = {
  chains: [IPTABLES_INPUT, IPTABLES_FORWARD, IPTABLES_OUTPUT],
  jumps: [
    `-I INPUT 1 -j ${IPTABLES_INPUT}`,
    `-I FORWARD 1 -j ${IPTABLES_FORWARD}`,
    `-I OUTPUT 1 -j ${IPTABLES_OUTPUT}`,
  ],
};

/** What is Istio's in the output of `iptables-save`. Lines of other forms are other people's and left out. */
export function parseSaved(saved: string): SavedTables {
  const tables = new Map<string, { chains: Set<string>; jumps: string[] }>();
  let current: { chains: Set<string>; jumps: string[] } | undefined;
  for (const line of saved.split('\n')) {
    const name = /^\*([a-z]+)$/.exec(line)?.[1];
    if (name !== undefined) {
      current = { chains: new Set(), jumps: [] };
      tables.set(name, current);
    }
    const chain = /^:(ISTIO_[A-Z_]+) /.exec(line)?.[1];
    if (chain !== undefined) current?.chains.add(chain);
    if (/^-A (?!ISTIO_).* -[jg] ISTIO_[A-Z_]+$/.test(line)) current?.jumps.push(line);
  }
  return tables;
}

export function renderPodIptables(rules: PodRules, family: Family, saved: SavedTables): string {
  const wanted: Readonly<Record<TableName, readonly string[]>> = {
    mangle: mangleRules(),
    raw: rules.dnsCapture ? rawRules() : [],
    nat: natRules(rules, family),
    filter: filterRules(rules, family),
  };
  return IPTABLES_TABLES.map((name) => {
    if (wanted[name].length === 0) return tableRemoval(name, saved);
    return tableText(name, [
      ...declared(name, saved),
      ...deletions(name, saved),
      ...placeOf(name).jumps,
      ...wanted[name],
      ...strangers(name, saved),
    ]);
  }).join('');
}

/**
 * The first step of removal: see {@link renderPodNftWithoutRedirects}. The jumps stay, the chains are empty, but for the
 * zone of DNS: it changes last, since a query that is redirected in the other zone gets no answer.
 */
export function renderPodIptablesWithoutRedirects(saved: SavedTables): string {
  const wanted = { filter: [], nat: [], ...(capturesDns(saved) ? { raw: [LEAVING_QUERIES] } : {}) };
  return (Object.entries(wanted) as [TableName, readonly string[]][])
    .map(([name, rules]) => tableText(name, [...placeOf(name).chains.map(declaration), ...rules]))
    .join('');
}

/** Whether the pod's DNS is captured: the chains of zones come with it, and go last. */
export function capturesDns(saved: SavedTables): boolean {
  return (saved.get('raw')?.chains.size ?? 0) > 0;
}

/** The last step of removal. Empty if there is nothing of ours. */
export function renderPodIptablesRemoval(saved: SavedTables): string {
  return [...IPTABLES_TABLES]
    .reverse()
    .map((name) => tableRemoval(name, saved))
    .join('');
}

function placeOf(name: TableName): Place {
  return name === 'filter' ? GUARDING : REDIRECTING;
}

function tableText(name: TableName, lines: readonly string[]): string {
  return `*${name}\n${lines.map((line) => `${line}\n`).join('')}COMMIT\n`;
}

function tableRemoval(name: TableName, saved: SavedTables): string {
  const chains = [...(saved.get(name)?.chains ?? [])];
  if (chains.length === 0) return '';
  return tableText(name, [
    ...chains.map(declaration),
    ...deletions(name, saved),
    ...chains.map((chain) => `-X ${chain}`),
  ]);
}

function declaration(chain: string): string {
  return `:${chain} - [0:0]`;
}

/** Declaring also empties: the chains of other versions must be empty before they can go. */
function declared(name: TableName, saved: SavedTables): readonly string[] {
  const chains = new Set([...placeOf(name).chains, ...(saved.get(name)?.chains ?? [])]);
  return [...chains].map(declaration);
}

function deletions(name: TableName, saved: SavedTables): readonly string[] {
  return (saved.get(name)?.jumps ?? []).map((jump) => jump.replace(/^-A /, '-D '));
}

function strangers(name: TableName, saved: SavedTables): readonly string[] {
  return [...(saved.get(name)?.chains ?? [])]
    .filter((chain) => !placeOf(name).chains.includes(chain))
    .map((chain) => `-X ${chain}`);
}

function mangleRules(): readonly string[] {
  return [
    `-A ${IPTABLES_PREROUTING} ${FROM_ZTUNNEL} -j CONNMARK --set-xmark ${RETURNING}`,
    `-A ${IPTABLES_OUTPUT} -m connmark --mark ${RETURNING} -j CONNMARK --restore-mark ` +
      '--nfmask 0xffffffff --ctmask 0xffffffff',
  ];
}

/**
 * The zone of queries alone, ztunnel's too, with the reasons that `render-nft.ts` gives. Always: what iptables made of its nat
 * table goes on translating without our chains, so that nothing is in the way of a query.
 */
const LEAVING_QUERIES = `-A ${IPTABLES_OUTPUT} ! -o lo -p udp -m udp --dport 53 -j CT --zone-orig ${DNS_ZONE}`;

function rawRules(): readonly string[] {
  return [
    `-A ${IPTABLES_OUTPUT} -p udp ${FROM_ZTUNNEL} -m udp --dport 53 -j CT --zone ${DNS_ZONE}`,
    `-A ${IPTABLES_PREROUTING} -p udp ${NOT_FROM_ZTUNNEL} -m udp --sport 53 -j CT --zone ${DNS_ZONE}`,
  ];
}

function natRules(rules: PodRules, family: Family): readonly string[] {
  const loopback = family === 4 ? '127.0.0.1/32' : '::1/128';
  const probe = family === 4 ? rules.probeSources.v4 : rules.probeSources.v6;
  const redirect = (port: number) => `-j REDIRECT --to-ports ${port}`;
  const virtual = rules.virtualInterfaces.flatMap((name) => [
    `-A ${IPTABLES_PREROUTING} -i ${name} -p tcp ${SYN} ${redirect(OUTBOUND_PORT)}`,
    `-A ${IPTABLES_PREROUTING} -i ${name} -p tcp -j RETURN`,
  ]);
  const inbound = rules.bypassInbound
    ? []
    : [
        `-A ${IPTABLES_PREROUTING} -s ${probe} -p tcp -m tcp -j ACCEPT`,
        `-A ${IPTABLES_PREROUTING} ! -d ${loopback} -p tcp ${SYN} ! --dport ${INBOUND_HBONE_PORT} ` +
          `${NOT_FROM_ZTUNNEL} ${redirect(INBOUND_PLAINTEXT_PORT)}`,
      ];
  const dns = rules.dnsCapture
    ? [
        `-A ${IPTABLES_OUTPUT} ! -o lo -p udp ${NOT_FROM_ZTUNNEL} -m udp --dport 53 ${redirect(DNS_CAPTURE_PORT)}`,
        `-A ${IPTABLES_OUTPUT} ! -d ${loopback} -p tcp ${SYN} --dport 53 ${NOT_FROM_ZTUNNEL} ` +
          `${redirect(DNS_CAPTURE_PORT)}`,
      ]
    : [];
  return [
    ...virtual,
    ...inbound,
    `-A ${IPTABLES_OUTPUT} -d ${probe} -p tcp -m tcp -j ACCEPT`,
    ...dns,
    `-A ${IPTABLES_OUTPUT} -p tcp -m mark --mark ${RETURNING} -j ACCEPT`,
    `-A ${IPTABLES_OUTPUT} ! -d ${loopback} -o lo -j ACCEPT`,
    `-A ${IPTABLES_OUTPUT} ! -d ${loopback} -p tcp ${SYN} ${NOT_FROM_ZTUNNEL} ${redirect(OUTBOUND_PORT)}`,
  ];
}

/** The guards, with the reasons that `render-nft.ts` gives. Unlike nft's `ct status`, `! --ctstate` matches what is invalid. */
function filterRules(rules: PodRules, family: Family): readonly string[] {
  const probe = family === 4 ? rules.probeSources.v4 : rules.probeSources.v6;
  const untranslated = '-m conntrack ! --ctstate DNAT';
  const missed = `-p tcp ${SYN} ${NOT_FROM_ZTUNNEL} ${untranslated}`;
  const forward = rules.virtualInterfaces.map(
    (name) => `-A ${IPTABLES_FORWARD} -i ${name} -p tcp ${SYN} ${untranslated} -j DROP`,
  );
  const toZtunnel = `${INBOUND_PLAINTEXT_PORT},${INBOUND_HBONE_PORT}`;
  const input = rules.bypassInbound
    ? []
    : [`-A ${IPTABLES_INPUT} ! -s ${probe} ! -i lo ${missed} -m multiport ! --dports ${toZtunnel} -j DROP`];
  return [...input, ...forward, `-A ${IPTABLES_OUTPUT} ! -d ${probe} ! -o lo ${missed} -j DROP`];
}
