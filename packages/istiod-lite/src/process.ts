/** The process once it has its settings: environment in, signals in, exit code out. */
import { systemClock, systemRandom } from '@ambit/core/clock';
import { garbageCollector } from '@ambit/core/collect-garbage';
import { messageOf } from '@ambit/core/errors';
import { VERSION } from '@ambit/core/gen/version';
import { LogRoot } from '@ambit/core/log';
import { KubeClient } from '@ambit/kube/client';
import { startControlPlane } from './app.ts';
import { configFrom } from './config.ts';

/** 0: stopped when told to; 1: could not start, or a bug. */
export async function runProcess(env: Readonly<Record<string, string | undefined>>): Promise<number> {
  try {
    await run(env);
    return 0;
  } catch (error) {
    process.stderr.write(`istiod: ${messageOf(error)}\n`);
    return 1;
  }
}

async function run(env: Readonly<Record<string, string | undefined>>): Promise<void> {
  const config = configFrom(env);
  const log = new LogRoot({ filter: config.logFilter, format: config.logFormat }).scope('istiod');
  const told = new AbortController();
  for (const name of ['SIGTERM', 'SIGINT'] as const) process.once(name, () => told.abort(new Error(name)));
  const client = await KubeClient.load({ env });
  const collectGarbage = garbageCollector('regular');
  const deps = { client, version: VERSION, clock: systemClock, random: systemRandom, log, collectGarbage };
  const controlPlane = await startControlPlane(config, deps, told.signal).catch((error: unknown) => {
    if (told.signal.aborted) return undefined;
    throw error;
  });
  if (controlPlane) {
    if (!told.signal.aborted) await new Promise((resolve) => told.signal.addEventListener('abort', resolve));
    log.info('stopping', { reason: messageOf(told.signal.reason) });
    await controlPlane.stop();
  }
  client[Symbol.dispose]();
}
