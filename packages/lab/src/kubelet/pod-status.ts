/** The status of a pod as the API shows it, from what its kubelet knows. Pure. */
import type { Condition, Pod } from '@ambit/kube/resources/core';

export type ContainerPhase =
  | { readonly kind: 'waiting'; readonly reason: string; readonly message?: string }
  | { readonly kind: 'running'; readonly startedAt: string }
  | TerminatedPhase;

export interface TerminatedPhase {
  readonly kind: 'terminated';
  readonly exitCode: number;
  readonly signal: string | undefined;
  readonly startedAt: string;
  readonly finishedAt: string;
}

export interface ContainerView {
  readonly name: string;
  readonly image: string;
  readonly containerId: string;
  readonly phase: ContainerPhase;
  readonly last: TerminatedPhase | undefined;
  readonly restarts: number;
  readonly ready: boolean;
}

export interface PodView {
  readonly hostIp: string;
  readonly podIps: readonly string[];
  readonly startTime: string;
  readonly initialized: boolean;
  readonly containers: readonly ContainerView[];
  readonly initContainers: readonly ContainerView[];
}

export type PodPhase = 'Pending' | 'Running' | 'Succeeded' | 'Failed';

export function phaseOf({ containers, initialized }: PodView, restartPolicy: string): PodPhase {
  if (!initialized || containers.some(({ phase, restarts }) => phase.kind === 'waiting' && restarts === 0))
    return 'Pending';
  const ended = containers.map(({ phase }) => phase).filter((phase) => phase.kind === 'terminated');
  if (restartPolicy === 'Always' || ended.length < containers.length) return 'Running';
  return ended.every(({ exitCode }) => exitCode === 0) ? 'Succeeded' : 'Failed';
}

/** @param now - For conditions that change now; others keep the time they have. */
export function statusOf(view: PodView, pod: Pod, now: string): NonNullable<Pod['status']> & object {
  const phase = phaseOf(view, pod.spec?.restartPolicy ?? 'Always');
  const ready = phase === 'Running' && view.containers.every((container) => container.ready);
  const notReady = view.containers.filter((container) => !container.ready).map(({ name }) => name);
  const unready = ready
    ? {}
    : { reason: 'ContainersNotReady', message: `containers with unready status: [${notReady.join(' ')}]` };
  const truth = (value: boolean) => (value ? 'True' : 'False');
  const conditions: readonly Condition[] = [
    { type: 'PodReadyToStartContainers', status: truth(view.podIps.length > 0) },
    { type: 'Initialized', status: truth(view.initialized) },
    { type: 'Ready', status: truth(ready), ...unready },
    { type: 'ContainersReady', status: truth(ready), ...unready },
    { type: 'PodScheduled', status: 'True' },
  ];
  const [podIP] = view.podIps;
  return {
    phase,
    hostIP: view.hostIp,
    ...(podIP !== undefined && { podIP, podIPs: view.podIps.map((ip) => ({ ip })) }),
    startTime: view.startTime,
    conditions: conditions.map((condition) => withTime(condition, pod.status?.conditions ?? [], now)),
    ...{
      hostIPs: [{ ip: view.hostIp }],
      qosClass: 'BestEffort',
      containerStatuses: view.containers.map(containerStatus),
      ...(view.initContainers.length > 0 && {
        initContainerStatuses: view.initContainers.map(containerStatus),
      }),
    },
  };
}

function withTime(condition: Condition, before: readonly Condition[], now: string): Condition {
  const same = before.find(({ type, status }) => type === condition.type && status === condition.status);
  return { ...condition, lastTransitionTime: same?.lastTransitionTime ?? now };
}

function containerStatus(view: ContainerView) {
  const { name, image, containerId, phase, last, restarts, ready } = view;
  return {
    name,
    image,
    imageID: '',
    ...(containerId !== '' && { containerID: `lab://${containerId}` }),
    ready,
    started: phase.kind === 'running',
    restartCount: restarts,
    state: stateOf(phase),
    lastState: last ? stateOf(last) : {},
  };
}

function stateOf(phase: ContainerPhase): object {
  switch (phase.kind) {
    case 'waiting':
      return {
        waiting: { reason: phase.reason, ...(phase.message !== undefined && { message: phase.message }) },
      };
    case 'running':
      return { running: { startedAt: phase.startedAt } };
    case 'terminated': {
      const { exitCode, signal, startedAt, finishedAt } = phase;
      const reason = exitCode === 0 ? 'Completed' : 'Error';
      return {
        terminated: {
          exitCode,
          reason,
          startedAt,
          finishedAt,
          ...(signal !== undefined && { message: signal }),
        },
      };
    }
    default:
      return phase satisfies never;
  }
}
