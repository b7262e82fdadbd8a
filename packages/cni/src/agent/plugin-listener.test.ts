import { mkdtempSync, rmSync } from 'node:fs';
import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { systemClock } from '@ambit/core/clock';
import { silentLogger } from '@ambit/core/log';
import { type PluginListenerOptions, startPluginListener } from './plugin-listener.ts';

const EVENT = {
  Netns: '/var/run/netns/cni-1',
  PodName: 'web',
  PodNamespace: 'shop',
  IPs: [{ Address: { IP: '10.244.1.7' } }],
};

let folder: string;
let listener: AsyncDisposable | undefined;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'ambit-plugin-listener-'));
});

afterEach(async () => {
  await listener?.[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

/** What the runtime is told of a pod that the agent could not find for this reason. */
async function answerWhen(error: Error, pending: readonly string[]): Promise<readonly [number, string]> {
  const socketPath = join(folder, 'pluginevent.sock');
  const options: Partial<PluginListenerOptions> = {
    socketPath,
    hostPrefix: '/host',
    pending: () => pending,
    findPod: () => Promise.reject(error),
    clock: systemClock,
    log: silentLogger,
    onAnswer: () => undefined,
  };
  listener = await startPluginListener(options as PluginListenerOptions);
  const asked = request({ socketPath, path: '/cmdadd', method: 'POST' });
  asked.end(JSON.stringify(EVENT));
  const [answer] = (await once(asked, 'response')) as [IncomingMessage];
  return [answer.statusCode ?? 0, await text(answer)];
}

const late = new DOMException('The operation was aborted due to timeout', 'TimeoutError');

test.each([
  [
    'an agent that has not read the API server yet says what it waits for',
    late,
    ['pods of the node', 'CNI configuration'],
    'no answer within 4500 ms: the node agent is not ready, pending: pods of the node, CNI configuration\n',
  ],
  ['a ready one that was too slow says that', late, [], 'no answer within 4500 ms\n'],
  [
    'everything else is said as it is',
    new Error('the API server said 500'),
    ['plugin'],
    'the API server said 500\n',
  ],
])('%s', async (_, error, pending, body) => expect(await answerWhen(error, pending)).toEqual([500, body]));
