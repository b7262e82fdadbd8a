/** Where the rollout of a workload stands, read from its status as the controllers write it. */
import type { KubeObject } from '@ambit/kube/resource';
import { numberOf, objectOf } from '../../json-value.ts';

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
