/** Where the rollout of a workload stands, read from its status as the controllers write it. */
import type { KubeObject } from '@ambit/kube/resource';
import { listOf, numberOf, objectOf, textOf } from '../../json-value.ts';
import { MAX_REASON_CHARS } from '../../limits.ts';
import { printable } from '../../table.ts';

export interface Rollout {
  readonly ready: boolean;
  /** `2 of 3 ready`, for progress and for what is said when time is up. */
  readonly state: string;
}

export function rolloutOf(kind: 'Deployment' | 'DaemonSet', workload: KubeObject | undefined): Rollout {
  if (!workload) return { ready: false, state: 'not there' };
  const { spec, status } = workload as KubeObject & { readonly spec?: unknown; readonly status?: unknown };
  const count = (name: string) => numberOf(objectOf(status)[name]) ?? 0;
  if (count('observedGeneration') < (workload.metadata.generation ?? 0))
    return { ready: false, state: 'not looked at by its controller yet' };
  if (kind === 'DaemonSet') {
    const wanted = count('desiredNumberScheduled');
    return stateOf(wanted, count('updatedNumberScheduled'), count('numberReady'), wanted);
  }
  const wanted = numberOf(objectOf(spec)['replicas']) ?? 1;
  return stateOf(wanted, count('updatedReplicas'), count('readyReplicas'), count('replicas'));
}

function stateOf(wanted: number, updated: number, ready: number, existing: number): Rollout {
  if (updated < wanted) return { ready: false, state: `${updated} of ${wanted} updated, ${ready} ready` };
  if (ready < wanted) return { ready: false, state: `${ready} of ${wanted} ready` };
  if (existing > wanted)
    return { ready: false, state: `${existing - wanted} of the version before still there` };
  return { ready: true, state: `${ready} of ${wanted} ready` };
}

/** Why a workload has no pod, where it says so itself. */
export function noPodReason(
  kind: 'Deployment' | 'DaemonSet',
  name: string,
  workload: KubeObject | undefined,
): string | undefined {
  if (!workload) return `there is no ${kind} ${name}`;
  const { spec, status } = workload as KubeObject & { readonly spec?: unknown; readonly status?: unknown };
  if (kind === 'Deployment' && objectOf(spec)['replicas'] === 0)
    return `its Deployment asks for 0 replicas; "kubectl scale -n ${workload.metadata.namespace ?? ''} deployment/${name} --replicas=1" brings one back`;
  if (kind === 'DaemonSet' && objectOf(status)['desiredNumberScheduled'] === 0)
    return 'no node fits its DaemonSet (its nodeSelector, and the taints of nodes)';
  const failed = listOf(objectOf(status)['conditions'])
    .map(objectOf)
    .find(({ type, status: is }) => type === 'ReplicaFailure' && is === 'True');
  return failed && `${textOf(failed['reason'])}: ${printable(textOf(failed['message']), MAX_REASON_CHARS)}`;
}
