import { describe, expect, test } from '@jest/globals';
import type { Pod } from '@ambit/kube/resources/core';
import { endsOf, podReason, tellingEvents } from './pod-reason.ts';

const NOW_MS = Date.parse('2026-05-01T10:00:00Z');

function podOf(...containerStatuses: readonly object[]): Pod {
  const metadata = { namespace: 'istio-system', name: 'ztunnel-1' };
  const conditions = [{ type: 'Ready', status: 'False', message: 'containers with unready status' }];
  return { metadata, status: { phase: 'Running', conditions, containerStatuses } } as unknown as Pod;
}

const killed = {
  startedAt: '2026-05-01T09:50:00Z',
  finishedAt: '2026-05-01T09:59:50Z',
  exitCode: 137,
  reason: 'Error',
};
const running = { running: { startedAt: '2026-05-01T09:59:51Z' } };
const proxy = { name: 'istio-proxy', ready: false, restartCount: 1 };
const logs = '"kubectl logs -n istio-system ztunnel-1 -c istio-proxy';

describe('a pod that is not ready', () => {
  test.each([
    ['that never ended', [{ ...proxy, restartCount: 0, state: running }], []],
    [
      'that runs again',
      [{ ...proxy, state: running, lastState: { terminated: killed } }],
      [
        `container istio-proxy ended 10 s ago with Error, exit code 137 (1 restart); ${logs} --previous" has its last words`,
      ],
    ],
    [
      'that waits to run again',
      [
        {
          ...proxy,
          restartCount: 7,
          state: { waiting: { reason: 'CrashLoopBackOff' } },
          lastState: { terminated: { ...killed, reason: 'OOMKilled', finishedAt: '2026-05-01T09:57:00Z' } },
        },
      ],
      [
        `container istio-proxy ended 3 min ago with OOMKilled, exit code 137 (7 restarts); ${logs} --previous" has its last words`,
      ],
    ],
    [
      'that has not been started again',
      [{ ...proxy, restartCount: 0, state: { terminated: { exitCode: 1 } } }],
      [`container istio-proxy ended with exit code 1; ${logs}" has its last words`],
    ],
    ['that is ready', [{ ...proxy, ready: true, lastState: { terminated: killed } }], []],
  ])('names the end of a container %s', (_, statuses, want) =>
    expect(endsOf(podOf(...statuses), NOW_MS)).toEqual(want),
  );

  test.each([
    ['of one that has not begun', [{ ...proxy, state: { waiting: {} } }], undefined],
    ['after its start', [{ ...proxy, state: running }], '2026-05-01T09:59:51Z'],
    [
      'of the run that ended, though it runs again',
      [{ ...proxy, state: running, lastState: { terminated: killed } }],
      '2026-05-01T09:50:00Z',
    ],
    [
      'of the run that ended, while it waits for another',
      [{ ...proxy, state: { waiting: {} }, lastState: { terminated: killed } }],
      '2026-05-01T09:50:00Z',
    ],
    [
      'of the run that ended last',
      [
        {
          ...proxy,
          state: { terminated: { ...killed, startedAt: '2026-05-01T09:58:00Z' } },
          lastState: { terminated: killed },
        },
      ],
      '2026-05-01T09:58:00Z',
    ],
    [
      'after an end of which no beginning is known',
      [{ ...proxy, state: { waiting: {} }, lastState: { terminated: { finishedAt: killed.finishedAt } } }],
      '2026-05-01T09:59:50Z',
    ],
    [
      'of all, if another has not begun',
      [
        { ...proxy, state: running },
        { name: 'other', ready: false, state: { waiting: {} } },
      ],
      undefined,
    ],
    ['of all, if nothing is known', [], undefined],
  ])('has events %s', (_, statuses, want) =>
    expect(tellingEvents(podOf(...statuses)).sinceMs).toBe(want === undefined ? undefined : Date.parse(want)),
  );

  test('has no events of its restart, which come after the cause of its end', () => {
    const again = { ...proxy, state: running, lastState: { terminated: killed } };
    expect(tellingEvents(podOf(again)).without).toContain('Started');
    expect(tellingEvents(podOf({ ...proxy, state: running })).without).toEqual([]);
  });

  test('says what it waits for, else what its condition says', () => {
    const waiting = { reason: 'ImagePullBackOff', message: 'no such image' };
    expect(podReason(podOf({ ...proxy, state: { waiting } }))).toBe('waits: ImagePullBackOff, no such image');
    expect(podReason(podOf({ ...proxy, state: running }))).toBe(
      'is not ready: containers with unready status',
    );
  });
});
