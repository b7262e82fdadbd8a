/**
 * The process: command line, environment, signals and exit codes. Everything else is app.ts.
 *
 * Exit codes: 0 after a graceful end, 1 for whatever kept it from starting or could not be gone on from.
 */
import { existsSync } from 'node:fs';
import { flushCompileCache } from 'node:module';
import { systemClock, systemRandom } from '@ambit/core/clock';
import { messageOf } from '@ambit/core/errors';
import { VERSION } from '@ambit/core/gen/version';
import { LogRoot } from '@ambit/core/log';
import { startApp } from './app.ts';
import { configFrom } from './config.ts';

const HELP = `usage: waypoint [proxy|version|help]

proxy    (default) serve the services and workloads that use this waypoint
version  print the version
help     print this

Everything is configured by environment variables; see docs/reference/config/waypoint.md.
`;

/** What the entry hands down. */
export interface ProcessOptions {
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
}

async function proxy({ env }: ProcessOptions): Promise<void> {
  const config = configFrom(env, { exists: (path) => existsSync(path) });
  const log = new LogRoot(config.log);
  const logger = log.scope('main');
  const end = Promise.withResolvers<string>();
  const fatal = (error: unknown) => {
    logger.error('cannot go on', { error: messageOf(error) });
    process.exit(1);
  };
  process.on('uncaughtException', fatal);
  process.on('unhandledRejection', fatal);
  logger.info('waypoint', {
    version: VERSION,
    node: process.versions.node,
    pid: process.pid,
    gateway: `${config.self.namespace}/${config.self.gatewayName}`,
    identity: config.self.identity,
    xds: config.xds?.uri ?? 'none',
    ca: config.fakeCa ? 'fake' : (config.ca?.uri ?? 'none'),
  });
  let signals = 0;
  const starting = new AbortController();
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.on(signal, () => {
      signals += 1;
      if (signals > 1) fatal(new Error(`second signal, ${signal}, while shutting down`));
      end.resolve(signal);
      starting.abort(new Error(`${signal} while starting`));
    });
  }
  const deps = {
    clock: systemClock,
    random: systemRandom,
    log,
    environment: env,
    machineHasIpv6: existsSync('/proc/net/if_inet6'),
    onShutdown: (reason: string) => end.resolve(reason),
  };
  const app = await startApp(config, deps, starting.signal).catch((error: unknown) => {
    if (error === starting.signal.reason) return undefined;
    throw error;
  });
  if (!app) {
    logger.info('shutting down', { reason: messageOf(starting.signal.reason) });
    return;
  }
  flushCompileCache();
  logger.info('shutting down', { reason: await end.promise });
  await app.stop();
}

/** Runs the command that was asked for; the exit code. */
export async function runProcess(options: ProcessOptions): Promise<number> {
  const [command = 'proxy'] = options.args;
  try {
    switch (command) {
      case 'proxy':
        await proxy(options);
        return 0;
      case 'version':
        process.stdout.write(`ambit waypoint ${VERSION} (Node.js ${process.versions.node})\n`);
        return 0;
      case 'help':
        process.stdout.write(HELP);
        return 0;
      default:
        process.stderr.write(`unknown command: ${command}\n${HELP}`);
        return 1;
    }
  } catch (error) {
    process.stderr.write(`Error: ${messageOf(error)}\n`);
    return 1;
  }
}
