import { Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { systemClock } from '@ambit/core/clock';
import { Names } from '@ambit/core/names';
import { tcpSocket } from '@ambit/linux/sockets';
import { ALICE_IP, BOB_IP, Talk, WorkerNetwork } from '../testing/worker-network.ts';

const MESH = `
workloads:
  - {uid: a, name: alice-0, namespace: shop, serviceAccount: alice, trustDomain: td, workloadIps: [${ALICE_IP}], protocol: HBONE, services: {}}
  - {uid: b, name: bob-0, namespace: shop, serviceAccount: bob, trustDomain: td, workloadIps: [${BOB_IP}], protocol: HBONE, services: {}}
`;
const SOCKS_GREETING = '\x05\x01\x00';

let network: WorkerNetwork;
beforeEach(async () => {
  network = await WorkerNetwork.create();
  network.mesh(MESH);
  await network.start('alice');
});
afterEach(async () => await network[Symbol.asyncDispose]());

test('a tunnel whose certificate comes after the pod has stopped is not opened', async () => {
  const gate = Promise.withResolvers<void>();
  const issue = network.ca.issueWorkload.bind(network.ca);
  Object.assign(network.ca, {
    issueWorkload: async (identity: string) => {
      await gate.promise;
      return await issue(identity);
    },
  });
  const talk = await network.connect('alice', BOB_IP, 8080);
  await network.eventually('a wait for the certificate', () =>
    network.said.find(({ kind }) => kind === 'need-certificate'),
  );
  await network.stop('alice', 0);
  await talk.ended;
  gate.resolve();
  await network.eventually('the certificate', () => (network.issued.size > 0 ? true : undefined));
  await systemClock.sleep(50);
  expect(network.netns('alice').run('ss', '-Htan', 'dport', '=', ':15008')).toBe('');
});

test('a SOCKS client that has not said where it wants to go is let go with its pod', async () => {
  const talk = await network.connect('alice', '127.0.0.1', 15_080);
  await talk.ask(SOCKS_GREETING, 2);
  const before = systemClock.monotonicMs();
  await network.stop('alice', 0);
  await talk.ended;
  expect(systemClock.monotonicMs() - before).toBeLessThan(1_000);
});

test('a fault as the name of a SOCKS client comes back ends that client, and nobody else', async () => {
  const broken = jest.spyOn(Names.prototype, 'resolve').mockResolvedValue(undefined as never);
  const talk = await network.connect('alice', '127.0.0.1', 15_080);
  await talk.ask(SOCKS_GREETING, 2);
  talk.socket.write(Buffer.from([5, 1, 0, 3, 1, 0x61, 0, 80]));
  await talk.ended;
  broken.mockRestore();
  expect(network.metric('ambit_ztunnel_faults')).toEqual([{ labels: {}, value: 1 }]);
});

test('who has come when the pod is told to stop is served', async () => {
  await network.start('bob');
  network.serve('bob', 8080, (socket) => socket.pipe(socket));
  const talks = Array.from({ length: 40 }, () => {
    const fd = tcpSocket({ netnsFd: network.netns('alice').fd, family: 4 });
    return new Talk(new Socket({ fd, allowHalfOpen: true }).connect(8080, BOB_IP));
  });
  // Connected by then, and nobody has looked: all of them wait in the listener's queue.
  await new Promise<void>((resolve) => process.nextTick(resolve));
  const stopped = network.stop('alice', 25_000);
  expect(await Promise.all(talks.map((talk) => talk.ask('hello')))).toEqual(talks.map(() => 'hello'));
  for (const { socket } of talks) socket.end();
  await stopped;
});

describe('a connection that outlives the pod’s drain', () => {
  /** A conversation under way with a server that answers the first piece at once, and each other after a while. */
  async function talkToSlowServer(answerAfterMs: number) {
    await network.start('bob');
    network.serve('bob', 8080, (socket) => {
      let delayMs = 0;
      socket.on('data', (piece) => {
        setTimeout(() => socket.write(piece), delayMs);
        delayMs = answerAfterMs;
      });
    });
    const talk = await network.connect('alice', BOB_IP, 8080);
    expect(await talk.ask('hello')).toBe('hello');
    return talk;
  }

  test('is ended between two exchanges, none of which is lost', async () => {
    const talk = await talkToSlowServer(80);
    let asked = 0;
    let answered = 0;
    let isOver = false;
    void talk.ended.then(() => {
      isOver = true;
    });
    const stopped = network.stop('alice', 10_000);
    while (!isOver) {
      asked++;
      answered += (await talk.ask('question')) === 'question' ? 1 : 0;
      // Long, so that no question is on its way when the drain begins to look for a pause, 7 s after it began.
      await systemClock.sleep(2_000);
    }
    await stopped;
    expect(asked).toBeGreaterThan(2);
    expect(answered).toBe(asked);
  });

  test('is cut at the deadline while a question is open', async () => {
    const talk = await talkToSlowServer(5_000);
    const before = systemClock.monotonicMs();
    const stopped = network.stop('alice', 600);
    talk.socket.write('question');
    await talk.ended;
    expect(systemClock.monotonicMs() - before).toBeGreaterThanOrEqual(590);
    await stopped;
  });

  test('is ended before the deadline when it is idle', async () => {
    const talk = await talkToSlowServer(1);
    const before = systemClock.monotonicMs();
    const stopped = network.stop('alice', 8_000);
    await talk.ended;
    const tookMs = systemClock.monotonicMs() - before;
    expect(tookMs).toBeGreaterThanOrEqual(4_000);
    expect(tookMs).toBeLessThan(7_900);
    await stopped;
  });
});
