/**
 * The node's own rules: connections that the node itself opens to an enrolled pod get a source address that the pod's
 * rules let through, so that the kubelet's probes work under any policy.
 *
 * Forwarded packets have no socket here and never match, so nothing that comes from elsewhere can borrow that source.
 * An element's comment is the pod's UID: addresses are reused, and a pod that is going must not take its successor's.
 */
import type { Family } from '@ambit/core/ip';
import { familyOf } from '@ambit/core/ip';
import { IPTABLES_POSTROUTING, NFT_NAT, PROBE_SET_V4, PROBE_SET_V6 } from './constants.ts';
import type { ProbeSources } from './pod-rules.ts';

export interface HostRules {
  readonly ipv6: boolean;
  readonly probeSources: ProbeSources;
  /** User of the kubelet's process; `undefined` lets any process of the node match. */
  readonly kubeletUid?: number;
}

/** One address of one enrolled pod. */
export interface ProbedPod {
  /** Canonical. */
  readonly ip: string;
  readonly uid: string;
}

/** A pod's UID as it may stand in a rule file: what the API server makes, or a static pod's hash. */
export function isPodUid(text: string): boolean {
  return /^[A-Za-z0-9-]{1,64}$/.test(text);
}

const SNAT_BEFORE_OTHERS = 99;

/** The whole table in one transaction, in place of whatever it held. */
export function renderHostNft(rules: HostRules, pods: readonly ProbedPod[]): string {
  const socket = rules.kubeletUid === undefined ? 'meta skuid >= 0' : `meta skuid ${rules.kubeletUid}`;
  const families: readonly Family[] = rules.ipv6 ? [4, 6] : [4];
  const sets = families.map((family) => {
    const elements = pods.filter(({ ip }) => familyOf(ip) === family).map(elementText);
    const type = family === 4 ? 'ipv4_addr' : 'ipv6_addr';
    const content = elements.length === 0 ? '' : `\t\telements = { ${elements.join(', ')} }\n`;
    return `\tset ${setOf(family)} {\n\t\ttype ${type}\n${content}\t}\n`;
  });
  const snats = families.map((family) => {
    const word = family === 4 ? 'ip' : 'ip6';
    const source = family === 4 ? rules.probeSources.v4 : rules.probeSources.v6;
    return `\t\tmeta l4proto tcp ${socket} ${word} daddr @${setOf(family)} counter snat ${word} to ${source}\n`;
  });
  return (
    `${renderHostNftRemoval()}table inet ${NFT_NAT} {\n${sets.join('')}\tchain postrouting {\n` +
    `\t\ttype nat hook postrouting priority ${SNAT_BEFORE_OTHERS}; policy accept;\n${snats.join('')}\t}\n}\n`
  );
}

export function renderHostNftRemoval(): string {
  return `add table inet ${NFT_NAT}\ndelete table inet ${NFT_NAT}\n`;
}

/**
 * @param isThere - Whether an address may be in its set: it goes first then, since it would keep its old comment. Others are
 * only added: the kernel has nft wait for what a transaction deletes.
 */
export function renderProbeAddition(pods: readonly ProbedPod[], isThere: (ip: string) => boolean): string {
  return pods
    .map((pod) => {
      const removal = isThere(pod.ip) ? renderProbeRemoval([pod.ip]) : '';
      return `${removal}add element inet ${NFT_NAT} ${setOf(familyOf(pod.ip))} { ${elementText(pod)} }\n`;
    })
    .join('');
}

export function renderProbeRemoval(ips: readonly string[]): string {
  return ips
    .map((ip) => {
      const set = `inet ${NFT_NAT} ${setOf(familyOf(ip))}`;
      return `add element ${set} { ${ip} }\ndelete element ${set} { ${ip} }\n`;
    })
    .join('');
}

/** For `ipset restore`: both sets, emptied, with `pods` in them. */
export function renderIpsets(rules: HostRules, pods: readonly ProbedPod[]): string {
  const families: readonly Family[] = rules.ipv6 ? [4, 6] : [4];
  const created = families.flatMap((family) => [
    `create -exist ${setOf(family)} hash:ip family ${family === 4 ? 'inet' : 'inet6'} comment`,
    `flush ${setOf(family)}`,
  ]);
  return `${created.join('\n')}\n${renderIpsetAddition(pods)}`;
}

export function renderIpsetAddition(pods: readonly ProbedPod[]): string {
  return pods.map(({ ip, uid }) => `add -exist ${setOf(familyOf(ip))} ${ip} comment "${uid}"\n`).join('');
}

export function renderIpsetRemoval(ips: readonly string[]): string {
  return ips.map((ip) => `del -exist ${setOf(familyOf(ip))} ${ip}\n`).join('');
}

/** @param there - Names of all sets that there are. */
export function renderIpsetDestruction(there: ReadonlySet<string>): string {
  return [PROBE_SET_V4, PROBE_SET_V6]
    .filter((set) => there.has(set))
    .map((set) => `destroy ${set}\n`)
    .join('');
}

/** For `iptables-restore --noflush`; `jumps` is how many jumps to our chain there are now. */
export function renderHostIptables(rules: HostRules, family: Family, jumps: number): string {
  const source = family === 4 ? rules.probeSources.v4 : rules.probeSources.v6;
  const owner =
    rules.kubeletUid === undefined ? '--socket-exists' : `--socket-exists --uid-owner ${rules.kubeletUid}`;
  return (
    `*nat\n:${IPTABLES_POSTROUTING} - [0:0]\n${jumpDeletions(jumps)}` +
    `-I POSTROUTING 1 -j ${IPTABLES_POSTROUTING}\n` +
    `-A ${IPTABLES_POSTROUTING} -m owner ${owner} -p tcp -m set --match-set ${setOf(family)} dst ` +
    `-j SNAT --to-source ${source}\nCOMMIT\n`
  );
}

/** @param saved - What `iptables-save` wrote. `undefined`: our chain is not there. */
export function jumpsInSaved(saved: string): number | undefined {
  if (!saved.includes(`\n:${IPTABLES_POSTROUTING} `)) return undefined;
  return saved.split(`-A POSTROUTING -j ${IPTABLES_POSTROUTING}\n`).length - 1;
}

export function renderHostIptablesRemoval(jumps: number): string {
  return (
    `*nat\n:${IPTABLES_POSTROUTING} - [0:0]\n${jumpDeletions(jumps)}` + `-X ${IPTABLES_POSTROUTING}\nCOMMIT\n`
  );
}

function jumpDeletions(count: number): string {
  return `-D POSTROUTING -j ${IPTABLES_POSTROUTING}\n`.repeat(count);
}

export function setOf(family: Family): string {
  return family === 4 ? PROBE_SET_V4 : PROBE_SET_V6;
}

function elementText({ ip, uid }: ProbedPod): string {
  return `${ip} comment "${uid}"`;
}
