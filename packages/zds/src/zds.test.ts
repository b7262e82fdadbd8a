import {
  closeSync,
  fstatSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { systemClock, systemRandom } from '@ambit/core/clock';
import { LogRoot } from '@ambit/core/log';
import { connectSeqpacket, type SeqpacketConnection, SeqpacketListener } from '@ambit/linux/seqpacket';
import { ZdsServer, type ZdsSnapshotEntry } from './agent-side.ts';
import { RECONNECT_MAX_MS } from './limits.ts';
import { decodeAck, decodeRequest, encodeAck, encodeHello, encodeRequest, type ZdsPod } from './messages.ts';
import { ZdsClient } from './proxy-side.ts';
import { eventually, settled } from './testing/eventually.ts';
import { FakeClock } from '@ambit/core/testing/fake-clock';

const signal = new AbortController().signal;
const log = new LogRoot({ filter: { base: 'off', scopes: new Map() }, format: 'plain' }).scope('zds');
const folder = mkdtempSync(join(tmpdir(), 'ambit-zds-'));
/** Descriptors of what stands for namespaces; not of what jest and other suites open and close meanwhile. */
const openFds = () => readdirSync('/proc/self/fd').filter((fd) => linkOf(fd).includes('ambit-zds-')).length;
function linkOf(fd: string): string {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`);
  } catch {
    // The folder's own, closed by now.
    return '';
  }
}
const waiting = (uid: string): ZdsPod => ({ ...pod(uid), waitsOutside: true });
const pod = (uid: string): ZdsPod => ({
  uid,
  name: `pod-${uid}`,
  namespace: 'shop',
  serviceAccount: 'default',
});
let sockets = 0;
let path = '';
let fds: number[] = [];

/** Any file stands for a namespace here: what matters is that it is the same one at the other end. */
function namespaceFile(name: string): number {
  const file = join(folder, name);
  writeFileSync(file, '');
  const fd = openSync(file, 'r');
  fds.push(fd);
  return fd;
}

beforeEach(() => {
  sockets += 1;
  path = join(folder, `${sockets}.sock`);
});
afterEach(() => {
  for (const fd of fds) closeSync(fd);
  fds = [];
});
afterAll(() => rmSync(folder, { recursive: true }));

class Proxies {
  readonly served = new Map<string, bigint>();
  readonly calls: string[] = [];
  refuse = new Map<string, string>();
  hang: Promise<void> | undefined;
  readonly told: string[] = [];
  redirected({ uid }: ZdsPod): void {
    this.told.push(uid);
  }

  /** By UID: those that are not let in yet, and until when. */
  readonly barred = new Map<string, Promise<void>>();

  async admit({ uid }: ZdsPod, patience: AbortSignal): Promise<void> {
    this.calls.push(`admit ${uid}`);
    const abandoned = new Promise<never>((_, reject) => {
      patience.addEventListener('abort', () => reject(patience.reason as Error), { once: true });
    });
    await Promise.race([this.barred.get(uid), abandoned]);
  }

  async add({ uid }: ZdsPod, fd: number): Promise<void> {
    this.calls.push(`add ${uid}`);
    const { ino } = fstatSync(fd, { bigint: true });
    closeSync(fd);
    await this.hang;
    const reason = this.refuse.get(uid);
    if (reason !== undefined) throw new Error(reason);
    this.served.set(uid, ino);
  }

  remove(uid: string): Promise<void> {
    this.calls.push(`remove ${uid}`);
    this.served.delete(uid);
    return Promise.resolve();
  }
}

const serverOf = (snapshot: () => readonly ZdsSnapshotEntry[], clock = systemClock) =>
  new ZdsServer({ path, snapshot, clock, log });
const clientOf = (handler: Proxies, clock = systemClock) =>
  new ZdsClient({ path, handler, clock, random: systemRandom, log });

describe('agent and ztunnel together', () => {
  test('a ztunnel hears the snapshot, then every change, and is ready', async () => {
    const before = openFds();
    {
      const [web, late] = [namespaceFile('web'), namespaceFile('late')];
      await using server = serverOf(() => [{ pod: pod('web'), netnsFd: web }, { pod: pod('lost') }]);
      await server.start(signal);
      const proxies = new Proxies();
      await using client = clientOf(proxies);
      await client.start(signal);
      await eventually('ready', () => client.state.value.ready);
      expect(proxies.served).toEqual(new Map([['web', fstatSync(web, { bigint: true }).ino]]));
      await server.add({ pod: pod('late'), netnsFd: late });
      expect(proxies.served.get('late')).toBe(fstatSync(late, { bigint: true }).ino);
      await server.remove('web');
      expect([...proxies.served.keys()]).toEqual(['late']);
      expect(server.connections.value).toBe(1);
    }
    await eventually('no descriptor left', () => openFds() === before + fds.length);
  });

  test('an agent that restarts keeps what it names, and ztunnel is ready again', async () => {
    const [a, b] = [namespaceFile('a'), namespaceFile('b')];
    const proxies = new Proxies();
    await using client = clientOf(proxies);
    const both = [
      { pod: pod('a'), netnsFd: a },
      { pod: pod('b'), netnsFd: b },
    ];
    const first = serverOf(() => both);
    await first.start(signal);
    await client.start(signal);
    await eventually('ready', () => client.state.value.ready);
    await first.drain();
    await eventually('unready', () => !client.state.value.ready);
    expect(proxies.served.size).toBe(2);
    await using second = serverOf(() => [{ pod: pod('a'), netnsFd: b }]);
    await second.start(signal);
    await eventually('ready again', () => client.state.value.ready);
    expect(proxies.served).toEqual(new Map([['a', fstatSync(b, { bigint: true }).ino]]));
    expect(proxies.calls).toEqual(['add a', 'add b', 'remove a', 'add a', 'remove b']);
  });

  test('what cannot be served is refused with the reason and tried again until it works', async () => {
    const clock = new FakeClock();
    const proxies = new Proxies();
    proxies.refuse.set('busy', 'port 15008 is taken');
    const fd = namespaceFile('busy');
    await using server = serverOf(() => []);
    await server.start(signal);
    await using client = clientOf(proxies, clock);
    await client.start(signal);
    await eventually('ready', () => client.state.value.ready);
    await expect(server.add({ pod: pod('busy'), netnsFd: fd })).rejects.toThrow(
      'ztunnel refused pod busy: failure to start proxy: port 15008 is taken',
    );
    expect(client.state.value).toMatchObject({ ready: false, pending: ['busy'] });
    await clock.advance(5_000);
    await eventually('a second attempt', () => proxies.calls.length === 2);
    await settled();
    expect(client.state.value.ready).toBe(false);
    proxies.refuse.clear();
    await clock.advance(5_000);
    await eventually('ready', () => client.state.value.ready);
    expect([...proxies.served.keys()]).toEqual(['busy']);
  });

  test('a start that takes too long is refused in time and counts when it is through', async () => {
    const clock = new FakeClock();
    const proxies = new Proxies();
    const { promise, resolve: release } = Promise.withResolvers<void>();
    proxies.hang = promise;
    const fd = namespaceFile('slow');
    await using server = serverOf(() => []);
    await server.start(signal);
    await using client = clientOf(proxies, clock);
    await client.start(signal);
    await eventually('ready', () => client.state.value.ready);
    const added = server.add({ pod: pod('slow'), netnsFd: fd });
    await eventually('the attempt', () => proxies.calls.length === 1);
    await clock.advance(4_000);
    await expect(added).rejects.toThrow('not serving after 4000 ms');
    expect(client.state.value.ready).toBe(false);
    expect(proxies.told).toEqual([]);
    release();
    await eventually('ready', () => client.state.value.ready);
    expect(proxies.told).toEqual(['slow']);
  });

  test('pods that come together start together, and are answered in order', async () => {
    const proxies = new Proxies();
    const { promise, resolve: release } = Promise.withResolvers<void>();
    await using server = serverOf(() => []);
    await server.start(signal);
    await using client = clientOf(proxies);
    await client.start(signal);
    await eventually('ready', () => client.state.value.ready);
    const answered: string[] = [];
    const add = async (uid: string) => {
      await server.add({ pod: waiting(uid), netnsFd: namespaceFile(uid) });
      answered.push(uid);
    };
    proxies.hang = promise;
    const first = add('first');
    await eventually('the first', () => proxies.calls.length === 1);
    proxies.hang = undefined;
    const others = Array.from({ length: 20 }, (_, n) => add(`other-${n}`));
    await eventually('as many as may be under way', () => proxies.calls.includes('admit other-6'));
    await settled();
    expect(answered).toEqual([]);
    expect(proxies.calls).not.toContain('add other-7');
    release();
    await Promise.all([first, ...others]);
    expect(answered).toEqual(['first', ...others.map((_, n) => `other-${n}`)]);
  });

  test('a pod that cannot be let in yet is refused with the reason, though it is served, and let in when it comes again', async () => {
    const proxies = new Proxies();
    proxies.barred.set('early', Promise.reject(new Error('no certificate')));
    const [old, fd] = [namespaceFile('old'), namespaceFile('early')];
    await using server = serverOf(() => [{ pod: waiting('old'), netnsFd: old }]);
    await server.start(signal);
    await using client = clientOf(proxies);
    await client.start(signal);
    await eventually('ready', () => client.state.value.ready);
    const early = { pod: waiting('early'), netnsFd: fd };
    await expect(server.add(early)).rejects.toThrow('ztunnel refused pod early: no certificate');
    expect(client.state.value.ready).toBe(true);
    proxies.barred.clear();
    await server.add(early);
    await server.add({ pod: pod('redirected'), netnsFd: fd });
    // Nobody is asked about those of a snapshot, and those that are redirected already.
    expect(proxies.calls).toEqual(['add old', 'add early', 'admit early', 'admit early', 'add redirected']);
    // Another agent finds the first redirected, and says so.
    await server.add({ pod: pod('old'), netnsFd: old });
    expect(proxies.told).toEqual(['early', 'redirected', 'old']);
  });

  test('a pod that is not let in is not waited for longer than an agent waits', async () => {
    const clock = new FakeClock();
    const proxies = new Proxies();
    proxies.barred.set('early', new Promise(() => undefined));
    await using server = serverOf(() => []);
    await server.start(signal);
    await using client = clientOf(proxies, clock);
    await client.start(signal);
    await eventually('ready', () => client.state.value.ready);
    const added = server.add({ pod: waiting('early'), netnsFd: namespaceFile('early') });
    const outcome = expect(added).rejects.toThrow('still waited for after 500 ms');
    await eventually('asked', () => proxies.calls.includes('admit early'));
    await clock.advance(500);
    await outcome;
  });

  test('two ztunnels: both hear removals, the newest alone hears additions, and the older takes over', async () => {
    const fd = namespaceFile('x');
    await using server = serverOf(() => [{ pod: pod('x'), netnsFd: fd }]);
    await server.start(signal);
    const [older, newer] = [new Proxies(), new Proxies()];
    await using first = clientOf(older);
    await first.start(signal);
    await eventually('first', () => first.state.value.ready);
    const second = clientOf(newer);
    await second.start(signal);
    await eventually('second', () => second.state.value.ready);
    expect(server.connections.value).toBe(2);
    await server.add({ pod: pod('y'), netnsFd: fd });
    await server.remove('x');
    expect([older.calls, newer.calls]).toEqual([
      ['add x', 'remove x'],
      ['add x', 'add y', 'remove x'],
    ]);
    await second.drain();
    await eventually('one left', () => server.connections.value === 1);
    await server.add({ pod: pod('z'), netnsFd: fd });
    expect(older.calls.at(-1)).toBe('add z');
  });
});

describe('an agent before a bad ztunnel', () => {
  const ztunnel = async (server: ZdsServer): Promise<SeqpacketConnection> => {
    await server.start(signal);
    const connection = connectSeqpacket(path);
    connection.send(encodeHello());
    return connection;
  };
  const next = async (connection: SeqpacketConnection) => {
    const message = await connection.receive();
    if (message?.fd !== undefined) closeSync(message.fd);
    return message && decodeRequest(message.bytes);
  };

  test('nobody connected: the addition fails, the removal is fine', async () => {
    await using server = serverOf(() => []);
    await server.start(signal);
    await expect(server.add({ pod: pod('a'), netnsFd: 0 })).rejects.toThrow('no ztunnel is connected');
    await server.remove('a');
  });

  test('no answer in time ends the connection, and what waits behind it fails', async () => {
    const clock = new FakeClock();
    const fd = namespaceFile('a');
    await using server = serverOf(() => [], clock);
    using connection = await ztunnel(server);
    expect(await next(connection)).toEqual({ kind: 'snapshot-sent' });
    connection.send(encodeAck(''));
    const added = server.add({ pod: pod('a'), netnsFd: fd });
    const behind = server.add({ pod: pod('b'), netnsFd: fd });
    expect(await next(connection)).toMatchObject({ kind: 'add', pod: { uid: 'a' } });
    expect(await next(connection)).toMatchObject({ kind: 'add', pod: { uid: 'b' } });
    const outcomes = Promise.allSettled([added, behind]);
    // Twice as long: the time for the first begins when the answer to the snapshot has been read.
    await clock.advance(10_000);
    const [one, two] = await outcomes;
    expect(one).toMatchObject({
      status: 'rejected',
      reason: { message: 'the connection to ztunnel ended: no answer from ztunnel within 5000 ms' },
    });
    expect(two).toMatchObject({ status: 'rejected', reason: { code: 'ZDS_CONNECTION' } });
    expect(await connection.receive()).toBeUndefined();
    await eventually('gone', () => server.connections.value === 0);
  });

  test.each([
    { what: 'garbage', bytes: Uint8Array.from([0xff]) },
    { what: 'an empty answer', bytes: Uint8Array.from([0x12, 0x00]) },
  ])('$what instead of an answer ends the connection', async ({ bytes }) => {
    const fd = namespaceFile('a');
    await using server = serverOf(() => []);
    using connection = await ztunnel(server);
    await next(connection);
    connection.send(encodeAck(''));
    const added = server.add({ pod: pod('a'), netnsFd: fd });
    const outcome = expect(added).rejects.toThrow('the connection to ztunnel ended');
    await next(connection);
    connection.send(bytes);
    await outcome;
    expect(await connection.receive()).toBeUndefined();
  });

  test('a disconnect within the snapshot is survived, and the next ztunnel hears it whole', async () => {
    const fd = namespaceFile('a');
    await using server = serverOf(() => [
      { pod: pod('a'), netnsFd: fd },
      { pod: pod('b'), netnsFd: fd },
    ]);
    const before = openFds();
    const broken = await ztunnel(server);
    expect(await next(broken)).toMatchObject({ kind: 'add', pod: { uid: 'a' } });
    broken.close();
    await eventually('gone', () => server.connections.value === 0);
    const proxies = new Proxies();
    await using client = clientOf(proxies);
    await client.start(signal);
    await eventually('ready', () => client.state.value.ready);
    expect(proxies.served.size).toBe(2);
    await client.drain();
    await eventually('gone', () => server.connections.value === 0);
    await eventually('no descriptor left', () => openFds() <= before);
  });

  test.each([
    { what: 'speaks without being asked', send: (to: SeqpacketConnection) => to.send(encodeAck('')) },
    { what: 'sends a descriptor', send: (to: SeqpacketConnection) => to.send(encodeAck(''), 0) },
  ])('one that $what is dropped', async ({ send }) => {
    await using server = serverOf(() => []);
    using connection = await ztunnel(server);
    await next(connection);
    connection.send(encodeAck(''));
    await settled();
    send(connection);
    expect(await connection.receive()).toBeUndefined();
  });

  test('one that never says hello is dropped', async () => {
    const clock = new FakeClock();
    await using server = serverOf(() => [], clock);
    await server.start(signal);
    using connection = connectSeqpacket(path);
    await eventually('connected', () => server.connections.value === 1);
    await clock.advance(5_000);
    expect(await connection.receive()).toBeUndefined();
  });
});

describe('a ztunnel before a bad agent', () => {
  let listener: SeqpacketListener;
  beforeEach(() => {
    listener = new SeqpacketListener(path);
  });
  afterEach(() => listener.close());

  const accepted = async (): Promise<SeqpacketConnection> => {
    const connection = await listener.accept();
    if (!connection) throw new Error('closed');
    expect(Buffer.from((await connection.receive())?.bytes ?? []).toString('hex')).toBe('0801');
    return connection;
  };
  const ackOf = async (connection: SeqpacketConnection) => {
    const message = await connection.receive();
    return message && decodeAck(message.bytes);
  };

  const bad: readonly { what: string; bytes: Uint8Array; fd: boolean; reason: string }[] = [
    { what: 'garbage', bytes: Uint8Array.from([0xff, 0xff]), fd: false, reason: 'failure to read message' },
    {
      what: 'a truncated message',
      bytes: encodeRequest({ kind: 'add', pod: pod('a') }).subarray(0, 9),
      fd: true,
      reason: 'failure to read message',
    },
    {
      what: 'an add without a namespace',
      bytes: encodeRequest({ kind: 'add', pod: pod('a') }),
      fd: false,
      reason: 'failure to read message: AddWorkload without a network namespace',
    },
    {
      what: 'a del with a descriptor',
      bytes: encodeRequest({ kind: 'del', uid: 'a' }),
      fd: true,
      reason: 'failure to read message: del message with a descriptor',
    },
    {
      what: 'keep after the snapshot',
      bytes: encodeRequest({ kind: 'keep', uid: 'a' }),
      fd: false,
      reason: 'failure to process message: KeepWorkload after the snapshot',
    },
    {
      what: 'a second end of the snapshot',
      bytes: encodeRequest({ kind: 'snapshot-sent' }),
      fd: false,
      reason: 'failure to process message: second SnapshotSent',
    },
  ];
  test.each(bad)('$what: told why, dropped, dialled again; pods go on', async ({ bytes, fd, reason }) => {
    const proxies = new Proxies();
    await using client = clientOf(proxies);
    await client.start(signal);
    const connection = await accepted();
    const netns = namespaceFile('served');
    connection.send(encodeRequest({ kind: 'add', pod: pod('served') }), netns);
    expect(await ackOf(connection)).toBe('');
    connection.send(encodeRequest({ kind: 'snapshot-sent' }));
    expect(await ackOf(connection)).toBe('');
    expect(client.state.value.ready).toBe(true);
    const before = openFds();
    connection.send(bytes, fd ? netns : undefined);
    expect(await ackOf(connection)).toContain(reason);
    expect(await connection.receive()).toBeUndefined();
    connection.close();
    await settled();
    await eventually('no descriptor left', () => openFds() <= before);
    expect(client.state.value.ready).toBe(false);
    expect(proxies.calls).toEqual(['add served']);
    (await accepted()).close();
  });

  test('what breaks the protocol is told after the answers to what came before', async () => {
    const proxies = new Proxies();
    const { promise, resolve: release } = Promise.withResolvers<void>();
    proxies.hang = promise;
    await using client = clientOf(proxies);
    await client.start(signal);
    using connection = await accepted();
    connection.send(encodeRequest({ kind: 'add', pod: pod('slow') }), namespaceFile('slow'));
    connection.send(Uint8Array.from([0xff, 0xff]));
    await eventually('the attempt', () => proxies.calls.length === 1);
    await settled();
    release();
    expect(await ackOf(connection)).toBe('');
    expect(await ackOf(connection)).toContain('failure to read message');
    expect(await connection.receive()).toBeUndefined();
  });

  test('not ready before the end of the snapshot, whatever runs', async () => {
    const proxies = new Proxies();
    await using client = clientOf(proxies);
    await client.start(signal);
    using connection = await accepted();
    connection.send(encodeRequest({ kind: 'add', pod: pod('a') }), namespaceFile('a'));
    expect(await ackOf(connection)).toBe('');
    expect(client.state.value).toEqual({
      connected: true,
      snapshotReceived: false,
      pending: [],
      ready: false,
    });
  });

  test('an agent that is not there is dialled ever more slowly', async () => {
    listener.close();
    const waitsMs: number[] = [];
    const clock = new (class extends FakeClock {
      override sleep(ms: number, until?: AbortSignal): Promise<void> {
        waitsMs.push(Math.round(ms));
        return super.sleep(ms, until);
      }
    })();
    await using client = new ZdsClient({ path, handler: new Proxies(), clock, random: () => 0.5, log });
    await client.start(signal);
    while (waitsMs.length < 7) await clock.advance(RECONNECT_MAX_MS);
    // The longest is of the middle draw; with jitter it is RECONNECT_MAX_MS at most.
    expect(waitsMs.slice(0, 7)).toEqual([20, 40, 80, 160, 320, 417, 417]);
    listener = new SeqpacketListener(path);
    await clock.advance(RECONNECT_MAX_MS);
    await accepted();
  });
});
