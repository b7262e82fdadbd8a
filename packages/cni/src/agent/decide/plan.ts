/** What is to be done about a pod, from what it is now and whether we hold it. Pure. */
import type { Pod } from '@ambit/kube/resources/core';
import { parseIp } from '@ambit/core/ip';
import { VIRTUAL_INTERFACES_MAX } from '../../limits.ts';
import {
  BYPASS_INBOUND_ANNOTATION,
  DNS_CAPTURE_ANNOTATION,
  REDIRECTION_ANNOTATION,
  VIRTUAL_INTERFACES_ANNOTATION,
} from '../../names.ts';
import type { PodRules, ProbeSources } from '../../rules/pod-rules.ts';
import { isInterfaceName } from '../../rules/pod-rules.ts';
import type { Eligibility } from './eligibility.ts';

/**
 * `enrol`: bring it into the mesh, or finish that. `release`: take it out, its namespace lives. `forget`: it is gone, or
 * its programs have ended. `nothing` says why.
 */
export type Plan =
  | { readonly action: 'enrol' }
  | { readonly action: 'release' }
  | { readonly action: 'forget' }
  | { readonly action: 'nothing'; readonly reason: string };

/** @param held - Whether this agent has the pod enrolled, wholly or in part. */
export function planFor(pod: Pod | undefined, eligible: Eligibility, held: boolean): Plan {
  if (!pod) return held ? { action: 'forget' } : { action: 'nothing', reason: 'there is no such pod' };
  const marked = isMarked(pod);
  if (hasEnded(pod)) {
    return held || marked ? { action: 'forget' } : { action: 'nothing', reason: 'its programs have ended' };
  }
  if (!eligible.eligible) {
    return held || marked ? { action: 'release' } : { action: 'nothing', reason: eligible.reason };
  }
  if (held && marked) return { action: 'nothing', reason: 'it is enrolled' };
  if (podIps(pod).length === 0) return { action: 'nothing', reason: 'it has no address yet' };
  return { action: 'enrol' };
}

export function isMarked(pod: Pod): boolean {
  const value = pod.metadata.annotations?.[REDIRECTION_ANNOTATION];
  return value === 'enabled' || value === 'pending';
}

export function hasEnded({ status }: Pod): boolean {
  return status?.phase === 'Succeeded' || status?.phase === 'Failed';
}

/** Canonical. */
export function podIps({ status }: Pod): readonly string[] {
  const listed = (status?.podIPs ?? []).map(({ ip }) => ip);
  const all = listed.length > 0 ? listed : status?.podIP === undefined ? [] : [status.podIP];
  return all.flatMap((ip) => parseIp(ip) ?? []);
}

export interface RuleDefaults {
  readonly ipv6: boolean;
  readonly dnsCapture: boolean;
  readonly probeSources: ProbeSources;
}

/** The pod's rules: the node's defaults, and what its annotations say. An annotation that cannot be read is not there. */
export function rulesFor(pod: Pod, defaults: RuleDefaults): PodRules {
  const annotations = pod.metadata.annotations ?? {};
  return {
    ipv6: defaults.ipv6,
    probeSources: defaults.probeSources,
    dnsCapture: parseBool(annotations[DNS_CAPTURE_ANNOTATION]) ?? defaults.dnsCapture,
    bypassInbound: bypassesInbound(pod),
    virtualInterfaces: (annotations[VIRTUAL_INTERFACES_ANNOTATION] ?? '')
      .split(',')
      .map((name) => name.trim())
      .filter(isInterfaceName)
      .slice(0, VIRTUAL_INTERFACES_MAX),
  };
}

/** Whether the pod wants connections to it left alone. */
export function bypassesInbound({ metadata: { annotations } }: Pod): boolean {
  return parseBool(annotations?.[BYPASS_INBOUND_ANNOTATION]) ?? false;
}

/** Go's spellings of truth. */
export function parseBool(text: string | undefined): boolean | undefined {
  if (text === undefined) return undefined;
  if (['1', 't', 'T', 'true', 'TRUE', 'True'].includes(text)) return true;
  return ['0', 'f', 'F', 'false', 'FALSE', 'False'].includes(text) ? false : undefined;
}
