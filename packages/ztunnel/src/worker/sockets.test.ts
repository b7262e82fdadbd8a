import { closeSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { systemClock } from '@ambit/core/clock';
import { freePort } from '@ambit/core/testing/free-port';
import { PlainSocket, type PlainSocketEvents } from '@ambit/http/transport/plain-socket';
import { acceptWaiting, listenTcp, receiveWaiting } from '@ambit/linux/sockets';
import { QUEUED_BYTES_PER_POD, QUEUED_BYTES_PER_PROCESS } from '@ambit/hbone/limits';
import { OPTIONS } from '../testing/worker-network.ts';
import { shareOf } from './limits.ts';
import { PodSockets } from './sockets.ts';

/** No socket can bear it: which link it is on is not said. */
const UNBEARABLE = 'fe80::1';

test('where clients must be seen as they are, nobody is seen as the pod', () => {
  const unable: unknown[] = [];
  const from = (originalSource: 'must' | 'try') =>
    new PodSockets(
      undefined,
      { ...OPTIONS, packetMark: undefined, originalSource },
      true,
      () => 0,
    ).connectFrom(UNBEARABLE, { ip: '::1', port: 1 }, (error) => unable.push(error));
  expect(() => from('must')).toThrow();
  expect(unable).toEqual([]);
  closeSync(from('try'));
  expect(unable).toHaveLength(1);
});

test('workers share what the process may hold, and each can hold a whole window', () => {
  const window = OPTIONS.http2.streamWindowBytes;
  expect(2 * shareOf(QUEUED_BYTES_PER_POD, 2, window)).toBe(QUEUED_BYTES_PER_POD);
  expect(4 * shareOf(QUEUED_BYTES_PER_PROCESS, 4, window)).toBe(QUEUED_BYTES_PER_PROCESS);
  expect(shareOf(QUEUED_BYTES_PER_POD, 64, window)).toBe(2 * window);
});

test('a pod that has stopped gets no sockets', () => {
  const sockets = new PodSockets(undefined, { ...OPTIONS, packetMark: undefined }, true, () => 0);
  const unable: unknown[] = [];
  sockets.close();
  expect(() => sockets.plain('127.0.0.1')).toThrow('the pod has stopped');
  const to = { ip: '127.0.0.1', port: 1 };
  expect(() => sockets.connect(to)).toThrow('the pod has stopped');
  expect(() => sockets.connectFrom('127.0.0.2', to, (error) => unable.push(error))).toThrow(
    'the pod has stopped',
  );
  expect(unable).toEqual([]);
});

describe('a connection to an application', () => {
  const sockets = new PodSockets(undefined, { ...OPTIONS, packetMark: undefined }, true, () => 0.5);

  /** A listener that takes connections when it is told to. */
  async function listener(backlog: number): Promise<{ readonly fd: number; readonly port: number }> {
    const port = await freePort();
    return { fd: listenTcp({ ip: '127.0.0.1', port, backlog }).fd, port };
  }

  function connect(port: number): { readonly socket: PlainSocket; readonly events: string[] } {
    const events: string[] = [];
    const recorder: PlainSocketEvents = {
      onPlainConnected: () => void events.push('connected'),
      onPlainError: (code) => void events.push(code),
      onPlainData: (buffer, from, to) => void events.push(buffer.toString('latin1', from, to)),
      onPlainEnd: () => void events.push('end'),
      onPlainWritten: () => void events.push('written'),
    };
    const connecting = sockets.connect({ ip: '127.0.0.1', port });
    return { socket: new PlainSocket({ connecting }, recorder), events };
  }

  async function until(holds: () => boolean): Promise<void> {
    for (let i = 0; i < 2_500 && !holds(); i++) await systemClock.sleep(10);
    expect(holds()).toBe(true);
  }

  test('is there at once where the kernel has made it, and reads what has arrived', async () => {
    const { fd, port } = await listener(8);
    const { socket, events } = connect(port);
    expect(socket.isConnected).toBe(true);
    const accepted = acceptWaiting(fd) ?? -1;
    const peer = new PlainSocket(
      { connecting: accepted },
      { onPlainError() {}, onPlainData() {}, onPlainEnd() {}, onPlainWritten() {} },
    );
    socket.readWaiting(receiveWaiting, 4);
    expect(events).toEqual([]);
    expect(peer.write(Buffer.from('hello'))).toBe('done');
    socket.readWaiting(receiveWaiting, 4);
    expect(events).toEqual(['hell']);
    socket.resume();
    peer.end();
    await until(() => events.length === 3);
    expect(events).toEqual(['hell', 'o', 'end']);
    socket.readWaiting(receiveWaiting, 4);
    expect(events).toHaveLength(3);
    peer.close();
    socket.close();
    closeSync(fd);
  });

  test('that is refused says so, after the call', async () => {
    const { fd, port } = await listener(8);
    closeSync(fd);
    const { socket, events } = connect(port);
    expect(socket.isConnected).toBe(false);
    expect(events).toEqual([]);
    await until(() => events.length > 0);
    expect(events).toEqual(['ECONNREFUSED']);
    expect(socket.isClosed).toBe(true);
  });

  test('that was reset says so when what has arrived is read', async () => {
    const { fd, port } = await listener(8);
    const { socket, events } = connect(port);
    const peer = new PlainSocket(
      { connecting: acceptWaiting(fd) ?? -1 },
      { onPlainError() {}, onPlainData() {}, onPlainEnd() {}, onPlainWritten() {} },
    );
    peer.reset();
    await systemClock.sleep(10);
    socket.readWaiting(receiveWaiting, 4);
    expect(events).toEqual(['ECONNRESET']);
    expect(socket.isClosed).toBe(true);
    closeSync(fd);
  });

  test.each([
    ['is taken', (fd: number) => void acceptWaiting(fd), 'connected'],
    ['is refused', closeSync, 'ECONNREFUSED'],
  ])('that waits for the application hears when it %s', async (_, act, told) => {
    const { fd, port } = await listener(0);
    const first = connect(port);
    expect(first.socket.isConnected).toBe(true);
    const second = connect(port);
    expect(second.socket.isConnected).toBe(false);
    act(fd);
    await until(() => second.events.length > 0);
    expect(second.events).toEqual([told]);
    expect(second.socket.isConnected).toBe(told === 'connected');
    for (const { socket } of [first, second]) socket.close();
    if (told === 'connected') closeSync(fd);
  });
});
