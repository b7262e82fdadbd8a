/** The process once it has its settings: what the machine and the environment are, for app.ts. */
import { existsSync, readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { systemClock, systemRandom } from '@ambit/core/clock';
import { garbageCollector } from '@ambit/core/collect-garbage';
import { codeOf } from '@ambit/core/errors';
import { LogRoot } from '@ambit/core/log';
import { type ConfiguredProxy, runProxyProgram } from '@ambit/core/proxy-process';
import { shareMallocArena } from '@ambit/linux/malloc';
import { startApp } from './app.ts';
import { type Config, type ConfigFiles, configFrom } from './config.ts';
import { MAX_RESOLV_CONF_BYTES } from './dns/limits.ts';

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

/** Runs the command that was asked for; the exit code. */
export function runProcess(options: ProcessOptions): Promise<number> {
  const program = {
    name: 'ztunnel',
    doc: 'proxy the pods of this node, or with PROXY_MODE=dedicated one workload',
    reference: 'docs/reference/config/ztunnel.md',
    configure: () => configure(options),
  };
  return runProxyProgram(program, options.args);
}

function configure({ args, env, compileCache }: ProcessOptions): ConfiguredProxy {
  shareMallocArena();
  const config = configFrom(env, FILES);
  const log = new LogRoot({ filter: config.log.filter, format: config.log.format });
  return {
    log,
    summary: summaryOf(config),
    start: ({ starting, onShutdown, onFatal }) => {
      const deps = {
        clock: systemClock,
        random: systemRandom,
        log,
        args,
        resolvConf: (FILES.read('/etc/resolv.conf') ?? '').slice(0, MAX_RESOLV_CONF_BYTES),
        machineHasIpv6: existsSync('/proc/net/if_inet6'),
        spawnWorker: (workerData: unknown) =>
          new Worker(new URL(WORKER, import.meta.url), {
            workerData,
            env:
              compileCache === undefined
                ? {}
                : { NODE_COMPILE_CACHE: compileCache, NODE_COMPILE_CACHE_PORTABLE: '1' },
            resourceLimits: { maxYoungGenerationSizeMb: WORKER_YOUNG_GENERATION_MIB },
          }),
        collectGarbage: garbageCollector(),
        onShutdown,
        onFatal,
      };
      return startApp(config, deps, starting);
    },
  };
}

function summaryOf({ mode, workers, xds, ca, fakeCa, localSource }: Config) {
  return {
    mode,
    workers,
    xds: xds?.uri ?? 'none',
    ca: fakeCa ? 'fake' : (ca?.uri ?? 'none'),
    localMesh: localSource?.kind ?? 'none',
  };
}
