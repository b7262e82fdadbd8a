#!/usr/bin/env node
/**
 * The node agent's process: environment, signals and exit codes. Everything else is app.ts.
 *
 * With the word `preflight` it only looks at the node, for the command of that name.
 *
 * Exit codes: 0 after a graceful end, 1 for whatever kept it from starting or could not be gone on from.
 */
import { systemClock, systemRandom } from '@ambit/core/clock';
import { messageOf } from '@ambit/core/errors';
import { LogRoot, parseLogFilter } from '@ambit/core/log';
import { KubeClient } from '@ambit/kube/client';
import { startAgent } from './app.ts';
import { runPreflight } from '../preflight/main.ts';
import { agentConfigFrom } from './config.ts';

/** Of the pod's grace period of 30 s. */
const LEAVE_TIMEOUT_MS = 15_000;

async function main(): Promise<void> {
  const config = agentConfigFrom(process.env);
  const filter = parseLogFilter(config.logFilter) ?? { base: 'info', scopes: new Map() };
  const format = process.argv.includes('--log_as_json') ? 'json' : 'plain';
  const log = new LogRoot({ filter, format }).scope('cni');
  const fatal = (error: unknown) => {
    log.error('cannot go on', { error: messageOf(error) });
    process.exit(1);
  };
  process.on('uncaughtException', fatal);
  process.on('unhandledRejection', fatal);
  const end = new AbortController();
  for (const name of ['SIGTERM', 'SIGINT'] as const) process.on(name, () => end.abort(new Error(name)));

  using client = await KubeClient.load({ env: process.env });
  await using agent = await startAgent(
    config,
    { client, clock: systemClock, random: systemRandom, log },
    end.signal,
  );
  await new Promise<void>((resolve) => {
    if (end.signal.aborted) resolve();
    else end.signal.addEventListener('abort', () => resolve(), { once: true });
  });
  log.info('the node agent stops; enrolled pods stay enrolled');
  await agent.leave(AbortSignal.timeout(LEAVE_TIMEOUT_MS));
}

try {
  await (process.argv[2] === 'preflight' ? runPreflight() : main());
  process.exit(0);
} catch (error) {
  process.stderr.write(`Error: ${messageOf(error)}\n`);
  process.exit(1);
}
