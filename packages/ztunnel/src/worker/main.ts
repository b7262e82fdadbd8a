/** The entry of a data worker thread: its options, its port to the control thread, its clock. Everything else is worker.ts. */
import { flushCompileCache } from 'node:module';
import { parentPort, workerData } from 'node:worker_threads';
import { systemClock, systemRandom } from '@ambit/core/clock';
import { messageOf } from '@ambit/core/errors';
import { LogRoot, parseLogFilter } from '@ambit/core/log';
import { garbageCollector } from '@ambit/core/collect-garbage';
import { giveBackFreeMemory } from '@ambit/linux/malloc';
import type { ControlToWorker, WorkerToControl } from '../threads/messages.ts';
import type { WorkerOptions } from '../threads/worker-options.ts';
import { tierUpEarly } from '../runtime.ts';
import { AccessOutput } from './access-output.ts';
import { warmUp } from './warm-up.ts';
import { DataWorker } from './worker.ts';

if (!parentPort) throw new Error('worker/main.ts is started by the control thread, not by hand');
const port = parentPort;
const options = workerData as WorkerOptions;
const filter = parseLogFilter(options.log.filter) ?? { base: 'info', scopes: new Map() };
const log = new LogRoot({ filter, format: options.log.format });
const accessLog = new AccessOutput({ filter, format: options.log.format, clock: systemClock });
process.on('exit', () => accessLog.flushSync());

const collectGarbage = garbageCollector();

const worker = new DataWorker({
  options,
  post: (message: WorkerToControl) => {
    port.postMessage(message);
    if (message.kind === 'drained') setImmediate(() => process.exit(0));
  },
  clock: systemClock,
  random: systemRandom,
  log,
  accessLog,
  collectGarbage,
  warmUp: (message, thread) =>
    warmUp(message, {
      options,
      clock: systemClock,
      random: systemRandom,
      collectGarbage,
      tierUpEarly,
      ...thread,
    })
      .then(
        () => log.scope('warm-up').debug('warmed up'),
        (error: unknown) =>
          log.scope('warm-up')[thread.signal.aborted ? 'debug' : 'info']('not warmed up', {
            error: messageOf(error),
          }),
      )
      .finally(() => void giveBackFreeMemory()),
});
port.on('message', (message: ControlToWorker) => worker.receive(message));
port.postMessage({ kind: 'ready' } satisfies WorkerToControl);
flushCompileCache();
