/** The pods that a DaemonSet or a Deployment should have, and what to do about those it has. Pure. */
import { createHash } from 'node:crypto';
import type { KubeObject } from '@ambit/kube/resource';
import type { DaemonSet, Deployment, Pod } from '@ambit/kube/resources/core';
import type { HorizontalPodAutoscaler } from '@ambit/kube/resources/scaling';

const HASH_LABEL = 'pod-template-hash';

export type Workload = (DaemonSet | Deployment) & { readonly kind: 'DaemonSet' | 'Deployment' };

/** What to make and whom to delete, now; the rest follows when these are through. */
export interface Plan {
  readonly create: readonly Pod[];
  readonly remove: readonly Pod[];
}

/** Which pods a workload owns. */
export function ownedBy(workload: KubeObject, pods: Iterable<Pod>): readonly Pod[] {
  return [...pods].filter(({ metadata }) =>
    metadata.ownerReferences?.some(({ uid, controller }) => controller && uid === workload.metadata.uid),
  );
}

/**
 * One pod of a DaemonSet on each node. When the template changes, the new pod comes first and the old one goes when that
 * is ready (`maxSurge`), or the old one goes first (Kubernetes' default).
 */
export function planDaemonSet(workload: Workload, owned: readonly Pod[], nodes: readonly string[]): Plan {
  const hash = templateHash(workload);
  const surge = maxSurge(workload) > 0;
  const create: Pod[] = [];
  const remove: Pod[] = [];
  for (const node of nodes) {
    const here = owned.filter((pod) => pod.spec?.nodeName === node && !isLeaving(pod));
    const current = here.filter((pod) => pod.metadata.labels?.[HASH_LABEL] === hash);
    const old = here.filter((pod) => !current.includes(pod));
    const leaving = owned.some((pod) => pod.spec?.nodeName === node && isLeaving(pod));
    if (current.length === 0 && (surge || (old.length === 0 && !leaving)))
      create.push(podFrom(workload, hash, `${hash}-${node}`, node));
    if (!surge || current.some(isReady)) remove.push(...old);
    remove.push(...current.slice(1));
  }
  return { create, remove };
}

/** As many pods as a Deployment asks for, of the current template; old ones go when enough new ones are ready. */
export function planDeployment(workload: Workload, owned: readonly Pod[], name: () => string): Plan {
  const hash = templateHash(workload);
  const { replicas = 1 } = (workload as Deployment).spec ?? {};
  const here = owned.filter((pod) => !isLeaving(pod) && pod.status?.phase !== 'Failed');
  const current = here.filter((pod) => pod.metadata.labels?.[HASH_LABEL] === hash);
  const old = here.filter((pod) => !current.includes(pod));
  const missing = Math.max(0, replicas - current.length);
  const enough = current.filter(isReady).length >= Math.min(replicas, current.length + missing);
  return {
    create: Array.from({ length: missing }, () => podFrom(workload, hash, `${hash}-${name()}`, undefined)),
    remove: [...(enough && missing === 0 ? old : []), ...current.slice(replicas)],
  };
}

/** The Deployment with as many replicas as its autoscaler lets it have. */
export function scaled(deployment: Deployment, autoscalers: Iterable<HorizontalPodAutoscaler>): Deployment {
  const { namespace, name } = deployment.metadata;
  const found = [...autoscalers].find(
    ({ metadata, spec }) =>
      metadata.namespace === namespace &&
      spec?.scaleTargetRef?.kind === 'Deployment' &&
      spec.scaleTargetRef.name === name,
  );
  const { minReplicas = 1, maxReplicas = Number.MAX_SAFE_INTEGER } = found?.spec ?? {};
  if (!found) return deployment;
  const replicas = Math.min(Math.max(deployment.spec?.replicas ?? 1, minReplicas), maxReplicas);
  return { ...deployment, spec: { ...deployment.spec, replicas } };
}

export function isReady({ status }: Pod): boolean {
  return (status?.conditions ?? []).some(
    (condition) => condition.type === 'Ready' && condition.status === 'True',
  );
}

function isLeaving({ metadata }: Pod): boolean {
  return metadata.deletionTimestamp !== undefined;
}

function podFrom(workload: Workload, hash: string, suffix: string, node: string | undefined): Pod {
  const { metadata, kind } = workload;
  const template = workload.spec?.template ?? {};
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name: `${metadata.name}-${suffix}`,
      ...(metadata.namespace !== undefined && { namespace: metadata.namespace }),
      labels: { ...template.metadata?.labels, [HASH_LABEL]: hash },
      ...(template.metadata?.annotations && { annotations: template.metadata.annotations }),
      ownerReferences: [
        { apiVersion: 'apps/v1', kind, name: metadata.name, uid: metadata.uid ?? '', controller: true },
      ],
    },
    spec: { ...template.spec, ...(node !== undefined && { nodeName: node }) },
  };
}

export function templateHash({ spec }: Workload): string {
  return createHash('sha256')
    .update(JSON.stringify(spec?.template ?? {}))
    .digest('hex')
    .slice(0, 8);
}

function maxSurge({ spec }: Workload): number {
  const { updateStrategy } = (spec ?? {}) as {
    readonly updateStrategy?: { readonly rollingUpdate?: { readonly maxSurge?: number | string } };
  };
  return Number.parseInt(String(updateStrategy?.rollingUpdate?.maxSurge ?? 0), 10);
}
