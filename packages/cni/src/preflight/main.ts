/** `preflight`, the agent's image in its other role: a pod that looks at its node until it is deleted. */
import { systemClock } from '@ambit/core/clock';
import { LogRoot, parseLogFilter } from '@ambit/core/log';
import { runCommand } from '../rules/command.ts';
import { PREFLIGHT_PORTS, startPreflight } from './server.ts';

/** Resolves when it was told to end. */
export async function runPreflight(): Promise<void> {
  const end = new AbortController();
  for (const name of ['SIGTERM', 'SIGINT'] as const) process.on(name, () => end.abort(new Error(name)));
  const filter = parseLogFilter('info') ?? { base: 'info', scopes: new Map() };
  const log = new LogRoot({ filter, format: 'plain' }).scope('preflight');
  await using _ = await startPreflight(
    {
      node: process.env['NODE_NAME'] ?? '',
      cniFolder: process.env['MOUNTED_CNI_NET_DIR'] ?? '/host/etc/cni/net.d',
      procFolder: '/proc',
      sysFolder: '/sys',
      run: runCommand,
      clock: systemClock,
      ports: PREFLIGHT_PORTS,
      log,
    },
    end.signal,
  );
  await new Promise<void>((resolve) => {
    if (end.signal.aborted) resolve();
    else end.signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
