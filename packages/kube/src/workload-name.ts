/** What a pod is an instance of, for telemetry: the name of its Deployment, CronJob or other owner. Pure. */
import type { Pod } from './resources/core.ts';

export interface CanonicalNames {
  readonly workloadName: string;
  readonly canonicalName: string;
  readonly canonicalRevision: string;
}

export function canonicalNames(pod: Pod): CanonicalNames {
  const labels = pod.metadata.labels ?? {};
  const workloadName = workloadNameOf(pod);
  return {
    workloadName,
    canonicalName:
      labels['service.istio.io/canonical-name'] ??
      labels['app.kubernetes.io/name'] ??
      labels['app'] ??
      workloadName,
    canonicalRevision:
      labels['service.istio.io/canonical-revision'] ??
      labels['app.kubernetes.io/version'] ??
      labels['version'] ??
      'latest',
  };
}

/** A CronJob's jobs end with the minute they were made for. */
const CRON_JOB = /^(.+)-\d{8,10}$/;

function workloadNameOf({ metadata }: Pod): string {
  const labels = metadata.labels ?? {};
  const named = labels['service.istio.io/workload-name'];
  if (named) return named;
  const owner = metadata.ownerReferences?.find(({ controller }) => controller === true);
  if (!owner) return metadata.name;
  switch (owner.kind) {
    case 'ReplicaSet': {
      const hash = labels['rollouts-pod-template-hash'] ?? labels['pod-template-hash'];
      return hash && owner.name.endsWith(`-${hash}`) ? owner.name.slice(0, -hash.length - 1) : owner.name;
    }
    case 'ReplicationController':
      return labels['deployment-config.name'] ?? owner.name;
    case 'Job':
      return CRON_JOB.exec(owner.name)?.[1] ?? owner.name;
    default:
      return owner.name;
  }
}
