import { execFileSync } from 'node:child_process';
import { describe, expect, test } from '@jest/globals';
import { libc, memory } from './libc.ts';
import { Readiness } from './readiness.ts';

const NONBLOCK = 0o4000;

function pair(): readonly [number, number] {
  const { bytes, view } = memory(8);
  expect(libc.socketpair(1, 5 | NONBLOCK, 0, bytes)).toBe(0);
  return [view.getInt32(0, true), view.getInt32(4, true)];
}

describe('readiness', () => {
  test('tells that there is something and leaves it there', async () => {
    const [a, b] = pair();
    using readiness = new Readiness(a);
    const byte = memory(1).bytes;
    for (let i = 0; i < 3; i++) {
      const ready = readiness.readable();
      expect(libc.send(b, byte, 1, 0)).toBe(1);
      await ready;
      await readiness.readable();
      expect(libc.recv(a, byte, 1, 0)).toBe(1);
      expect(libc.recv(a, byte, 1, 0)).toBe(-1);
    }
    libc.close(b);
    await readiness.readable();
    expect(libc.recv(a, byte, 1, 0)).toBe(0);
  });

  test('a second waiter is a mistake; closing wakes the first', async () => {
    const [a, b] = pair();
    const readiness = new Readiness(a);
    const waiting = readiness.readable();
    expect(() => readiness.readable()).toThrow('somebody waits already');
    readiness.close();
    await waiting;
    libc.close(b);
  });

  test('a process that waits can exit at once', () => {
    const script = `import { connectSeqpacket, seqpacketPair } from ${JSON.stringify(new URL('./seqpacket.ts', import.meta.url).href)};
      const [a] = seqpacketPair();
      void a.receive();
      setTimeout(() => process.exit(0), 20);`;
    execFileSync(process.execPath, ['--input-type=module', '-e', script], { timeout: 120_000 });
  });
});
