#!/usr/bin/env node
/** `node packages/embedded/src/main.ts`: the embedded API by itself, in the foreground, until it is interrupted. */
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { messageOf } from '@ambit/core/errors';
import { LogRoot, parseLogFilter } from '@ambit/core/log';
import { startEmbeddedApi } from './server.ts';

const USAGE = `usage: ambit-embedded --kubeconfig PATH [--host ADDRESS] [--port PORT] [--folder PATH [--sync always]]
                      [--log LEVEL]

Serves a small Kubernetes-compatible API on this machine and writes the admin's kubeconfig to PATH.
With --folder, objects and keys are kept there over a restart.
`;

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      kubeconfig: { type: 'string' },
      host: { type: 'string', default: '127.0.0.1' },
      port: { type: 'string', default: '0' },
      folder: { type: 'string' },
      sync: { type: 'string', default: 'batched' },
      log: { type: 'string', default: 'info' },
      help: { type: 'boolean', default: false },
    },
  });
  const port = Number(values.port);
  const filter = parseLogFilter(values.log);
  const { sync } = values;
  if (
    values.help ||
    values.kubeconfig === undefined ||
    !filter ||
    !Number.isInteger(port) ||
    port < 0 ||
    port > 65_535 ||
    (sync !== 'always' && sync !== 'batched')
  ) {
    process.stderr.write(USAGE);
    return values.help ? 0 : 2;
  }
  const log = new LogRoot({ filter, format: 'plain' }).scope('embedded');
  // Before anything is started, so that an early interrupt also ends in order.
  const interrupted = new Promise<string>((done) => {
    for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, done);
  });
  const api = await startEmbeddedApi({
    environment: process.env,
    kubeconfigPath: resolve(values.kubeconfig),
    listen: { host: values.host, port },
    ...(values.folder !== undefined && { folder: resolve(values.folder) }),
    sync,
    log,
  });
  const signal = await interrupted;
  log.info('stopping', { signal });
  await api.stop();
  return 0;
}

try {
  process.exitCode = await main();
} catch (error) {
  process.stderr.write(`${messageOf(error)}\n`);
  process.exitCode = 1;
}
