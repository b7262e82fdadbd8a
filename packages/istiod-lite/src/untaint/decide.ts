/** Whether a node may lose the taint that keeps pods off until its node agent can enrol them. Pure. */
import { isEnding } from '@ambit/kube/resource';
import type { Node, Pod, Taint } from '@ambit/kube/resources/core';

/** How Istio's charts, and ours, label the pods of the node agent. */
const AGENT_LABEL = 'k8s-app';
const AGENT_NAME = 'istio-cni-node';

/** The node on which `pod` is a node agent that can enrol pods now; `undefined` for every other pod. */
export function nodeServedBy(pod: Pod, agentNamespace: string): string | undefined {
  const { metadata, spec, status } = pod;
  if (metadata.namespace !== agentNamespace || metadata.labels?.[AGENT_LABEL] !== AGENT_NAME)
    return undefined;
  if (isEnding(pod)) return undefined;
  const ready = status?.conditions?.some((one) => one.type === 'Ready' && one.status === 'True') ?? false;
  return ready ? spec?.nodeName : undefined;
}

/** What the node's taints are without those of `key`; `undefined` if it has none of them. */
export function taintsWithout({ spec }: Node, key: string): readonly Taint[] | undefined {
  const taints = spec?.taints ?? [];
  const left = taints.filter((taint) => taint.key !== key);
  return left.length === taints.length ? undefined : left;
}
