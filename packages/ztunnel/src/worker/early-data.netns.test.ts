import { createServer, type Server } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { systemClock } from '@ambit/core/clock';
import { QueueBudget } from '@ambit/hbone/queue-budget';
import { TunnelServer } from '@ambit/hbone/server';
import { H2 } from '@ambit/http/h2/protocol';
import { DEFAULT_SESSION_OPTIONS } from '@ambit/http/h2/session';
import type { H2Stream } from '@ambit/http/h2/stream';
import { acceptHandles } from '@ambit/http/transport/native';
import { serverTlsOptions, verifyClientPeer } from '@ambit/identity/tls-context';
import { listenTcp } from '@ambit/linux/sockets';
import { ALICE_IP, BOB, BOB_IP, type Talk, TRUST_DOMAIN, WorkerNetwork } from '../testing/worker-network.ts';
import { EARLY_DATA_BYTES } from './limits.ts';

const MESH = `
workloads:
  - {uid: a, name: alice-0, namespace: shop, serviceAccount: alice, trustDomain: td, workloadIps: [${ALICE_IP}], protocol: HBONE, services: {}}
  - {uid: b, name: bob-0, namespace: shop, serviceAccount: bob, trustDomain: td, workloadIps: [${BOB_IP}], protocol: HBONE, services: {}}
`;
/** Longer than anything takes here that is not waited for. */
const A_WHILE_MS = 100;

/** One stream as bob's end of the tunnel sees it. */
interface Heard {
  readonly stream: H2Stream;
  readonly before: Buffer[];
  readonly after: Buffer[];
  answered: boolean;
  end: 'no' | 'end' | number;
}

let network: WorkerNetwork;
let tunnels: TunnelServer;
let server: Server;
let heard: Heard[];
let onHeard: (one: Heard) => void;

async function start(takesEarlyData: boolean): Promise<void> {
  heard = [];
  onHeard = answer;
  const bob = await network.ca.issueWorkload(BOB);
  tunnels = new TunnelServer({
    session: { ...DEFAULT_SESSION_OPTIONS, takesEarlyData, clock: systemClock },
    budget: new QueueBudget(1_000_000),
    tls: () => Promise.resolve(serverTlsOptions(bob)),
    verify: (socket) => verifyClientPeer(socket, [TRUST_DOMAIN]),
    onRefused: () => undefined,
    onStream: (_, stream) => {
      const one: Heard = { stream, before: [], after: [], answered: false, end: 'no' };
      heard.push(one);
      onHeard(one);
      return {
        onHeaders() {},
        onData: (_stream, bytes) => {
          (one.answered ? one.after : one.before).push(Buffer.from(bytes));
          stream.credit(bytes.length);
        },
        onEnd() {
          one.end = 'end';
        },
        onReset(_stream, { h2Code }) {
          one.end = h2Code;
        },
        onWritable() {},
      };
    },
  });
  const { fd } = listenTcp({ netnsFd: network.netns('bob').fd, ip: '0.0.0.0', port: 15_008 });
  server = createServer().listen({ fd });
  acceptHandles(
    server,
    (handle) => tunnels.accept(handle),
    () => undefined,
  );
  network.mesh(MESH);
  await network.start('alice');
  // The tunnel is open, and what bob says of himself is known.
  const first = await network.connect('alice', BOB_IP, 8080);
  await network.eventually('a tunnel', () => heard[0]);
  await network.eventually('a connection that is open', () => network.connections()[0]);
  first.socket.write('first');
  await network.eventually('what is said through it', () => heard[0]?.after[0]);
  heard = [];
  onHeard = () => undefined;
}

function answer(one: Heard): void {
  one.answered = true;
  one.stream.respond([{ name: ':status', value: '200', indexed: true }], false);
}

const text = (pieces: readonly Buffer[] | undefined) => Buffer.concat(pieces ?? []).toString();

/** A connection that bob's end has heard of, and not answered. */
async function asking(): Promise<{ readonly talk: Talk; readonly one: Heard }> {
  const talk = await network.connect('alice', BOB_IP, 8080);
  const one = await network.eventually('a stream', () => heard[0]);
  return { talk, one };
}

const saidBefore = (one: Heard | undefined, words: string) =>
  network.eventually('words ahead of the answer', () => (text(one?.before) === words ? true : undefined));

beforeEach(async () => {
  network = await WorkerNetwork.create();
});
afterEach(async () => {
  server.close();
  tunnels.destroy();
  await network[Symbol.asyncDispose]();
});

describe('to a peer that takes early data', () => {
  beforeEach(() => start(true));

  test('an application’s first words go ahead of the answer, as they come and once, and the rest follows it', async () => {
    const { talk, one } = await asking();
    talk.socket.write('hel');
    await saidBefore(one, 'hel');
    talk.socket.write('lo');
    await saidBefore(one, 'hello');
    answer(one);
    talk.socket.write(', there');
    await network.eventually('the rest', () => (text(one.after) === ', there' ? true : undefined));
    one.stream.write(Buffer.from('and you'));
    one.stream.end();
    await talk.ended;
    expect(talk.text).toBe('and you');
    talk.socket.end();
    expect(await network.logged('outbound')).toMatchObject({ bytes_sent: 12, bytes_recv: 7 });
  });

  test('no more than a little goes ahead', async () => {
    const { talk, one } = await asking();
    const words = Buffer.alloc(300_000, 'what a long request ');
    talk.socket.end(words);
    await network.eventually('a little', () => (one.before.length > 0 ? true : undefined));
    await systemClock.sleep(A_WHILE_MS);
    expect(text(one.before)).toBe(words.toString('latin1', 0, EARLY_DATA_BYTES));
    answer(one);
    await network.eventually('the end', () => (one.end === 'end' ? true : undefined));
    expect(Buffer.concat([...one.before, ...one.after]).equals(words)).toBe(true);
  });

  test('a refused stream’s words are said again to the next one', async () => {
    const { talk, one } = await asking();
    talk.socket.write('hello');
    await saidBefore(one, 'hello');
    one.stream.reset(H2.refusedStream);
    const next = await network.eventually('another stream', () => heard[1]);
    await saidBefore(next, 'hello');
    answer(next);
    talk.socket.write('!');
    await network.eventually('the rest', () => (text(next.after) === '!' ? true : undefined));
    expect(text(next.before)).toBe('hello');
  });

  test('an application whose words were refused hears of an error, not of an end', async () => {
    const { talk, one } = await asking();
    talk.socket.write('hello');
    await saidBefore(one, 'hello');
    one.stream.respond([{ name: ':status', value: '503', indexed: true }], true);
    expect(await talk.ended).toBe('ECONNRESET');
    expect(await network.logged('outbound')).toMatchObject({ error: 'http status: 503' });
    expect(network.connections()).toHaveLength(1);
  });

  test.each(['all I say', ''])('an application that ends after “%s” is still answered', async (words) => {
    const { talk, one } = await asking();
    talk.socket.end(words);
    await saidBefore(one, words);
    await network.eventually('the end', () => (one.end === 'end' ? true : undefined));
    answer(one);
    one.stream.write(Buffer.from('heard'));
    one.stream.end();
    expect(await talk.ended).toBe('end');
    expect(talk.text).toBe('heard');
  });

  test('an application that goes away before the answer takes its stream with it', async () => {
    const { talk, one } = await asking();
    talk.socket.resetAndDestroy();
    await network.eventually('the reset', () => (one.end === H2.cancel ? true : undefined));
    expect(network.connections()).toHaveLength(1);
  });
});

test('a peer that does not take early data hears nothing before its answer', async () => {
  await start(false);
  const { talk, one } = await asking();
  talk.socket.write('hello');
  await systemClock.sleep(A_WHILE_MS);
  expect(text(one.before)).toBe('');
  answer(one);
  await network.eventually('what was said', () => (text(one.after) === 'hello' ? true : undefined));
});
