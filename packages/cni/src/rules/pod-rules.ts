/** What one pod's redirection should be: everything that rendering needs, whatever renders it. */
import type { Family } from '@ambit/core/ip';

export interface ProbeSources {
  /** Canonical addresses that the kubelet's connections come from, after the host's SNAT. */
  readonly v4: string;
  readonly v6: string;
}

export interface PodRules {
  /** Without it, IPv6 packets are not touched: neither captured nor marked. */
  readonly ipv6: boolean;
  readonly dnsCapture: boolean;
  /** Ingress mode: plain connections into the pod are not captured; HBONE still reaches 15008. */
  readonly bypassInbound: boolean;
  /** Interfaces behind which others live (virtual machines); what they send is captured as outbound. */
  readonly virtualInterfaces: readonly string[];
  readonly probeSources: ProbeSources;
}

export function familiesOf(rules: Pick<PodRules, 'ipv6'>): readonly Family[] {
  return rules.ipv6 ? [4, 6] : [4];
}

/** As the kernel allows interface names, less whatever a rule file could take for its own punctuation. */
export function isInterfaceName(text: string): boolean {
  return /^[A-Za-z0-9_][A-Za-z0-9_.@-]{0,14}$/.test(text);
}
