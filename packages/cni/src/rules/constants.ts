/**
 * The numbers and names that the redirection rules, ztunnel and Istio's own tools agree on.
 *
 * They are an interface: ztunnel sets the packet mark, `istioctl` and operators look for the tables, and an agent of
 * Istio's must recognise what ours left in a pod. None may change alone.
 */

/** What ztunnel marks its own packets with, so that they are not captured again. */
export const ZTUNNEL_MARK = 0x539;
/** What a connection carries that ztunnel opened with somebody else's source address. */
export const RETURN_MARK = 0x111;
/** Both marks live in the low twelve bits; the rest belongs to others. */
export const MARK_MASK = 0xfff;

/** Where packets with {@link RETURN_MARK} find their way back to ztunnel: everything is local there. */
export const RETURN_TABLE = 100;
export const RETURN_RULE_PRIORITY = 32_764;

export const OUTBOUND_PORT = 15_001;
export const INBOUND_PLAINTEXT_PORT = 15_006;
export const INBOUND_HBONE_PORT = 15_008;
export const DNS_CAPTURE_PORT = 15_053;

/** The conntrack zone of ztunnel's own DNS queries: an application's query may have the very same addresses. */
export const DNS_ZONE = 1;

/** Source of every connection that the kubelet opens to an enrolled pod, unless the settings name another. */
export const PROBE_SOURCE_V4 = '169.254.7.127';
export const PROBE_SOURCE_V6 = 'fd16:9254:7127:1337:ffff:ffff:ffff:ffff';
export const PROBE_SET_V4 = 'istio-inpod-probes-v4';
export const PROBE_SET_V6 = 'istio-inpod-probes-v6';

export const NFT_MANGLE = 'istio-ambient-mangle';
export const NFT_NAT = 'istio-ambient-nat';
export const NFT_RAW = 'istio-ambient-raw';
export const NFT_TABLES = [NFT_MANGLE, NFT_RAW, NFT_NAT] as const;
export const NFT_PREROUTING = 'istio-prerouting';
export const NFT_OUTPUT = 'istio-output';
/** Ours: Istio needs no such chains, since it redirects packets in the middle of a connection as well. */
export const NFT_INPUT_GUARD = 'ambit-input-guard';
export const NFT_FORWARD_GUARD = 'ambit-forward-guard';
export const NFT_OUTPUT_GUARD = 'ambit-output-guard';

export const IPTABLES_PREROUTING = 'ISTIO_PRERT';
export const IPTABLES_OUTPUT = 'ISTIO_OUTPUT';
/** Ours, and yet named so: chains are known by the prefix when they are replaced and removed. */
export const IPTABLES_INPUT = 'ISTIO_INPUT';
export const IPTABLES_FORWARD = 'ISTIO_FORWARD';
export const IPTABLES_POSTROUTING = 'ISTIO_POSTRT';
/** In the order in which they come into force; they go in the opposite order. */
export const IPTABLES_TABLES = ['mangle', 'raw', 'nat', 'filter'] as const;

export function hex(value: number): string {
  return `0x${value.toString(16)}`;
}
