import { describe, expect, test } from '@jest/globals';
import { silentLogger } from '@ambit/core/log';
import { FakeClock } from '@ambit/core/testing/fake-clock';
import { POD_START_TIMEOUT_MS, POD_STOP_GRACE_MS } from '../limits.ts';
import { FakeWorker, obedient } from '../testing/fake-worker.ts';
import { Pods, type PodsOptions } from './pods.ts';
import { WorkerPool } from './worker-pool.ts';

const info = { uid: 'u1', name: 'p', namespace: 'ns', serviceAccount: 'sa' };

class Netns {
  readonly fd: number;
  readonly dev = 4n;
  readonly ino: bigint;
  closed = 0;

  constructor(fd: number, ino: bigint) {
    this.fd = fd;
    this.ino = ino;
  }

  close(): void {
    this.closed += 1;
  }
}

async function podsOn(workers: readonly FakeWorker[], accompany?: PodsOptions['accompany']) {
  const clock = new FakeClock();
  const pool = new WorkerPool({
    count: workers.length,
    spawn: (index) => workers[index] ?? new FakeWorker(),
    onDeath: () => undefined,
    clock,
    log: silentLogger,
  });
  await pool.start();
  const counted: string[] = [];
  const pods = new Pods({
    workers: pool,
    accompany,
    identityOf: ({ namespace, serviceAccount }) => `spiffe://td/ns/${namespace}/sa/${serviceAccount}`,
    observer: {
      coming: ({ uid }) => counted.push(`?${uid}`),
      started: ({ uid }) => counted.push(`+${uid}`),
      stopped: ({ uid }) => counted.push(`-${uid}`),
      left: ({ uid }) => counted.push(`!${uid}`),
    },
    clock,
    log: silentLogger,
  });
  return { pods, clock, counted };
}

const settled = () => new Promise((resolve) => setTimeout(resolve, 5));

describe('a pod', () => {
  test('is started on every worker before it is up, and its namespace let go when all have stopped', async () => {
    const workers = [new FakeWorker(), new FakeWorker()];
    const { pods, counted } = await podsOn(workers);
    const netns = new Netns(7, 1n);
    const added = pods.add(info, netns);
    expect(pods.states()).toEqual([]);
    await added;
    expect(pods.states()).toEqual([{ info, state: 'Up' }]);
    expect([pods.count('Up'), pods.uses('ns', 'sa'), pods.uses('ns', 'other')]).toEqual([1, true, false]);
    expect(workers[0]?.received[0]).toMatchObject({
      identity: 'spiffe://td/ns/ns/sa/sa',
      inboundOnly: false,
    });
    pods.remove('u1', 100);
    await settled();
    expect(workers.map(({ heard }) => heard)).toEqual([
      ['start-pod u1 7', 'stop-pod u1 100'],
      ['start-pod u1 7', 'stop-pod u1 100'],
    ]);
    expect([netns.closed, pods.states(), counted]).toEqual([1, [], ['?u1', '+u1', '-u1', '!u1']]);
  });

  test('is started on one worker after the other', async () => {
    const [first, second] = [new FakeWorker(() => []), new FakeWorker()];
    const { pods } = await podsOn([first, second]);
    const added = pods.add(info, new Netns(7, 1n));
    await settled();
    expect([first.heard, second.heard]).toEqual([['start-pod u1 7'], []]);
    first.say({ kind: 'pod-started', uid: 'u1' });
    await added;
    expect(second.heard).toEqual(['start-pod u1 7']);
  });

  test('is started once on the next worker, however often the one before says that it has begun', async () => {
    const [first, second] = [new FakeWorker(() => []), new FakeWorker(() => [])];
    const { pods } = await podsOn([first, second]);
    const added = pods.add(info, new Netns(7, 1n));
    await settled();
    for (let n = 0; n < 2; n++) first.say({ kind: 'pod-started', uid: 'u1' });
    second.say({ kind: 'pod-started', uid: 'u1' });
    await added;
    expect(second.heard).toEqual(['start-pod u1 7']);
  });

  test('that comes again in the same namespace is left alone', async () => {
    const worker = new FakeWorker();
    const { pods } = await podsOn([worker]);
    const [first, second] = [new Netns(7, 1n), new Netns(8, 1n)];
    await pods.add(info, first);
    await pods.add(info, second);
    expect([worker.heard, first.closed, second.closed]).toEqual([['start-pod u1 7'], 0, 1]);
  });

  test('that comes again in another namespace is replaced', async () => {
    const worker = new FakeWorker();
    const { pods } = await podsOn([worker]);
    const [first, second] = [new Netns(7, 1n), new Netns(8, 2n)];
    await pods.add(info, first);
    await pods.add(info, second);
    expect(worker.heard).toEqual(['start-pod u1 7', 'stop-pod u1 0', 'start-pod u1 8']);
    expect([first.closed, second.closed]).toEqual([1, 0]);
  });

  test('that one worker cannot start is stopped on all, refused, and pending until it comes again', async () => {
    const good = new FakeWorker();
    let taken = true;
    const bad = new FakeWorker((message) =>
      message.kind === 'start-pod' && taken
        ? [{ kind: 'pod-failed', uid: message.pod.uid, reason: 'port 15008 is taken' }]
        : obedient(message),
    );
    const { pods, counted } = await podsOn([good, bad]);
    const netns = new Netns(7, 1n);
    await expect(pods.add(info, netns)).rejects.toThrow('port 15008 is taken');
    expect(good.heard).toEqual(['start-pod u1 7', 'stop-pod u1 0']);
    expect([netns.closed, pods.states(), counted]).toEqual([1, [{ info, state: 'Pending' }], ['?u1']]);
    taken = false;
    await pods.add(info, new Netns(8, 1n));
    expect([pods.count('Up'), pods.count('Pending'), counted]).toEqual([1, 0, ['?u1', '?u1', '+u1']]);
    pods.remove('u1');
    await settled();
    expect(pods.states()).toEqual([]);
  });

  test('that never started has left when it is removed, and was not stopped', async () => {
    const bad = new FakeWorker((message) =>
      message.kind === 'start-pod'
        ? [{ kind: 'pod-failed', uid: message.pod.uid, reason: 'port 15008 is taken' }]
        : obedient(message),
    );
    const { pods, counted } = await podsOn([bad]);
    await expect(pods.add(info, new Netns(7, 1n))).rejects.toThrow('port 15008 is taken');
    pods.remove('u1');
    await settled();
    expect([pods.states(), counted]).toEqual([[], ['?u1', '!u1']]);
  });

  test('that a worker says nothing about is refused in time', async () => {
    const { pods, clock } = await podsOn([new FakeWorker(), new FakeWorker(() => [])]);
    const added = pods.add(info, new Netns(7, 1n));
    const outcome = expect(added).rejects.toThrow('1 of 2 workers did not answer within 4000 ms');
    await clock.advance(POD_START_TIMEOUT_MS);
    await clock.advance(60_000);
    await outcome;
  });

  test('keeps its namespace open for a worker that has not said it stopped, until it says so', async () => {
    const silent = new FakeWorker((message) => (message.kind === 'stop-pod' ? [] : obedient(message)));
    const { pods, clock } = await podsOn([new FakeWorker(), silent]);
    const netns = new Netns(7, 1n);
    await pods.add(info, netns);
    pods.remove('u1', 0);
    await settled();
    await clock.advance(POD_STOP_GRACE_MS);
    await settled();
    expect([pods.states(), netns.closed]).toEqual([[], 0]);
    await pods.add(info, new Netns(8, 2n));
    expect([pods.count('Up'), netns.closed]).toEqual([1, 0]);
    silent.say({ kind: 'pod-stopped', uid: 'u1' });
    await settled();
    expect(netns.closed).toBe(1);
  });

  test('that comes back while its connections drain cuts them off', async () => {
    const slow = new FakeWorker((message) =>
      message.kind === 'stop-pod' && message.deadlineMs > 0 ? [] : obedient(message),
    );
    const { pods } = await podsOn([slow]);
    await pods.add(info, new Netns(7, 1n));
    pods.remove('u1', 10_000);
    await settled();
    await pods.add(info, new Netns(8, 2n));
    expect(slow.heard).toEqual(['start-pod u1 7', 'stop-pod u1 10000', 'stop-pod u1 0', 'start-pod u1 8']);
  });

  test('that is unknown can be removed', async () => {
    const worker = new FakeWorker();
    const { pods } = await podsOn([worker]);
    pods.remove('nobody');
    await settled();
    expect(worker.heard).toEqual([]);
  });

  test('whose removal overtakes its start is gone in the end', async () => {
    const worker = new FakeWorker();
    const { pods } = await podsOn([worker]);
    const added = pods.add(info, new Netns(7, 1n));
    pods.remove('u1', 0);
    await added;
    await settled();
    expect([pods.states(), worker.heard]).toEqual([[], ['start-pod u1 7', 'stop-pod u1 0']]);
  });

  test('has its companion while it is served, in its namespace', async () => {
    const log: string[] = [];
    const { pods } = await podsOn([new FakeWorker()], async ({ uid }, fd) => {
      log.push(`start ${uid} ${fd}`);
      return {
        drain: async () => void log.push('drain'),
        [Symbol.dispose]: () => void log.push('stop'),
      };
    });
    await pods.add(info, new Netns(7, 1n));
    expect(log).toEqual(['start u1 7']);
    pods.remove('u1');
    await settled();
    expect(log).toEqual(['start u1 7', 'drain', 'stop']);
    await pods.add({ ...info, uid: 'self' }, undefined, true);
    expect(log).toHaveLength(3);
  });

  test('whose companion cannot be drained is stopped like others', async () => {
    let stopped = 0;
    const { pods } = await podsOn([new FakeWorker()], async () => ({
      drain: () => Promise.reject(new Error('network is unreachable')),
      [Symbol.dispose]: () => {
        stopped += 1;
      },
    }));
    const netns = new Netns(7, 1n);
    await pods.add(info, netns);
    pods.remove('u1');
    await settled();
    expect([netns.closed, stopped, pods.states()]).toEqual([1, 1, []]);
    await pods.add({ ...info, uid: 'u2' }, new Netns(8, 2n));
    await pods.drain();
    expect(stopped).toBe(2);
  });

  test('whose companion cannot start is refused, and one that can is stopped when workers cannot', async () => {
    const worker = new FakeWorker();
    const { pods } = await podsOn([worker], async () => {
      throw new Error('port 15053 is taken');
    });
    await expect(pods.add(info, new Netns(7, 1n))).rejects.toThrow('port 15053 is taken');
    expect(worker.heard).toEqual(['start-pod u1 7', 'stop-pod u1 0']);

    let stopped = 0;
    const failing = new FakeWorker((message) =>
      message.kind === 'start-pod'
        ? [{ kind: 'pod-failed', uid: message.pod.uid, reason: 'no' }]
        : obedient(message),
    );
    const other = await podsOn([failing], async () => ({
      drain: async () => undefined,
      [Symbol.dispose]: () => {
        stopped += 1;
      },
    }));
    await expect(other.pods.add(info, new Netns(7, 1n))).rejects.toThrow('no');
    expect(stopped).toBeGreaterThan(0);
  });
});
