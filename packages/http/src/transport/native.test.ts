import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import {
  acceptHandles,
  connectTcp,
  handleOf,
  own,
  shutdown,
  type StreamOwner,
  type TcpHandle,
  UV_EOF,
  write,
} from './native.ts';
import { isMostlyWithin } from '@ambit/core/testing/mostly-within';

/** Nobody else’s: a test beside this one may ask 127.0.0.1 at a port that it has just closed, and that we were given. */
const HOST = '127.0.77.1';

/** Records what a handle tells, and reads into the buffers it is told to. */
class Recorder implements StreamOwner {
  readonly buffer = Buffer.alloc(64);
  readonly next: Buffer[] = [];
  readonly events: string[] = [];
  onRead(count: number) {
    this.events.push(`read ${count}`);
    return this.next.shift();
  }
  onReadEnd(status: number) {
    this.events.push(status === UV_EOF ? 'end' : `error ${status}`);
  }
  onWritten(status: number) {
    this.events.push(`written ${status}`);
  }
  onConnected(status: number) {
    this.events.push(`connected ${status}`);
  }
}

const server = createServer({ allowHalfOpen: true });
const accepted: TcpHandle[] = [];
let port = 0;

async function until(holds: () => boolean): Promise<void> {
  for (let i = 0; i < 10_000 && !holds(); i++) await new Promise((resolve) => setTimeout(resolve, 2));
  expect(holds()).toBe(true);
}

async function acceptedHandle(): Promise<TcpHandle> {
  await until(() => accepted.length > 0);
  const handle = accepted.shift();
  if (!handle) throw new Error('nothing accepted');
  return handle;
}

beforeAll(async () => {
  server.listen(0, HOST);
  await once(server, 'listening');
  acceptHandles(
    server,
    (handle) => accepted.push(handle),
    () => undefined,
  );
  const address = server.address();
  port = typeof address === 'object' && address ? address.port : 0;
});
afterAll(() => void server.close());

describe('what the tunnel relies on in this Node', () => {
  test('an accepted handle reads into the buffer it was given, then into the one that onRead returns', async () => {
    const client = connect(port, HOST);
    const handle = await acceptedHandle();
    const owner = new Recorder();
    const second = Buffer.alloc(64);
    owner.next.push(second);
    own(handle, owner, owner.buffer);
    handle.readStart();
    client.write('first');
    await until(() => owner.events.length === 1);
    client.write('second');
    await until(() => owner.events.length === 2);
    client.end();
    await until(() => owner.events.length === 3);
    expect(owner.buffer.toString('latin1', 0, 5)).toBe('first');
    expect(second.toString('latin1', 0, 6)).toBe('second');
    expect(owner.events).toEqual(['read 5', 'read 6', 'end']);
    handle.close();
  });

  test('a write that fits is done at once; one that does not keeps pointing into its bytes until told', async () => {
    const client = connect(port, HOST).pause();
    const handle = await acceptedHandle();
    const owner = new Recorder();
    own(handle, owner, owner.buffer);
    expect(write(handle, owner, Buffer.from('small'))).toBe('done');
    const large = Buffer.alloc(16 * 1024 * 1024, 1);
    expect(write(handle, owner, large)).toBe('held');
    expect(handle.writeQueueSize).toBeGreaterThan(0);
    large.fill(2, large.length - 10);
    let received = 0;
    let last = 0;
    client.on('data', (chunk: Buffer) => {
      received += chunk.length;
      last = chunk.at(-1) ?? 0;
    });
    client.resume();
    await until(() => received === large.length + 5);
    expect(owner.events).toEqual(['written 0']);
    expect(last).toBe(2);
    handle.close();
    client.destroy();
  });

  test('what is written in two parts comes at once, though the peer acknowledges late', async () => {
    const client = connect(port, HOST).setNoDelay(true);
    const handle = await acceptedHandle();
    const owner = new Recorder();
    own(handle, owner, owner.buffer);
    handle.readStart();
    let asked = 0;
    const ask = async () => {
      asked += 1;
      client.write('?');
      await until(() => owner.events.length === asked);
      write(handle, owner, Buffer.from('one'));
      write(handle, owner, Buffer.from('two'));
      for (let text = ''; text.length < 6; ) text += String((await once(client, 'data'))[0]);
    };
    // At first Linux acknowledges at once; then it waits for 40 ms whether the client says something.
    for (let early = 0; early < 4; early++) await ask();
    expect(await isMostlyWithin(30, ask)).toBe(true);
    handle.close();
    client.destroy();
  });

  test('a connection that is made tells so, and a refused one its error', async () => {
    const owner = new Recorder();
    const handle = connectTcp(owner, HOST, port);
    await until(() => owner.events.length === 1);
    expect(owner.events).toEqual(['connected 0']);
    const peer = await acceptedHandle();
    if (typeof handle === 'number') throw new Error('not started');
    shutdown(handle);
    const peerOwner = new Recorder();
    own(peer, peerOwner, peerOwner.buffer);
    peer.readStart();
    await until(() => peerOwner.events.length === 1);
    expect(peerOwner.events).toEqual(['end']);
    handle.close();
    peer.close();
    const refused = new Recorder();
    connectTcp(refused, HOST, 1);
    await until(() => refused.events.length === 1);
    expect(refused.events).toEqual(['connected -111']);
  });

  test('a socket shows its handle', async () => {
    const client = connect(port, HOST);
    const handle = await acceptedHandle();
    expect(handleOf(client)).toBeDefined();
    expect(handle.fd).toBeGreaterThan(0);
    client.destroy();
    expect(handleOf(client)).toBeUndefined();
    handle.reset();
  });
});
