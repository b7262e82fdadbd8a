/** What a pod is an instance of, for telemetry: the name of its Deployment, CronJob or other owner. Pure. */
import type { Labels } from './label-selector.ts';
import type { Pod } from './resources/core.ts';

export interface CanonicalNames {
  readonly workloadName: string;
  readonly canonicalName: string;
  readonly canonicalRevision: string;
}

export function canonicalNames(pod: Pod): CanonicalNames {
  return canonicalNamesBy(pod.metadata.labels, workloadNameOf(pod));
}

/** What labels say, of anything that has some. */
export function canonicalNamesBy(labels: Labels | undefined, workloadName: string): CanonicalNames {
  const first = (...keys: readonly string[]) =>
    keys.map((key) => labels?.[key]).find((value) => value !== undefined);
  return {
    workloadName,
    canonicalName: first('service.istio.io/canonical-name', 'app.kubernetes.io/name', 'app') ?? workloadName,
    canonicalRevision:
      first('service.istio.io/canonical-revision', 'app.kubernetes.io/version', 'version') ?? 'latest',
  };
}

export const WORKLOAD_NAME_LABEL = 'service.istio.io/workload-name';

/** A CronJob's jobs end with the minute they were made for. */
const CRON_JOB = /^(.+)-\d{8,10}$/;

function workloadNameOf({ metadata }: Pod): string {
  const labels = metadata.labels ?? {};
  const named = labels[WORKLOAD_NAME_LABEL];
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
