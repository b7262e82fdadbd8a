import { expect, test } from '@jest/globals';
import type { KubeObject } from '@ambit/kube/resource';
import { noPodReason, rolloutOf } from './rollout.ts';

const workload = (status: object, replicas?: number): KubeObject =>
  ({ metadata: { name: 'x', generation: 2 }, spec: { replicas }, status }) as unknown as KubeObject;
const seen = { observedGeneration: 2 };

test.each([
  ['a workload that is not there', undefined, { ready: false, state: 'not there' }],
  [
    'an old status says nothing',
    workload({ observedGeneration: 1, replicas: 1, updatedReplicas: 1, readyReplicas: 1 }),
    { ready: false, state: 'not looked at by its controller yet' },
  ],
  [
    'none updated',
    workload({ ...seen, replicas: 1, readyReplicas: 1 }),
    { ready: false, state: '0 of 1 updated, 1 ready' },
  ],
  [
    'none ready',
    workload({ ...seen, replicas: 1, updatedReplicas: 1 }),
    { ready: false, state: '0 of 1 ready' },
  ],
  [
    'old ones still there',
    workload({ ...seen, replicas: 3, updatedReplicas: 2, readyReplicas: 3 }, 2),
    { ready: false, state: '1 of the version before still there' },
  ],
  [
    'done',
    workload({ ...seen, replicas: 2, updatedReplicas: 2, readyReplicas: 2 }, 2),
    { ready: true, state: '2 of 2 ready' },
  ],
])('Deployment: %s', (_, live, want) => expect(rolloutOf('Deployment', live)).toEqual(want));

test.each([
  [
    'none ready',
    { desiredNumberScheduled: 2, updatedNumberScheduled: 2, numberReady: 0 },
    '0 of 2 ready',
    false,
  ],
  [
    'one updated',
    { desiredNumberScheduled: 2, updatedNumberScheduled: 1, numberReady: 2 },
    '1 of 2 updated, 2 ready',
    false,
  ],
  ['done', { desiredNumberScheduled: 2, updatedNumberScheduled: 2, numberReady: 2 }, '2 of 2 ready', true],
  ['no node', {}, '0 of 0 ready', true],
])('DaemonSet: %s', (_, status, state, ready) =>
  expect(rolloutOf('DaemonSet', workload({ ...seen, ...status }))).toEqual({ ready, state }),
);

const named = (over: object) =>
  ({ metadata: { namespace: 'istio-system', name: 'x' }, ...over }) as unknown as KubeObject;
const quota = { type: 'ReplicaFailure', status: 'True', reason: 'FailedCreate', message: 'exceeded quota' };

test.each([
  ['is not there', 'Deployment', undefined, 'there is no Deployment x'],
  [
    'shall have none',
    'Deployment',
    named({ spec: { replicas: 0 } }),
    'its Deployment asks for 0 replicas; "kubectl scale -n istio-system deployment/x --replicas=1" brings one back',
  ],
  [
    'fits no node',
    'DaemonSet',
    named({ status: { desiredNumberScheduled: 0 } }),
    'no node fits its DaemonSet (its nodeSelector, and the taints of nodes)',
  ],
  ['is refused', 'Deployment', named({ status: { conditions: [quota] } }), 'FailedCreate: exceeded quota'],
  ['does not say', 'Deployment', named({ spec: { replicas: 2 } }), undefined],
  ['does not say yet', 'DaemonSet', named({}), undefined],
] as const)('no pod, as the workload %s', (_, kind, live, want) =>
  expect(noPodReason(kind, 'x', live)).toBe(want),
);
