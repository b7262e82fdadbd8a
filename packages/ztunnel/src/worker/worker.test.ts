import { expect, test } from '@jest/globals';
import { systemClock, systemRandom } from '@ambit/core/clock';
import { LogRoot, parseLogFilter } from '@ambit/core/log';
import { OPTIONS } from '../testing/worker-network.ts';
import type { WorkerToControl } from '../threads/messages.ts';
import { AccessOutput } from './access-output.ts';
import { DataWorker } from './worker.ts';

test('a pod that comes when the proxy is stopping is refused: what it let in would soon be cut', async () => {
  const said: WorkerToControl[] = [];
  const filter = parseLogFilter('off') ?? { base: 'info', scopes: new Map() };
  const worker = new DataWorker({
    options: OPTIONS,
    post: (message) => said.push(message),
    clock: systemClock,
    random: systemRandom,
    log: new LogRoot({ filter, format: 'plain' }),
    accessLog: new AccessOutput({ filter, format: 'plain', clock: systemClock }),
  });
  worker.receive({ kind: 'drain', deadlineMs: 0 });
  const pod = { uid: 'u1', name: 'p', namespace: 'ns', serviceAccount: 'sa' };
  worker.receive({
    kind: 'start-pod',
    pod,
    netnsFd: undefined,
    identity: 'spiffe://td/ns/ns/sa/sa',
    inboundOnly: false,
  });
  await new Promise(setImmediate);
  expect(said).toEqual([
    { kind: 'draining' },
    { kind: 'pod-failed', uid: 'u1', reason: 'the proxy is stopping' },
    { kind: 'drained' },
  ]);
});
