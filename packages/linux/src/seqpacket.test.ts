import { mkdtempSync, openSync, closeSync, readdirSync, rmSync, fstatSync, existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from '@jest/globals';
import { addressOf, libc, memory } from './libc.ts';
import { MAX_MESSAGE_BYTES } from './limits.ts';
import { messageHeader } from './message-header.ts';
import { connectSeqpacket, type SeqpacketConnection, SeqpacketListener, seqpacketPair } from './seqpacket.ts';

const folder = mkdtempSync(join(tmpdir(), 'ambit-seqpacket-'));
afterAll(() => rmSync(folder, { recursive: true }));

const text = (bytes: Uint8Array | undefined) => bytes && Buffer.from(bytes).toString();
const openFds = () => readdirSync('/proc/self/fd').length;
const tick = () => new Promise((resolve) => setImmediate(resolve));

describe('SOCK_SEQPACKET', () => {
  test('messages keep their boundaries and their order', async () => {
    const [a, b] = seqpacketPair();
    a.send(Buffer.from('one'));
    a.send(Buffer.from('two'));
    expect(text((await b.receive())?.bytes)).toBe('one');
    expect(text((await b.receive())?.bytes)).toBe('two');
    const later = b.receive();
    await tick();
    a.send(Buffer.from('three'));
    expect(text((await later)?.bytes)).toBe('three');
    a.close();
    expect(await b.receive()).toBeUndefined();
    b.close();
  });

  test('a descriptor arrives as the same file, once', async () => {
    const [a, b] = seqpacketPair();
    const fd = openSync('/proc/self/ns/net', 'r');
    a.send(Buffer.from('with'), fd);
    a.send(Buffer.from('without'));
    const first = await b.receive();
    expect(first?.fd).not.toBe(fd);
    expect(fstatSync(first?.fd ?? -1).ino).toBe(fstatSync(fd).ino);
    expect((await b.receive())?.fd).toBeUndefined();
    closeSync(first?.fd ?? -1);
    closeSync(fd);
    a.close();
    b.close();
  });

  test('the longest message passes, a longer one is refused on both sides', async () => {
    const [a, b] = seqpacketPair();
    a.send(new Uint8Array(MAX_MESSAGE_BYTES).fill(7));
    expect((await b.receive())?.bytes.length).toBe(MAX_MESSAGE_BYTES);
    expect(() => a.send(new Uint8Array(MAX_MESSAGE_BYTES + 1))).toThrow('message of 1025 bytes');
    expect(() => a.send(new Uint8Array(0))).toThrow('message of 0 bytes');
    a.close();
    b.close();
  });

  test('a peer that sends too much is found out, and nothing it sent stays open', async () => {
    const path = join(folder, 'oversized');
    using listener = new SeqpacketListener(path);
    const fd = libc.socket(1, 5, 0);
    const address = Buffer.from(`\u0001\u0000${path}\u0000`);
    expect(libc.connect(fd, address, address.length)).toBe(0);
    using server = (await listener.accept()) as SeqpacketConnection;
    const before = openFds();
    const long = messageHeader(2 * MAX_MESSAGE_BYTES);
    long.prepareSend(2 * MAX_MESSAGE_BYTES, fd);
    expect(libc.sendmsg(fd, long.header, 0)).toBe(2 * MAX_MESSAGE_BYTES);
    await expect(server.receive()).rejects.toThrow('message with more than 1024 bytes');
    expect(openFds()).toBe(before);
    libc.close(fd);
  });

  test('two descriptors in one message are refused, and neither stays open', async () => {
    const path = join(folder, 'two');
    using listener = new SeqpacketListener(path);
    const fd = libc.socket(1, 5, 0);
    const address = Buffer.from(`\u0001\u0000${path}\u0000`);
    expect(libc.connect(fd, address, address.length)).toBe(0);
    using server = (await listener.accept()) as SeqpacketConnection;
    const before = openFds();
    const message = messageHeader(4);
    message.prepareSend(4, fd);
    const control = memory(24);
    control.view.setBigUint64(0, 24n, true);
    for (const [at, value] of [
      [8, 1],
      [12, 1],
      [16, fd],
      [20, fd],
    ] as const)
      control.view.setInt32(at, value, true);
    const header = new DataView(message.header.buffer);
    header.setBigUint64(32, addressOf(control.bytes), true);
    header.setBigUint64(40, 24n, true);
    expect(libc.sendmsg(fd, message.header, 0)).toBe(4);
    await expect(server.receive()).rejects.toThrow('message with more than 1 descriptor');
    expect(openFds()).toBe(before);
    libc.close(fd);
  });

  test('closing ends a pending receive; sending afterwards fails', async () => {
    const [a, b] = seqpacketPair();
    const pending = a.receive();
    await tick();
    a.close();
    expect(await pending).toBeUndefined();
    expect(() => a.send(Buffer.from('x'))).toThrow('EBADF');
    expect(() => b.send(Buffer.from('x'))).toThrow('EPIPE');
    b.close();
  });

  test('a peer that never reads makes send fail instead of waiting', () => {
    const [a, b] = seqpacketPair();
    const fill = () => {
      for (let i = 0; i < 100_000; i++) a.send(new Uint8Array(MAX_MESSAGE_BYTES));
    };
    expect(fill).toThrow('EAGAIN');
    a.close();
    b.close();
  });

  test('a listener replaces a stale file, serves many, and leaves the file of a successor alone', async () => {
    const path = join(folder, 'sub', 'listen');
    const first = new SeqpacketListener(path);
    const second = new SeqpacketListener(path);
    first.close();
    expect(existsSync(path)).toBe(true);
    const clients = [connectSeqpacket(path), connectSeqpacket(path)];
    for (const client of clients) {
      using server = (await second.accept()) as SeqpacketConnection;
      server.send(Buffer.from('welcome'));
      expect(text((await client.receive())?.bytes)).toBe('welcome');
      client.close();
    }
    const pending = second.accept();
    second.close();
    expect(await pending).toBeUndefined();
    expect(existsSync(path)).toBe(false);
  });

  test('nobody there, or a path that is none, is said clearly', () => {
    expect(() => connectSeqpacket(join(folder, 'nobody'))).toThrow(/connect \(.*nobody\): ENOENT/);
    expect(() => connectSeqpacket('x'.repeat(200))).toThrow('at most 107 bytes');
    expect(() => new SeqpacketListener('')).toThrow('at most 107 bytes');
  });

  test('no descriptor is left behind', async () => {
    const before = openFds();
    for (let i = 0; i < 50; i++) {
      const [a, b] = seqpacketPair();
      a.send(Buffer.from('x'));
      await b.receive();
      a.close();
      b.close();
    }
    await tick();
    expect(openFds()).toBe(before);
  });
});
