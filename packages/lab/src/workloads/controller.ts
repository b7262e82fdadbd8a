/**
 * Keeps the pods of DaemonSets and Deployments; no ReplicaSets: a Deployment owns its pods itself in the lab. An autoscaler
 * is held to its least and its most, since nothing measures here.
 */
import type { Collection } from '@ambit/collections/collection';
import type { Clock, Random } from '@ambit/core/clock';
import type { Logger } from '@ambit/core/log';
import type { KubeClient } from '@ambit/kube/client';
import { isConflict, isNotFound } from '@ambit/kube/errors';
import type { Resource } from '@ambit/kube/resource';
import {
  type DaemonSet,
  type Deployment,
  daemonSets,
  deployments,
  type Pod,
  pods as podResource,
} from '@ambit/kube/resources/core';
import type { HorizontalPodAutoscaler } from '@ambit/kube/resources/scaling';
import { following } from '../cluster/controllers.ts';
import { Reconciler } from '../cluster/reconciler.ts';
import {
  isReady,
  ownedBy,
  type Plan,
  planDaemonSet,
  planDeployment,
  scaled,
  type Workload,
} from './template.ts';

export interface WorkloadInputs {
  readonly client: KubeClient;
  readonly pods: Collection<string, Pod>;
  readonly daemonSets: Collection<string, DaemonSet>;
  readonly deployments: Collection<string, Deployment>;
  readonly autoscalers: Collection<string, HorizontalPodAutoscaler>;
  readonly nodeNames: readonly string[];
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

export function workloadController(inputs: WorkloadInputs): AsyncDisposable {
  const { client, clock, log, random } = inputs;
  const written = new Map<string, string>();
  const randomName = () =>
    Math.floor(random() * 36 ** 5)
      .toString(36)
      .padStart(5, '0');

  const carryOut = async ({ create, remove }: Plan, signal: AbortSignal) => {
    for (const pod of create)
      await client.create(podResource, pod, {}, signal).catch(ignoring((error) => isConflict(error)));
    for (const { metadata } of remove)
      await client.delete(podResource, metadata, {}, signal).catch(ignoring((error) => isNotFound(error)));
  };
  const writeStatus = async (workload: Workload, status: object, signal: AbortSignal) => {
    const text = JSON.stringify(status);
    const key = workload.metadata.uid ?? '';
    if (written.get(key) === text) return;
    const resource: Resource = workload.kind === 'DaemonSet' ? daemonSets : deployments;
    const patch = { type: 'merge', body: { status } } as const;
    await client.patch(resource, workload.metadata, patch, { subresource: 'status' }, signal);
    written.set(key, text);
  };

  const reconciler = new Reconciler({
    name: 'workloads',
    clock,
    log,
    reconcile: async (signal) => {
      for (const one of inputs.daemonSets.values()) {
        const workload: Workload = { ...one, kind: 'DaemonSet' };
        const owned = ownedBy(workload, inputs.pods.values());
        const leaving = workload.metadata.deletionTimestamp !== undefined;
        if (!leaving) await carryOut(planDaemonSet(workload, owned, inputs.nodeNames), signal);
        await writeStatus(workload, daemonSetStatus(workload, owned, inputs.nodeNames.length), signal);
      }
      for (const one of inputs.deployments.values()) {
        const workload: Workload = { ...scaled(one, inputs.autoscalers.values()), kind: 'Deployment' };
        const owned = ownedBy(workload, inputs.pods.values());
        const leaving = workload.metadata.deletionTimestamp !== undefined;
        if (!leaving) await carryOut(planDeployment(workload, owned, randomName), signal);
        await writeStatus(workload, deploymentStatus(workload, owned), signal);
      }
    },
  });
  return following(reconciler, [inputs.daemonSets, inputs.deployments, inputs.autoscalers, inputs.pods]);
}

function daemonSetStatus({ metadata }: Workload, owned: readonly Pod[], nodes: number): object {
  const ready = owned.filter(isReady).length;
  return {
    observedGeneration: metadata.generation ?? 0,
    desiredNumberScheduled: nodes,
    currentNumberScheduled: owned.length,
    updatedNumberScheduled: owned.length,
    numberMisscheduled: 0,
    numberReady: ready,
    numberAvailable: ready,
  };
}

function deploymentStatus({ metadata }: Workload, owned: readonly Pod[]): object {
  const ready = owned.filter(isReady).length;
  return {
    observedGeneration: metadata.generation ?? 0,
    replicas: owned.length,
    updatedReplicas: owned.length,
    readyReplicas: ready,
    availableReplicas: ready,
  };
}

function ignoring(expected: (error: unknown) => boolean): (error: unknown) => undefined {
  return (error) => {
    if (!expected(error)) throw error;
    return undefined;
  };
}
