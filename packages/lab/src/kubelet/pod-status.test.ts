import { describe, expect, test } from '@jest/globals';
import { type ContainerPhase, type ContainerView, phaseOf, type PodView, statusOf } from './pod-status.ts';

const running: ContainerPhase = { kind: 'running', startedAt: 't0' };
const waiting: ContainerPhase = { kind: 'waiting', reason: 'ContainerCreating' };
const ended = (exitCode: number): ContainerPhase => ({
  kind: 'terminated',
  exitCode,
  signal: undefined,
  startedAt: 't0',
  finishedAt: 't1',
});
const container = (phase: ContainerPhase, over: Partial<ContainerView> = {}): ContainerView => ({
  name: 'main',
  image: 'none',
  containerId: 'id',
  phase,
  last: undefined,
  restarts: 0,
  ready: phase.kind === 'running',
  ...over,
});
const view = (containers: readonly ContainerView[], over: Partial<PodView> = {}): PodView => ({
  hostIp: '172.18.0.11',
  podIps: ['10.244.1.2'],
  startTime: 't0',
  initialized: true,
  containers,
  initContainers: [],
  ...over,
});

describe('phase', () => {
  const cases: Record<string, { view: PodView; policy: string; want: string }> = {
    'pending until it is set up': {
      view: view([container(waiting)], { initialized: false }),
      policy: 'Always',
      want: 'Pending',
    },
    'pending while a container never ran': {
      view: view([container(running), container(waiting)]),
      policy: 'Always',
      want: 'Pending',
    },
    'running while one waits to start again': {
      view: view([container(waiting, { restarts: 1 })]),
      policy: 'Always',
      want: 'Running',
    },
    'running, though one has ended': {
      view: view([container(running), container(ended(0))]),
      policy: 'Never',
      want: 'Running',
    },
    'succeeded when all ended well': {
      view: view([container(ended(0))]),
      policy: 'Never',
      want: 'Succeeded',
    },
    'failed when one did not': {
      view: view([container(ended(0)), container(ended(1))]),
      policy: 'Never',
      want: 'Failed',
    },
    'running when what ended starts again': {
      view: view([container(ended(1))]),
      policy: 'Always',
      want: 'Running',
    },
  };
  test.each(Object.entries(cases))('%s', (_, { view: one, policy, want }) =>
    expect(phaseOf(one, policy)).toBe(want),
  );
});

describe('status', () => {
  const pod = { metadata: { name: 'web' } };

  test('ready when every container is, with the addresses', () => {
    const status = statusOf(view([container(running)]), pod, 'now');
    expect(status).toMatchObject({ phase: 'Running', podIP: '10.244.1.2', podIPs: [{ ip: '10.244.1.2' }] });
    expect(status.conditions).toContainEqual({ type: 'Ready', status: 'True', lastTransitionTime: 'now' });
  });

  test('unready names the containers', () => {
    const status = statusOf(view([container(running, { ready: false })]), pod, 'now');
    expect(status.conditions).toContainEqual({
      type: 'Ready',
      status: 'False',
      reason: 'ContainersNotReady',
      message: 'containers with unready status: [main]',
      lastTransitionTime: 'now',
    });
  });

  test('a condition that stays keeps its time', () => {
    const before = statusOf(view([container(running)]), pod, 'then');
    const after = statusOf(view([container(running)]), { ...pod, status: before }, 'now');
    expect(after).toEqual(before);
  });

  test('how a container ended before is told', () => {
    const last = ended(3) as ContainerView['last'];
    expect(statusOf(view([container(running, { restarts: 1, last })]), pod, 'now')).toMatchObject({
      containerStatuses: [{ restartCount: 1, lastState: { terminated: { exitCode: 3, reason: 'Error' } } }],
    });
  });
});
