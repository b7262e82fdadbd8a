/**
 * The process: command line, environment, signals and exit codes. Everything else is app.ts.
 *
 * Exit codes: 0 after a graceful end, 1 for whatever kept it from starting or could not be gone on from.
 */
import { existsSync, readFileSync } from 'node:fs';
import { flushCompileCache } from 'node:module';
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { systemClock, systemRandom } from '@ambit/core/clock';
import { codeOf, messageOf } from '@ambit/core/errors';
import { VERSION } from '@ambit/core/gen/version';
import { LogRoot } from '@ambit/core/log';
import { shareMallocArena } from '@ambit/linux/malloc';
import { startApp } from './app.ts';
import { type Config, type ConfigFiles, configFrom } from './config.ts';
import { MAX_RESOLV_CONF_BYTES } from './dns/limits.ts';
import { garbageCollector } from '@ambit/core/collect-garbage';

const HELP = `usage: ztunnel [proxy|version|help]

proxy    (default) proxy the pods of this node, or with PROXY_MODE=dedicated one workload
version  print the version
help     print this

Everything is configured by environment variables; see docs/reference/config/ztunnel.md.
`;

/**
 * Each worker's share of memory for short-lived objects. V8 would take 48; connections leave few behind, and no load was
 * seen to run slower with the least, which saves 50 MB under load.
 */
const WORKER_YOUNG_GENERATION_MIB = 3;

/** From sources, or as a bundle (build/build-proxy.ts). */
const WORKER = import.meta.url.endsWith('.ts') ? './worker/main.ts' : './worker/main.mjs';

const FILES: ConfigFiles = {
  exists: (path) => existsSync(path),
  read: (path) => {
    try {
      return readFileSync(path, 'utf8');
    } catch (error) {
      if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ENOTDIR') return undefined;
      throw error;
    }
  },
  machineCpus: availableParallelism(),
};

/** What the entry hands down. */
export interface ProcessOptions {
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Where compiled code is kept between runs: workers read it too. */
  readonly compileCache: string | undefined;
}

async function proxy({ args, env, compileCache }: ProcessOptions): Promise<void> {
  shareMallocArena();
  const config = configFrom(env, FILES);
  const log = new LogRoot({ filter: config.log.filter, format: config.log.format });
  const logger = log.scope('main');
  const end = Promise.withResolvers<string>();
  const fatal = (error: unknown) => {
    logger.error('cannot go on', { error: messageOf(error) });
    process.exit(1);
  };
  process.on('uncaughtException', fatal);
  process.on('unhandledRejection', fatal);
  logger.info('ztunnel', {
    version: VERSION,
    node: process.versions.node,
    pid: process.pid,
    ...summary(config),
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
  const app = await startApp(
    config,
    {
      clock: systemClock,
      random: systemRandom,
      log,
      args,
      resolvConf: (FILES.read('/etc/resolv.conf') ?? '').slice(0, MAX_RESOLV_CONF_BYTES),
      machineHasIpv6: existsSync('/proc/net/if_inet6'),
      spawnWorker: (workerData) =>
        new Worker(new URL(WORKER, import.meta.url), {
          workerData,
          env: compileCache === undefined ? {} : { NODE_COMPILE_CACHE: compileCache },
          resourceLimits: { maxYoungGenerationSizeMb: WORKER_YOUNG_GENERATION_MIB },
        }),
      collectGarbage: garbageCollector(),
      onShutdown: (reason) => end.resolve(reason),
      onFatal: fatal,
    },
    starting.signal,
  ).catch((error: unknown) => {
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

function summary({ mode, workers, xds, ca, fakeCa, localSource }: Config) {
  return {
    mode,
    workers,
    xds: xds?.uri ?? 'none',
    ca: fakeCa ? 'fake' : (ca?.uri ?? 'none'),
    localMesh: localSource?.kind ?? 'none',
  };
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
        process.stdout.write(`ambit ztunnel ${VERSION} (Node.js ${process.versions.node})\n`);
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
