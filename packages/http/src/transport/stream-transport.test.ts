import { expect, test } from '@jest/globals';
import type { H2Stream } from '../h2/stream.ts';
import { StreamTransport } from './stream-transport.ts';

/** Enough of a stream for what happens before and while a transport starts. */
function stream(hasRemoteEnded = false): H2Stream {
  const made: Pick<H2Stream, 'handler' | 'hasRemoteEnded' | 'end' | 'reset' | 'write' | 'credit'> = {
    handler: { onHeaders() {}, onData() {}, onEnd() {}, onReset() {}, onWritable() {} },
    hasRemoteEnded,
    end() {},
    reset() {},
    write: () => true,
    credit() {},
  };
  return made as H2Stream;
}

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));
const EARLY = [Buffer.from('a'), Buffer.from('b')];

test('what came early goes to whoever has the transport when its turn comes', async () => {
  const heard: string[] = [];
  const transport = new StreamTransport(stream(true), 'peer', EARLY);
  const owner = (name: string, onFirst: () => void) => ({
    onBytes(bytes: Buffer) {
      heard.push(`${name} ${bytes.toString()}`);
      onFirst();
    },
    onIdle() {},
    onEnd: () => void heard.push(`${name} end`),
    onClosed: () => void heard.push(`${name} closed`),
  });
  transport.start(owner('first', () => transport.start(owner('second', () => undefined))));
  await turn();
  expect(heard).toEqual(['first a', 'second b', 'second end']);
});

test('the end is told once, whoever brings it about', async () => {
  for (const act of ['destroy', 'end'] as const) {
    let closed = 0;
    const transport = new StreamTransport(stream(true), 'peer', EARLY);
    transport.start({
      onBytes: () => transport[act](),
      onIdle() {},
      onClosed: () => {
        closed++;
      },
    });
    await turn();
    expect(closed).toBe(1);
  }
});

test('what comes while the early bytes are on their way stays behind them', async () => {
  const heard: string[] = [];
  const under = stream();
  const transport = new StreamTransport(under, 'peer', EARLY);
  transport.start({
    onBytes: (bytes) => void heard.push(bytes.toString()),
    onIdle() {},
    onEnd: () => void heard.push('end'),
    onClosed() {},
  });
  transport.onData(under, Buffer.from('c'));
  transport.onData(under, Buffer.from('d'));
  transport.onEnd();
  await turn();
  expect(heard).toEqual(['a', 'b', 'c', 'd', 'end']);
});
