import { describe, expect, test } from '@jest/globals';
import { silentLogger } from '@ambit/core/log';
import { FakeClock } from '@ambit/core/testing/fake-clock';
import { WORKER_ANSWER_TIMEOUT_MS, WORKER_DRAIN_TURN_MS } from '../limits.ts';
import { FakeWorker, obedient } from '../testing/fake-worker.ts';
import { type WorkerError, WorkerPool } from './worker-pool.ts';

function poolOf(workers: readonly FakeWorker[], clock = new FakeClock()) {
  const deaths: WorkerError[] = [];
  const pool = new WorkerPool({
    count: workers.length,
    spawn: (index) => workers[index] ?? new FakeWorker(),
    onDeath: (error) => deaths.push(error),
    clock,
    log: silentLogger,
  });
  return { pool, deaths, clock };
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

const metric = (value: number) => ({
  name: 'm',
  type: 'counter' as const,
  labelNames: [],
  samples: [{ labels: [], value }],
});

describe('the workers as one', () => {
  test('start when all are ready, hear what is told to all, and end when all have drained', async () => {
    const workers = [new FakeWorker(), new FakeWorker()];
    const { pool, deaths } = poolOf(workers);
    await pool.start();
    pool.broadcast({ kind: 'log-filter', filter: 'debug' });
    pool.send(1, { kind: 'forget-certificate', identity: 'x' });
    expect(workers.map(({ heard }) => heard)).toEqual([
      ['log-filter'],
      ['log-filter', 'forget-certificate x'],
    ]);
    await pool.drain(1_000);
    workers[0]?.emit('exit', 0);
    await pool[Symbol.asyncDispose]();
    expect(workers.every(({ terminated }) => terminated)).toBe(true);
    expect(deaths).toEqual([]);
  });

  test('drain from the last one, each once the one after it has closed its listeners', async () => {
    const workers = [0, 1, 2].map(() => new FakeWorker(() => []));
    const told = () => workers.map(({ heard }) => heard.length);
    const { pool } = poolOf(workers);
    await pool.start();
    const drained = pool.drain(1_000);
    expect(told()).toEqual([0, 0, 1]);
    workers[2]?.say({ kind: 'draining' });
    await turn();
    expect(told()).toEqual([0, 1, 1]);
    workers[1]?.say({ kind: 'drained' });
    await turn();
    expect(told()).toEqual([1, 1, 1]);
    workers[0]?.say({ kind: 'draining' });
    for (const index of [0, 2]) workers[index]?.say({ kind: 'drained' });
    await drained;
  });

  test('drain although one of them is stuck', async () => {
    const stuck = new FakeWorker(() => []);
    const workers = [new FakeWorker(), stuck];
    const { pool, clock } = poolOf(workers);
    await pool.start();
    const drained = pool.drain(0);
    expect(workers[0]?.heard).toEqual([]);
    await clock.advance(WORKER_DRAIN_TURN_MS);
    expect(workers[0]?.heard).toEqual(['drain']);
    stuck.emit('exit', 0);
    await drained;
  });

  test('say who said what', async () => {
    const workers = [new FakeWorker(), new FakeWorker()];
    const { pool } = poolOf(workers);
    await pool.start();
    const events: unknown[] = [];
    pool.subscribe((event, worker) => events.push([worker, event]));
    workers[1]?.say({ kind: 'need-certificate', identity: 'x' });
    expect(events).toEqual([[1, { kind: 'need-certificate', identity: 'x' }]]);
  });

  test('answer questions; one that is stuck is left out after a while', async () => {
    const answering = new FakeWorker((message) =>
      message.kind === 'ask' ? [{ kind: 'answer', id: message.id, metrics: [metric(3)] }] : obedient(message),
    );
    const { pool, clock } = poolOf([answering, new FakeWorker(() => [])]);
    await pool.start();
    const answers = pool.metrics();
    await clock.advance(WORKER_ANSWER_TIMEOUT_MS);
    expect(await answers).toEqual([[metric(3)]]);
  });
});

describe('a worker that dies', () => {
  test('is reported once, whatever comes after', async () => {
    const workers = [new FakeWorker(), new FakeWorker()];
    const { pool, deaths } = poolOf(workers);
    await pool.start();
    workers[1]?.emit('error', new Error('bug'));
    workers[1]?.emit('exit', 1);
    workers[0]?.emit('exit', 1);
    expect(deaths.map(({ message }) => message)).toEqual(['data worker 1 ended: bug']);
  });

  test('while starting fails the start', async () => {
    const worker = new FakeWorker();
    worker.removeAllListeners();
    const { pool } = poolOf([worker]);
    const started = pool.start();
    worker.emit('exit', 7);
    await expect(started).rejects.toThrow('data worker 0 ended: exit code 7');
  });

  test('while draining is as good as drained', async () => {
    const workers = [new FakeWorker(), new FakeWorker(() => [])];
    const { pool, deaths } = poolOf(workers);
    await pool.start();
    const drained = pool.drain(0);
    workers[1]?.emit('exit', 0);
    await drained;
    expect(deaths).toEqual([]);
  });
});
