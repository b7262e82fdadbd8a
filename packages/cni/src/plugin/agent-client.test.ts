import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { AGENT_ANSWER_MAX_BYTES } from '../limits.ts';
import { askAgent } from './agent-client.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'ambit-ask-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Asks somebody who does `answer` once the question's last byte is there; how that went, and what was asked. */
async function askedOf(answer: (socket: Socket) => void) {
  const socketPath = join(folder, 'agent.sock');
  let asked = '';
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.on('data', (chunk) => {
      asked += chunk.toString('utf8');
      if (asked.endsWith('}')) answer(socket);
    });
  });
  server.listen(socketPath);
  await once(server, 'listening');
  const body = '{"PodName":"wéb"}';
  const outcome = await askAgent({ socketPath, path: '/cmdadd', body, timeoutMs: 5_000 }).catch(
    (error: Error) => error.message,
  );
  server.close();
  return { outcome, asked };
}

const OK = 'HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n';

describe('an answer', () => {
  test('is what comes until the end, however it is cut', async () => {
    const { outcome, asked } = await askedOf((socket) => {
      socket.write('HTTP/1.1 50');
      setImmediate(() => socket.write('3 No\r\na: b\r\n\r'));
      setTimeout(() => socket.end('\nno ztunnel\n\r\n'), 5);
    });
    expect(outcome).toEqual({ status: 503, body: 'no ztunnel' });
    expect(asked).toBe(
      'POST /cmdadd HTTP/1.0\r\nhost: unix\r\ncontent-type: application/json\r\ncontent-length: 18\r\n\r\n{"PodName":"wéb"}',
    );
  });

  const cases: Record<string, { answer: (socket: Socket) => void; want: unknown }> = {
    'with nothing to say': { answer: (socket) => socket.end(OK), want: { status: 200, body: '' } },
    'of an older protocol': {
      answer: (socket) => socket.end('HTTP/1.0 200 OK\r\n\r\n{}'),
      want: { status: 200, body: '{}' },
    },
    'that is none': { answer: (socket) => socket.end(), want: expect.stringContaining('without an answer') },
    'whose head has no end': {
      answer: (socket) => socket.end('HTTP/1.1 200 OK\r\nconnection: close'),
      want: expect.stringContaining('without an answer'),
    },
    'that is no HTTP': {
      answer: (socket) => socket.end('hello\r\n\r\n'),
      want: expect.stringContaining('without an answer'),
    },
    'without end': {
      answer: (socket) => socket.write(OK + 'x'.repeat(AGENT_ANSWER_MAX_BYTES)),
      want: expect.stringContaining('more than'),
    },
  };

  test.each(Object.entries(cases))('%s', async (_, { answer, want }) => {
    expect((await askedOf(answer)).outcome).toEqual(want);
  });
});
